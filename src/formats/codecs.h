// SPDX-License-Identifier: Apache-2.0
// The numbers that quantised checkpoints are made of, bit by bit. Encoding rounds to nearest, ties to the
// even code. Sources: OCP 8-bit Floating Point Specification 1.0 (e4m3, e5m2), OCP Microscaling Formats 1.0
// (e2m1, e8m0).
#pragma once

#include <bit>
#include <limits>

#include "warpwright/types.h"

namespace warpwright::formats {

// A sign, exponent bits, mantissa bits, with subnormals.
struct SmallFloat {
    int exponent_bits = 0;
    int mantissa_bits = 0;
    float max = 0;              // largest finite magnitude
    u8 max_code = 0;            // its code
    u8 nan_code = 0;            // with the sign clear; 0: the type has no NaN
    bool has_infinity = false;  // e5m2 alone: the code after max_code

    constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    constexpr int bits() const { return 1 + exponent_bits + mantissa_bits; }
    constexpr u8 sign_code() const { return static_cast<u8>(1 << (bits() - 1)); }
};

inline constexpr SmallFloat kE4M3{4, 3, 448, 0x7e, 0x7f, false};
inline constexpr SmallFloat kE5M2{5, 2, 57344, 0x7b, 0x7e, true};
inline constexpr SmallFloat kE2M1{2, 1, 6, 0x7, 0, false};

// 2^exponent as fp32, for exponents of its normal range.
constexpr float power_of_two(int exponent) {
    return std::bit_cast<float>(static_cast<u32>(exponent + 127) << 23);
}

constexpr float decode(const SmallFloat& type, u8 code) {
    const u8 magnitude = code & static_cast<u8>(type.sign_code() - 1);
    const float sign = (code & type.sign_code()) != 0 ? -1.0F : 1.0F;
    if (type.has_infinity && magnitude == type.max_code + 1) {
        return sign * std::numeric_limits<float>::infinity();
    }
    if (magnitude > type.max_code) return std::numeric_limits<float>::quiet_NaN();
    const int exponent = magnitude >> type.mantissa_bits;
    const int mantissa = magnitude & ((1 << type.mantissa_bits) - 1);
    const int significand = exponent == 0 ? mantissa : mantissa | (1 << type.mantissa_bits);
    const int scale = (exponent == 0 ? 1 : exponent) - type.bias() - type.mantissa_bits;
    return sign * static_cast<float>(significand) * power_of_two(scale);
}

// What is too large becomes the largest finite value. NaN becomes NaN, or where there is none (e2m1) the
// largest value, as cvt.satfinite of PTX has it.
constexpr u8 encode(const SmallFloat& type, float value) {
    const u32 bits = std::bit_cast<u32>(value);
    const u8 sign = (bits >> 31) != 0 ? type.sign_code() : u8{0};
    const u32 magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U)
        return type.nan_code != 0 ? static_cast<u8>(sign | type.nan_code) : type.max_code;
    if (std::bit_cast<float>(magnitude) >= type.max) return sign | type.max_code;
    const int exponent = static_cast<int>(magnitude >> 23) - 127;
    const int least = 1 - type.bias();  // exponent of the smallest normal and of all subnormals
    // The significand's bits below the code's last one are dropped; one bit more for each binade below
    // `least`.
    const int shift = 23 - type.mantissa_bits + (exponent < least ? least - exponent : 0);
    if (shift > 24) return sign;  // less than half of the smallest subnormal
    const u32 significand = (magnitude & 0x7fffffU) | (magnitude >= 0x800000U ? 0x800000U : 0U);
    const u32 kept = significand >> shift;
    const u32 rest = significand & ((1U << shift) - 1);
    const u32 half = 1U << (shift - 1);
    const u32 rounded = kept + (rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0);
    // A carry runs into the exponent, which is what it should do.
    const u32 base = exponent < least ? 0U : static_cast<u32>(exponent - least) << type.mantissa_bits;
    const u32 code = base + rounded;
    return static_cast<u8>(sign | (code > type.max_code ? type.max_code : code));
}

// Scales that are powers of two: 2^(code - 127), no zero, no sign; 0xff is NaN.
constexpr float decode_e8m0(u8 code) {
    if (code == 0xff) return std::numeric_limits<float>::quiet_NaN();
    return code == 0 ? std::bit_cast<float>(0x00400000U) : power_of_two(code - 127);
}

// Of the largest power of two that is at most `value` (the OCP rule), which is positive and finite.
constexpr u8 encode_e8m0_down(float value) {
    const u32 bits = std::bit_cast<u32>(value);
    return static_cast<u8>(bits >> 23);  // subnormals: 2^-127, the smallest there is
}

// Of the smallest power of two that is at least `value`: nothing that is divided by it grows out of its
// range.
constexpr u8 encode_e8m0_up(float value) {
    const u32 bits = std::bit_cast<u32>(value);
    const u32 exponent = bits >> 23;
    const u32 up =
        exponent == 0 ? (bits > 0x00400000U ? 1U : 0U) : exponent + ((bits & 0x7fffffU) != 0 ? 1U : 0U);
    return static_cast<u8>(up > 254 ? 254 : up);
}

// Two e2m1 codes or 4-bit integers in a byte: the even element is the low half, everywhere.
constexpr u8 nibble_of(u8 byte, i64 index) {
    return (index & 1) == 0 ? byte & 0xf : byte >> 4;
}

}  // namespace warpwright::formats
