// SPDX-License-Identifier: Apache-2.0
// Codes as in small_float.cuh, of numbers that are known not to be beyond the largest.
#pragma once

#include "tile/small_float.cuh"

namespace warpwright {

// Of numbers that round to at most 127 in magnitude.
__device__ inline u32 encode_four_bounded_i8(float a, float b, float c, float d) {
    const auto raw = [](float value) { return __float_as_uint(__fadd_rn(value, 12582912.0f)); };
    return low_bytes(raw(a), raw(b), raw(c), raw(d));
}

// Magnitude bits of eight codes of e2m1, as encode_eight_e2m1's, of magnitudes below 7. The code as a
// function of the magnitude is concave, the least of three lines: 2 p, 2 + p and 4 + p / 2. Each is rounded
// to an integer by one sum. What the base's own bits leave in the word of eight is made up for in two of its
// digits.
__device__ inline u32 encode_eight_e2m1_below_7(const float (&magnitudes)[8]) {
    u32 codes = 0;
#pragma unroll
    for (int i = 7; i >= 0; --i) {
        const float base = i == 7 || i == 5 ? 0x1.8p23f + 12 : 0x1.8p23f;
        const u32 to_2 = __float_as_uint(__fmaf_rn(magnitudes[i], 2, base));
        const u32 to_4 = __float_as_uint(__fadd_rn(magnitudes[i], base + 2));
        const u32 to_6 = __float_as_uint(__fmaf_rn(magnitudes[i], 0.5f, base + 4));
        codes = codes * 16 + min(min(to_2, to_4), to_6);
    }
    return codes;
}

}  // namespace warpwright
