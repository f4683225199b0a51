// SPDX-License-Identifier: Apache-2.0
// Linked when the library is built without images.
#include "image/pack.h"

namespace warpwright {
std::string_view packed_images() {
    return {};
}
}  // namespace warpwright
