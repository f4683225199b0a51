# SPDX-License-Identifier: Apache-2.0
# The image pack. Without it (WW_PACK=OFF, or no NVRTC) the library compiles every image at first use.
target_include_directories(warpwright_pack PRIVATE include src)
target_sources(warpwright_pack PRIVATE ${CMAKE_SOURCE_DIR}/cmake/empty_pack.cpp)
