// SPDX-License-Identifier: Apache-2.0
// Linked when the library is built with images: the linker's names for the bytes of images.pack.
#include "image/pack.h"

extern "C" const char _binary_images_pack_start[];
extern "C" const char _binary_images_pack_end[];

namespace warpwright {
std::string_view packed_images() {
    return {_binary_images_pack_start, static_cast<std::size_t>(_binary_images_pack_end - _binary_images_pack_start)};
}
}  // namespace warpwright
