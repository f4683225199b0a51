// SPDX-License-Identifier: Apache-2.0
// The two parts of cvt.
#pragma once

#include <string_view>

#include "emulator/decode/binding.h"

namespace warpwright::emulator {

// Conversions to and from packed types and the small formats, and cvt.pack; not_mine() for others.
Status bind_packed_conversion(Binding& binding);
std::string_view packed_conversion_forms();

}  // namespace warpwright::emulator
