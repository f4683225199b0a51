// SPDX-License-Identifier: Apache-2.0
// IEEE 754 binary16 by its bits: a compiler that knows no such type for its CPU compiles this too.
#pragma once

#include <bit>

#include "warpwright/types.h"

namespace warpwright::formats {

constexpr float decode_f16(u16 code) {
    constexpr u32 kInfinity = 0x7c00U << 13;
    const u32 sign = static_cast<u32>(code & 0x8000) << 16, magnitude = static_cast<u32>(code & 0x7fff) << 13;
    if (magnitude >= kInfinity) {  // a NaN becomes quiet
        return std::bit_cast<float>(sign | 0x7f800000U | magnitude |
                                    (magnitude > kInfinity ? 0x400000U : 0U));
    }
    // Its exponent's bias is smaller by 112.
    return std::bit_cast<float>(sign | std::bit_cast<u32>(std::bit_cast<float>(magnitude) * 0x1p112F));
}

// To nearest, ties to even; what is too large becomes infinite.
constexpr u16 encode_f16(float value) {
    const u32 bits = std::bit_cast<u32>(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffU;
    u32 code = 0x7c00;
    if (magnitude > 0x7f800000U) {
        code = 0x7e00 | (magnitude >> 13 & 0x3ff);
    } else if (magnitude < 0x38800000U) {  // subnormal: a sum with 1/2 has its last place at 2^-24
        code = std::bit_cast<u32>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3f000000U;
    } else if (magnitude < 0x477ff000U) {  // below 65520
        code = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112U << 23)) >> 13;
    }
    return static_cast<u16>(sign | code);
}

}  // namespace warpwright::formats
