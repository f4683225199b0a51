# SPDX-License-Identifier: Apache-2.0
# libwarpwright.so: the C ABI (include/warpwright/c.h) and nothing else, glibc its only dependency.
set(WW_ABI_HEADER ${CMAKE_SOURCE_DIR}/include/warpwright/c.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${WW_ABI_HEADER})
file(STRINGS ${WW_ABI_HEADER} WW_ABI_VERSION REGEX "^#define WW_ABI_VERSION [0-9]+$")
string(REGEX REPLACE ".* " "" WW_ABI_VERSION "${WW_ABI_VERSION}")

ww_glob(c_sources src/c/*.cpp)
add_library(warpwright_c OBJECT ${c_sources})
target_link_libraries(warpwright_c PUBLIC warpwright_engine warpwright_emulator)
set_target_properties(warpwright_c PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
set_source_files_properties(src/c/guard.cpp PROPERTIES COMPILE_DEFINITIONS WW_VERSION="${PROJECT_VERSION}")

add_library(warpwright_shared SHARED)
target_link_libraries(warpwright_shared PRIVATE warpwright_c warpwright_emulator warpwright_pack warpwright_engine)
target_include_directories(warpwright_shared INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
set_target_properties(warpwright_shared PROPERTIES
  OUTPUT_NAME warpwright
  LINKER_LANGUAGE CXX
  VERSION ${WW_ABI_VERSION}.${PROJECT_VERSION}
  SOVERSION ${WW_ABI_VERSION}
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/shared.map)
target_link_options(warpwright_shared PRIVATE
  -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/shared.map -Wl,-z,noexecstack)
if(NOT WW_SANITIZE AND NOT WW_SANITIZE_THREADS)  # whose functions are the program's
  target_link_options(warpwright_shared PRIVATE -Wl,--no-undefined)
endif()
