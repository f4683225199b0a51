// SPDX-License-Identifier: Apache-2.0
// Files compiled into the library by cmake/embed.cmake.
#pragma once

#include <span>
#include <string_view>

namespace warpwright {

struct EmbeddedFile {
    std::string_view path;  // relative to the repository root
    std::string_view text;
};

std::span<const EmbeddedFile> embedded_data();  // data/
std::span<const EmbeddedFile> embedded_page();  // inspect/page/
std::span<const EmbeddedFile>
embedded_kernels();  // src/ptx, src/tile, src/kernels, include/warpwright/types.h

}  // namespace warpwright
