// SPDX-License-Identifier: Apache-2.0
// What the two parts of cvt have in common.
#pragma once

#include <string_view>

#include "emulator/decode/binding.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {

// Conversions to and from packed types and the small formats, and cvt.pack; not_mine() for others.
Status bind_packed_conversion(Binding& binding);
std::string_view packed_conversion_forms();

constexpr WW_LANE float positive(float x) {  // .relu; NaN stays
    return x <= 0.0f ? 0.0f : x;
}
// To f16 or bf16, to nearest.
template <class T, bool relu, bool satfinite>
constexpr WW_LANE T to_half(float a) {
    constexpr FloatFormat kFormat = std::is_same_v<T, F16> ? kF16 : kBf16;
    return {encode_nearest<kFormat, satfinite>(relu ? positive(a) : a)};
}

}  // namespace warpwright::emulator
