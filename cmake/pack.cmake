# SPDX-License-Identifier: Apache-2.0
# The image pack: tools/make_pack.cpp compiles every row for every build target with NVRTC, linked_pack.cpp puts
# the file into the object library warpwright_pack. Without a pack (WW_PACK=OFF, or no NVRTC) the library
# compiles every image at first use.
#
# WW_NVRTC        libnvrtc.so.13; found in a CUDA toolkit or in NVIDIA's wheel unpacked into .local
# WW_IMAGE_CACHE  compiled images of earlier builds, shared between build folders when set outside of this one

find_file(WW_NVRTC libnvrtc.so.13
  HINTS ENV CUDA_HOME ENV CUDA_PATH
  PATHS /usr/local/cuda ${CMAKE_SOURCE_DIR}/.local /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} /usr/lib64
  PATH_SUFFIXES lib64 nvidia/cu13/lib targets/x86_64-linux/lib targets/sbsa-linux/lib
  NO_DEFAULT_PATH
  DOC "NVRTC 13.x, the compiler of the kernel images")
set(WW_IMAGE_CACHE ${CMAKE_BINARY_DIR}/image-cache CACHE PATH "compiled images of earlier builds")

set(nvrtc_definitions "WW_LOCAL_DIR=\"${CMAKE_SOURCE_DIR}/.local\"")
if(WW_NVRTC)
  list(APPEND nvrtc_definitions "WW_NVRTC=\"${WW_NVRTC}\"")
endif()
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/image/nvrtc.cpp PROPERTIES
  COMPILE_DEFINITIONS "${nvrtc_definitions}")

target_include_directories(warpwright_pack PRIVATE include src)
if(NOT WW_PACK OR NOT WW_NVRTC)
  if(NOT WW_PACK)
    message(STATUS "Image pack: none (WW_PACK=OFF); images are compiled at first use")
  else()
    message(STATUS "Image pack: none (no libnvrtc.so.13 found, set WW_NVRTC); "
                   "images are compiled at first use, where an NVRTC is")
  endif()
  target_sources(warpwright_pack PRIVATE ${CMAKE_SOURCE_DIR}/cmake/empty_pack.cpp)
  return()
endif()

message(STATUS "Image pack: compiled by ${WW_NVRTC}")
add_executable(make_pack ${CMAKE_SOURCE_DIR}/tools/make_pack.cpp ${CMAKE_SOURCE_DIR}/cmake/empty_pack.cpp)
target_link_libraries(make_pack PRIVATE warpwright_core)

set(pack_dir ${CMAKE_BINARY_DIR}/pack)
file(MAKE_DIRECTORY ${pack_dir})
add_custom_command(
  OUTPUT ${pack_dir}/images.pack
  COMMAND ${CMAKE_COMMAND} -E env WARPWRIGHT_NVRTC=${WW_NVRTC}
          $<TARGET_FILE:make_pack> images.pack ${WW_IMAGE_CACHE}
  WORKING_DIRECTORY ${pack_dir}
  DEPENDS make_pack ${WW_NVRTC}
  USES_TERMINAL
  COMMENT "Compiling kernel images"
  VERBATIM)
set_source_files_properties(${CMAKE_SOURCE_DIR}/cmake/linked_pack.cpp PROPERTIES
  COMPILE_DEFINITIONS "WW_PACK_FILE=\"${pack_dir}/images.pack\""
  OBJECT_DEPENDS ${pack_dir}/images.pack)
target_sources(warpwright_pack PRIVATE ${CMAKE_SOURCE_DIR}/cmake/linked_pack.cpp)
