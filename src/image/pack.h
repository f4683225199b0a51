// SPDX-License-Identifier: Apache-2.0
// The pack: images compiled at build time, zstd-compressed, inside the binary.
#pragma once

#include <string_view>

namespace warpwright {

// The whole pack, or nothing in a build without one. Defined by the object library warpwright_pack.
std::string_view packed_images();

}  // namespace warpwright
