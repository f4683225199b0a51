// SPDX-License-Identifier: Apache-2.0
// The floating-point formats of PTX (PTX ISA 5.2.3) in plain scalar C++: decoding is exact, encoding rounds
// once. Every value of every format here is exactly a float, and every float a double.
#pragma once

#include <bit>
#include <type_traits>

#include "warpwright/types.h"

namespace warpwright::emulator {

struct FloatFormat {
    // What the topmost exponent means: infinities and NaNs; one NaN with all bits set and finite numbers
    // beside it; only finite numbers.
    enum class Top : u8 { ieee, one_nan, finite };
    int exponent_bits;
    int mantissa_bits;
    int bias;
    Top top;
    bool has_sign = true;

    constexpr int bits() const { return (has_sign ? 1 : 0) + exponent_bits + mantissa_bits; }
    constexpr u32 sign() const { return has_sign ? 1u << (bits() - 1) : 0; }
    constexpr u32 magnitude() const { return (1u << (exponent_bits + mantissa_bits)) - 1; }
    constexpr u32 infinity() const { return magnitude() >> mantissa_bits << mantissa_bits; }  // of ieee
    // What arithmetic and conversions return for NaN: all ones without the sign.
    constexpr u32 nan() const { return magnitude(); }
    constexpr u32 largest() const {
        return top == Top::ieee ? infinity() - 1 : top == Top::one_nan ? magnitude() - 1 : magnitude();
    }
    constexpr bool operator==(const FloatFormat&) const = default;
};

constexpr FloatFormat kF16{5, 10, 15, FloatFormat::Top::ieee};
constexpr FloatFormat kBf16{8, 7, 127, FloatFormat::Top::ieee};
constexpr FloatFormat kF32{8, 23, 127, FloatFormat::Top::ieee};
constexpr FloatFormat kTf32{8, 10, 127, FloatFormat::Top::ieee};  // its 19 bits, without the 13 below
constexpr FloatFormat kE5m2{5, 2, 15, FloatFormat::Top::ieee};
constexpr FloatFormat kE4m3{4, 3, 7, FloatFormat::Top::one_nan};
constexpr FloatFormat kUe4m3{4, 3, 7, FloatFormat::Top::one_nan, false};
constexpr FloatFormat kE3m2{3, 2, 3, FloatFormat::Top::finite};
constexpr FloatFormat kE2m3{2, 3, 1, FloatFormat::Top::finite};
constexpr FloatFormat kE2m1{2, 1, 1, FloatFormat::Top::finite};

// Canonical NaNs of registers, PTX ISA 9.7.3 and 9.7.4.
constexpr u32 kNanF32 = 0x7fffffffu;
constexpr u32 kNanTf32 = 0x7fffe000u;
constexpr u16 kNanF16 = 0x7fff;   // kF16.nan()
constexpr u16 kNanBf16 = 0x7fff;  // kBf16.nan()

constexpr u32 float_bits(float x) {
    return std::bit_cast<u32>(x);
}
constexpr float float_of(u32 bits) {
    return std::bit_cast<float>(bits);
}

// Bits above the format's own are ignored. NaN becomes the canonical NaN of f32.
template <FloatFormat F>
constexpr float decode(u32 bits) {
    const u32 magnitude = bits & F.magnitude();
    const u32 sign = F.has_sign && (bits & F.sign()) != 0 ? 0x80000000u : 0u;
    if (F.top == FloatFormat::Top::one_nan && magnitude == F.magnitude()) return float_of(kNanF32);
    if (F.top == FloatFormat::Top::ieee && magnitude >= F.infinity())
        return float_of(magnitude == F.infinity() ? sign | 0x7f800000u : kNanF32);
    // The exponent field counts from another bias. Below the smallest normal number it is the smallest one,
    // without the leading 1: that is subtracted, as a multiplication of subnormal floats is slow.
    constexpr u32 kRebias = static_cast<u32>(127 - F.bias) << 23, kOneExponent = 1u << 23;
    const u32 aligned = magnitude << (23 - F.mantissa_bits);
    if constexpr (kRebias == 0) return float_of(sign | aligned);
    const u32 normal = aligned + kRebias;
    const float subnormal = float_of(normal + kOneExponent) - float_of(kRebias + kOneExponent);
    return float_of(sign | (magnitude < 1u << F.mantissa_bits ? float_bits(subnormal) : normal));
}

constexpr float decode_f16(u32 bits) {
    return decode<kF16>(bits);
}
// The bits are those of a float's upper half: NaNs keep their payload, as the hardware's move does.
constexpr float decode_bf16(u32 bits) {
    return float_of(bits << 16);
}
constexpr float decode_tf32(u32 bits) {  // the lower 13 bits of the register do not count
    return float_of(bits & 0xffffe000u);
}
// 2^(bits - 127); 255 is NaN.
constexpr float decode_ue8m0(u32 bits) {
    const u32 exponent = bits & 0xffu;
    if (exponent == 255) return float_of(kNanF32);
    return float_of(exponent == 0 ? 0x00400000u : exponent << 23);
}

// .rn .rz .rm .rp of PTX, and .rna: to nearest, ties away from zero.
enum class Rounding : u8 { nearest_even, toward_zero, down, up, nearest_away };

// What becomes of a value beyond the largest finite one.
enum class Overflow : u8 {
    ieee,       // infinity or the largest one, as the rounding says; NaN in a format without infinities
    saturates,  // .satfinite: the largest one with the sign
};

// One unsigned integer shifted right and rounded; `sign` is for the directed modes. 0 <= shift.
constexpr u64 shift_rounded(u64 value, int shift, bool sticky, bool sign, Rounding rounding) {
    if (shift > 64) {
        sticky = sticky || value != 0;
        value = 0;
        shift = 1;
    }
    const u64 kept = shift == 64 ? 0 : value >> shift;
    const u64 half_bit = shift == 0 ? 0 : value >> (shift - 1) & 1;
    const u64 below = shift <= 1 ? 0 : value & ((u64{1} << (shift - 1)) - 1);
    const bool rest = below != 0 || sticky;
    const bool inexact = half_bit != 0 || rest;
    bool increments = false;
    switch (rounding) {
        case Rounding::nearest_even: increments = half_bit != 0 && (rest || (kept & 1) != 0); break;
        case Rounding::nearest_away: increments = half_bit != 0; break;
        case Rounding::toward_zero: break;
        case Rounding::down: increments = sign && inexact; break;
        case Rounding::up: increments = !sign && inexact; break;
    }
    return kept + (increments ? 1 : 0);
}

// +-significand x 2^exponent in the format, rounded once. Zero keeps its sign. A NaN is not possible here.
// `F` may be anything up to 32 bits; for unsigned formats negative values become zero.
constexpr u32 encode_scaled(const FloatFormat& f, bool sign, u64 significand, int exponent, Rounding rounding,
                            Overflow overflow) {
    if (!f.has_sign && sign) return 0;
    const u32 sign_bit = sign ? f.sign() : 0;
    if (significand == 0) return sign_bit;
    const int top = 63 - std::countl_zero(significand);
    // The exponent of the last mantissa bit: of a normal result, or of the subnormals.
    const int lowest = 1 - f.bias - f.mantissa_bits;
    int quantum = exponent + top - f.mantissa_bits;
    if (quantum < lowest) quantum = lowest;
    const int shift = quantum - exponent;
    u64 rounded =
        shift >= 0 ? shift_rounded(significand, shift, false, sign, rounding) : significand << -shift;
    // rounded has at most mantissa_bits + 1 bits, or is the power of two above: adding it to the exponent
    // field below carries over by itself.
    const u64 magnitude = (static_cast<u64>(quantum - lowest) << f.mantissa_bits) + rounded;
    if (magnitude <= f.largest()) return sign_bit | static_cast<u32>(magnitude);
    if (overflow == Overflow::saturates) return sign_bit | f.largest();
    const bool stays = rounding == Rounding::toward_zero || (rounding == Rounding::down && !sign) ||
                       (rounding == Rounding::up && sign);
    if (stays || f.top == FloatFormat::Top::finite) return sign_bit | f.largest();
    return sign_bit | (f.top == FloatFormat::Top::ieee ? f.infinity() : f.nan());
}

// Any float or double. NaN gives the canonical NaN, and the largest value in a format without NaN (PTX ISA
// 9.7.9.21, .satfinite of e2m1, e2m3 and e3m2).
constexpr u32 encode(const FloatFormat& f, double x, Rounding rounding, Overflow overflow) {
    const u64 bits = std::bit_cast<u64>(x);
    const bool sign = bits >> 63 != 0;
    const int exponent = static_cast<int>(bits >> 52 & 0x7ff);
    const u64 mantissa = bits & 0xfffffffffffffull;
    if (exponent == 0x7ff) {
        if (mantissa != 0) return f.nan();
        if (!f.has_sign && sign) return 0;
        const u32 sign_bit = sign ? f.sign() : 0;
        if (overflow == Overflow::saturates || f.top == FloatFormat::Top::finite)
            return sign_bit | f.largest();
        return sign_bit | (f.top == FloatFormat::Top::ieee ? f.infinity() : f.nan());
    }
    if (exponent == 0) return encode_scaled(f, sign, mantissa, -1074, rounding, overflow);
    return encode_scaled(f, sign, mantissa | u64{1} << 52, exponent - 1075, rounding, overflow);
}

// A float or double to nearest even, in straight-line code for loops over lanes. Overflow::ieee unless
// `saturates`.
template <FloatFormat F, bool saturates = false, class Real>
constexpr u32 encode_nearest(Real x) {
    constexpr bool kIsDouble = sizeof(Real) == 8;
    using Bits = std::conditional_t<kIsDouble, u64, u32>;
    constexpr int kMantissaBits = kIsDouble ? 52 : 23, kBias = kIsDouble ? 1023 : 127;
    constexpr int kDropped = kMantissaBits - F.mantissa_bits;
    constexpr Bits kRebias = static_cast<Bits>(kBias - F.bias) << kMantissaBits;
    constexpr Bits kBelowHalf = (Bits{1} << (kDropped - 1)) - 1;
    constexpr Bits kInfinity = static_cast<Bits>(2 * kBias + 1) << kMantissaBits;

    const auto bits = std::bit_cast<Bits>(x);
    const Bits magnitude = bits & (~Bits{0} >> 1);
    const Bits odd = magnitude >> kDropped & 1u;
    Bits result = (magnitude - kRebias + kBelowHalf + odd) >> kDropped;
    if constexpr (F.bias != kBias) {
        // Below the smallest normal number the quantum is fixed: adding a number whose last bit is that
        // quantum rounds there, and the sum's bits count the quanta.
        constexpr Bits kSmallestNormal = static_cast<Bits>(kBias + 1 - F.bias) << kMantissaBits;
        constexpr Bits kMagic = static_cast<Bits>(kBias + 1 - F.bias + kDropped) << kMantissaBits;
        const Bits quanta =
            std::bit_cast<Bits>(std::bit_cast<Real>(magnitude) + std::bit_cast<Real>(kMagic)) - kMagic;
        result = magnitude < kSmallestNormal ? quanta : result;
    }
    constexpr Bits kBeyond = saturates || F.top == FloatFormat::Top::finite ? F.largest()
                             : F.top == FloatFormat::Top::ieee              ? F.infinity()
                                                                            : F.nan();
    result = result > F.largest() ? kBeyond : result;
    const Bits sign = bits >> (sizeof(Bits) * 8 - 1);
    if constexpr (F.has_sign)
        result |= sign << (F.bits() - 1);
    else
        result = sign != 0 ? Bits{0} : result;
    return static_cast<u32>(magnitude > kInfinity ? Bits{F.nan()} : result);
}

constexpr u32 encode_f16(float x) {
    return encode_nearest<kF16>(x);
}
constexpr u32 encode_bf16(float x) {
    return encode_nearest<kBf16>(x);
}

// Scale factors: the exponent of |x| rounded up or toward zero; NaN is 255. PTX ISA 9.7.9.21: the sign does
// not count, and values beyond 2^127 saturate there with .satfinite, else become NaN.
constexpr u32 encode_ue8m0(float x, bool rounds_up, bool saturates) {
    const u32 magnitude = float_bits(x) & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 255;
    const u32 exponent = magnitude >> 23;
    const u32 mantissa = magnitude & 0x7fffffu;
    u32 result = exponent;
    if (rounds_up) {
        // 2^-127 is half of the smallest normal float: a subnormal beyond it rounds up to 2^-126.
        if (exponent == 0 ? mantissa > 0x400000u : mantissa != 0) ++result;
    }
    if (result >= 255) return saturates ? 254 : 255;
    return result;
}

}  // namespace warpwright::emulator
