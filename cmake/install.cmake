# SPDX-License-Identifier: Apache-2.0
# cmake --install: headers, libwarpwright.a for C++ (everything in one object, its dependencies' names made local),
# libwarpwright.so for C, the program, a CMake package and pkg-config files. `ninja library` builds what it needs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(archive ${CMAKE_BINARY_DIR}/libwarpwright.a)
set(object_lists $<TARGET_OBJECTS:warpwright_emulator> $<TARGET_OBJECTS:warpwright_pack> $<TARGET_OBJECTS:warpwright_c>)
set(whole_archives $<TARGET_FILE:warpwright_engine> $<TARGET_FILE:warpwright_core> $<TARGET_FILE:warpwright_data>)
set(private_archives ${ww_zstd} ${ww_pcre2-8} ${ww_utf8proc})
if(TARGET ww_fmt)
  list(APPEND private_archives $<TARGET_FILE:ww_fmt>)
endif()
add_custom_command(
  OUTPUT ${archive}
  COMMAND ${CMAKE_COMMAND}
    -DLINKER=${CMAKE_LINKER} -DNM=${CMAKE_NM} -DOBJCOPY=${CMAKE_OBJCOPY} -DAR=${CMAKE_AR} -DARCHIVE=${archive}
    "-DOBJECTS=${object_lists}" "-DWHOLE=${whole_archives}" "-DPRIVATE=${private_archives}"
    -P ${CMAKE_SOURCE_DIR}/cmake/archive.cmake
  DEPENDS warpwright_engine warpwright_core warpwright_data ${private_archives} ${object_lists} ${CMAKE_SOURCE_DIR}/cmake/archive.cmake
  VERBATIM)
add_custom_target(warpwright_static ALL DEPENDS ${archive})
add_custom_target(library DEPENDS warpwright_static warpwright_shared warpwright)

install(DIRECTORY include/warpwright DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(TARGETS warpwright_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(TARGETS warpwright RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT library)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/warpwright)
configure_package_config_file(cmake/warpwrightConfig.cmake.in ${CMAKE_BINARY_DIR}/warpwrightConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/warpwrightConfigVersion.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/warpwright.pc.in ${CMAKE_BINARY_DIR}/warpwright.pc @ONLY)
configure_file(cmake/warpwright-c.pc.in ${CMAKE_BINARY_DIR}/warpwright-c.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/warpwrightConfig.cmake ${CMAKE_BINARY_DIR}/warpwrightConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT library)
install(FILES ${CMAKE_BINARY_DIR}/warpwright.pc ${CMAKE_BINARY_DIR}/warpwright-c.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
