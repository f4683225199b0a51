// SPDX-License-Identifier: Apache-2.0
// fp32 to codes of 8 or 4 bits without instructions for it: to nearest even, what is too large becomes the
// largest magnitude. Four codes at a time are the bytes of a word; e2m1's lie in their low halves.
#pragma once

#include "ptx/extreme.cuh"
#include "ptx/math.cuh"
#include "ptx/packed.cuh"
#include "warpwright/types.h"

namespace warpwright {

// A floating-point type of a sign, exponent and mantissa bits, with subnormals.
struct SmallFloatType {
    int mantissa_bits;
    int bias;
    float max;
    u32 nan;  // NaN's code, or that of max where there is none

    constexpr int exponent_bits() const { return bias == 1 ? 2 : bias == 7 ? 4 : 5; }
    constexpr int sign_shift() const { return exponent_bits() + mantissa_bits; }
};

// The number of quanta in |value|, and the place of its binade: their sum is the code but for a constant, in
// the low bits. Not for NaN.
//
// A binade's quantum is 2^(e - mantissa_bits), where e is not below the smallest normal number's: adding the
// number whose last bit that is rounds there, and the low bits of the sum count. A count that reaches the
// next binade carries into the exponent, which is what it should do.
template <SmallFloatType type>
__device__ inline u32 raw_magnitude(float value) {
    constexpr float kSmallestNormal = type.bias == 1 ? 1.0f : type.bias == 7 ? 0x1p-6f : 0x1p-14f;
    constexpr float kQuanta = static_cast<float>(1u << (23 - type.mantissa_bits));
    const float magnitude = fminf(fabsf(value), type.max);
    const u32 binade = __float_as_uint(fmaxf(magnitude, kSmallestNormal)) & 0x7f800000u;
    return __float_as_uint(__fmaf_rn(__uint_as_float(binade), kQuanta, magnitude)) +
           (binade >> (23 - type.mantissa_bits));
}

// What raw_magnitude has too much: the smallest normal number's exponent.
template <SmallFloatType type>
constexpr u32 kRawExcess = static_cast<u32>(128 - type.bias) << type.mantissa_bits;

// The low bytes of four words, and the high ones.
__device__ inline u32 low_bytes(u32 a, u32 b, u32 c, u32 d) {
    return __byte_perm(__byte_perm(a, b, 0x0040), __byte_perm(c, d, 0x0040), 0x5410);
}
__device__ inline u32 high_bytes(u32 a, u32 b, u32 c, u32 d) {
    return __byte_perm(__byte_perm(a, b, 0x0073), __byte_perm(c, d, 0x0073), 0x5410);
}

// None is NaN.
template <SmallFloatType type>
__device__ inline u32 encode_four(float a, float b, float c, float d) {
    constexpr u32 kMagnitude = (1u << type.sign_shift()) - 1;
    // Bytes are added without a carry into the next: both are at most seven bits.
    constexpr u32 kCorrection = (0u - kRawExcess<type>)&kMagnitude;
    const u32 raw = low_bytes(raw_magnitude<type>(a), raw_magnitude<type>(b), raw_magnitude<type>(c),
                              raw_magnitude<type>(d));
    const u32 codes =
        ((raw & kMagnitude * 0x01010101u) + kCorrection * 0x01010101u) & kMagnitude * 0x01010101u;
    const u32 signs =
        high_bytes(__float_as_uint(a), __float_as_uint(b), __float_as_uint(c), __float_as_uint(d)) &
        0x80808080u;
    return codes | signs >> (7 - type.sign_shift());
}

// Any value, the code in the low bits.
template <SmallFloatType type>
__device__ inline u32 encode_one(float value) {
    constexpr u32 kMagnitude = (1u << type.sign_shift()) - 1;
    if (value != value) return type.nan;
    const u32 code = (raw_magnitude<type>(value) - kRawExcess<type>)&kMagnitude;
    return code | (__float_as_uint(value) >> 31) << type.sign_shift();
}

// Two's complement, at most 127 in magnitude. Adding 1.5 x 2^23 rounds to integers, and the low byte is one.
__device__ inline u32 raw_i8(float value) {
    return __float_as_uint(__fadd_rn(fminf(fmaxf(value, -127.0f), 127.0f), 12582912.0f));
}
__device__ inline u32 encode_four_i8(float a, float b, float c, float d) {
    return low_bytes(raw_i8(a), raw_i8(b), raw_i8(c), raw_i8(d));
}

// e2m1's code of a magnitude, added to `base`, an integer of 2^23 or more whose last bit is 1. The code grows
// by 4 up to 2.0, by 2 up to 4.0, by 1 up to 6.0, each time in proportion, and its parity is that of the part
// which is being rounded: three sums round to nearest even where the code does, and the parts before are
// whole.
__device__ inline float add_e2m1(float base, float magnitude) {
    const float to_2 = ptx::fma_saturated(magnitude, 0.5f, 0);
    const float to_4 = ptx::fma_saturated(magnitude, 0.5f, -1);
    const float to_6 = ptx::fma_saturated(magnitude, 0.5f, -2);
    return __fadd_rn(__fmaf_rn(to_4, 2, __fmaf_rn(to_2, 4, base)), to_6);
}

// Magnitude bits of eight codes of e2m1, the first in the lowest four bits. On the pipe of fp32 alone: four
// codes at a time are the digits of one number.
__device__ inline u32 encode_eight_e2m1(const float (&magnitudes)[8]) {
    constexpr float kBase = 0x1.8p23f, kNextDigit = -15 * kBase;
    u32 halves[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float digits = kBase;
#pragma unroll
        for (int i = 3; i >= 0; --i) {
            if (i != 3) digits = __fmaf_rn(digits, 16, kNextDigit);
            digits = add_e2m1(digits, magnitudes[half * 4 + i]);
        }
        halves[half] = __float_as_uint(digits);
    }
    return __byte_perm(halves[0], halves[1], 0x5410);
}

// Pairs of bf16 times a power of two, which is exact: codes in the lowest three bits of each half, other bits
// above. As raw_magnitude, in bf16: 65 and not 64 times the binade adds the two that its exponent lacks to a
// multiple of eight.
__device__ inline u32 encode_pair_e2m1(u32 pair, u32 multiplier) {
    constexpr u32 kSix = 0x40c040c0u, kOne = 0x3f803f80u, kExponents = 0x7f807f80u, kQuanta = 0x42824282u;
    const u32 product = ptx::fma_pair<Bf16>(pair & 0x7fff7fffu, multiplier, 0);
    const u32 magnitude = ptx::min_pair_bf16(product, kSix);
    const u32 binade = ptx::max_pair_bf16(magnitude, kOne) & kExponents;
    return ptx::fma_pair<Bf16>(binade, kQuanta, magnitude) + (binade >> 6);
}

// Magnitude bits of eight codes of e2m1, as encode_eight_e2m1's.
__device__ inline u32 encode_pairs_e2m1(u32 a, u32 b, u32 c, u32 d, u32 multiplier) {
    const auto four = [&](u32 first, u32 second) {
        const u32 codes =
            __byte_perm(encode_pair_e2m1(first, multiplier), encode_pair_e2m1(second, multiplier), 0x6420) &
            0x07070707u;
        return codes + (codes >> 4);  // in bytes 0 and 2
    };
    return __byte_perm(four(a, b), four(c, d), 0x6420);
}

// The sign bits of eight 16-bit numbers, at those of their codes of four bits.
__device__ inline u32 signs_of_eight(u32 a, u32 b, u32 c, u32 d) {
    const u32 first = __byte_perm(a, b, 0x7351), second = __byte_perm(c, d, 0x7351);
    const u32 even = ptx::permute_bytes<0xdc98>(first, second);  // signs, eight times
    const u32 odd = __byte_perm(first, second, 0x7632);
    return (even & 0x08080808u) | (odd & 0x80808080u);
}

inline constexpr SmallFloatType kTypeE4M3{3, 7, 448, 0x7f}, kTypeE5M2{2, 15, 57344, 0x7f},
    kTypeE2M1{1, 1, 6, 7};

}  // namespace warpwright
