// SPDX-License-Identifier: Apache-2.0
// fp32 numbers that are compared as integers: largest first, without special cases. No standard header: NVRTC
// reads this file too.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

constexpr float kLargestFloat = 3.40282346638528859811704183484516925e+38f;
constexpr u32 kMinusInfinityKey = 0x007fffff;  // every key of a clean number is at least this

// NaN -> -inf, +inf -> the largest float, -0 -> 0.
constexpr float clean_logit(float logit) {
    if (!(logit >= -kLargestFloat)) return __builtin_bit_cast(float, 0xff800000u);
    return logit > kLargestFloat ? kLargestFloat : logit + 0.0f;
}

// Ordered as the numbers are.
constexpr u32 key_of(float clean) {
    const u32 bits = __builtin_bit_cast(u32, clean);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

constexpr float logit_of(u32 key) {
    return __builtin_bit_cast(float, key >> 31 ? key & 0x7fffffffu : ~key);
}

}  // namespace warpwright
