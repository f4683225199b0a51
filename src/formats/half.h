// SPDX-License-Identifier: Apache-2.0
// IEEE 754 binary16 by its bits: a compiler that knows no such type for its CPU compiles this too.
#pragma once

#include <bit>

#include "warpwright/types.h"

namespace warpwright::formats {

constexpr float decode_f16(u16 code) {
    const u32 sign = static_cast<u32>(code & 0x8000) << 16;
    const u32 exponent = code >> 10 & 0x1f, mantissa = code & 0x3ff;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    const u32 bits = exponent == 0x1f ? 0x7f800000U : (exponent + 112) << 23;
    return std::bit_cast<float>(sign | bits | mantissa << 13);
}

// To nearest, ties to even; what is too large becomes infinite.
constexpr u16 encode_f16(float value) {
    const u32 bits = std::bit_cast<u32>(value);
    const auto sign = static_cast<u16>(bits >> 16 & 0x8000);
    const u32 magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U) return sign | 0x7e00;
    if (magnitude >= 0x477ff000U) return sign | 0x7c00;  // from 65520 on
    const int exponent = static_cast<int>(magnitude >> 23) - 127;
    const int shift = exponent < -14 ? 13 + (-14 - exponent) : 13;
    if (shift > 24) return sign;
    const u32 significand = (magnitude & 0x7fffffU) | (magnitude >= 0x800000U ? 0x800000U : 0U);
    const u32 kept = significand >> shift, rest = significand & ((1U << shift) - 1), half = 1U << (shift - 1);
    const u32 rounded = kept + (rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0);
    // The significand's leading bit counts as one step of the exponent.
    const u32 base = exponent < -14 ? 0U : static_cast<u32>(exponent + 14) << 10;
    return static_cast<u16>(sign | (base + rounded));
}

}  // namespace warpwright::formats
