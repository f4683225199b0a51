// SPDX-License-Identifier: Apache-2.0
// One output of a matrix product at a time, and the parameters of each GPU.
#include <algorithm>
#include <bit>
#include <limits>

#include "emulator/execute/mma.h"

namespace warpwright::emulator::mma {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr FloatFormat kE8m13{8, 13, 127, FloatFormat::Top::ieee};

// magnitude x 2^exponent, rounded. The magnitude is not 0; what becomes 0 loses its sign.
float rounded(u64 magnitude, int exponent, bool negative, Output output) {
    if (output == Output::f16) {
        const u32 bits =
            encode_scaled(kF16, negative, magnitude, exponent, Rounding::nearest_even, Overflow::ieee);
        return (bits & kF16.magnitude()) == 0 ? 0.0f : decode_f16(bits);
    }
    if (64 - std::countl_zero(magnitude) + exponent > 128) return negative ? -kInfinity : kInfinity;
    const FloatFormat& format = output == Output::f32 ? kF32 : kE8m13;
    const u32 bits =
        encode_scaled(format, negative, magnitude, exponent, Rounding::toward_zero, Overflow::ieee);
    if ((bits & format.magnitude()) == 0) return 0;
    return float_of(bits << (kF32.mantissa_bits - format.mantissa_bits));
}

}  // namespace

Term term_of(float value, int least_exponent) {
    const u32 bits = float_bits(value);
    const int field = static_cast<int>(bits >> 23 & 0xffu);
    Term term;
    term.negative = bits >> 31 != 0;
    term.significand = bits & 0x7f'ffffu;
    if (field == 255) {
        term.kind = term.significand != 0 ? Term::Kind::nan : Term::Kind::infinite;
        return term;
    }
    if (field != 0) term.significand |= 0x80'0000u;
    if (term.significand == 0) return term;
    term.kind = Term::Kind::finite;
    term.exponent = std::max(field, 1) - 127;
    if (term.exponent < least_exponent) {
        term.significand >>= std::min(least_exponent - term.exponent, 31);
        term.exponent = least_exponent;
    }
    return term;
}

float sum_of_products(const FloatProduct& product, const Term* a, const Term* b, int num, Term c) {
    using Kind = Term::Kind;
    bool has_nan = c.kind == Kind::nan;
    bool has_infinity[2] = {false, false};  // by sign
    if (c.kind == Kind::infinite) has_infinity[c.negative] = true;
    int top = std::numeric_limits<int>::min();
    if (c.kind == Kind::finite) top = c.exponent;
    for (int i = 0; i < num; ++i) {
        const Kind x = a[i].kind, y = b[i].kind;
        if (x == Kind::nan || y == Kind::nan) has_nan = true;
        if (x == Kind::infinite || y == Kind::infinite) {
            if (x == Kind::zero || y == Kind::zero) has_nan = true;
            has_infinity[a[i].negative != b[i].negative] = true;
        }
        if (x == Kind::finite && y == Kind::finite) top = std::max(top, a[i].exponent + b[i].exponent);
    }
    if (has_nan || (has_infinity[0] && has_infinity[1])) return float_of(kNanF32);
    if (has_infinity[0] || has_infinity[1]) return has_infinity[0] ? kInfinity : -kInfinity;
    top = std::max<int>(top, product.least_exponent);

    // In units of 2^(top - fraction_bits), below 2^(fraction_bits + 2) each.
    const auto cut = [&](u64 significand, int bits_behind_point, int exponent) {
        const int left = product.fraction_bits - bits_behind_point - (top - exponent);
        if (left >= 0) return significand << left;
        return left > -64 ? significand >> -left : 0;
    };
    i64 sum = 0;
    const auto add = [&](u64 magnitude, bool negative) {
        sum += negative ? -static_cast<i64>(magnitude) : static_cast<i64>(magnitude);
    };
    for (int i = 0; i < num; ++i) {
        if (a[i].kind != Kind::finite || b[i].kind != Kind::finite) continue;
        const u64 significand = static_cast<u64>(a[i].significand) * b[i].significand;
        add(cut(significand, 46, a[i].exponent + b[i].exponent), a[i].negative != b[i].negative);
    }
    if (c.kind == Kind::finite) add(cut(c.significand, 23, c.exponent), c.negative);
    if (sum == 0) return 0;
    return rounded(static_cast<u64>(sum < 0 ? -sum : sum), top - product.fraction_bits, sum < 0,
                   product.output);
}

// What the papers named in mma.h found, and for 8 bits what ptxas 13.0.88 emits. The words of A100, A2, L40S,
// H100, H200 and B200 that were published with the first of them agree, those of fp8 included.
FloatProduct float_product(const DecodeTarget& target, Format a, Format b, int k, bool is_f16) {
    FloatProduct product;
    product.a = a;
    product.b = b;
    product.k = static_cast<u8>(k);
    product.output = is_f16 ? Output::f16 : Output::f32;
    product.a_least_exponent = static_cast<i8>(least_exponent(a));
    product.b_least_exponent = static_cast<i8>(least_exponent(b));

    const bool is_old = target.numerics == NumericsClass::ampere || target.numerics == NumericsClass::ada;
    product.fraction_bits = is_old ? 24 : 25;
    // Six or seven below the least exponent of the result.
    product.least_exponent = static_cast<i16>((is_f16 ? -14 : -126) - (is_old ? 6 : 7));
    const int container_bits = facts_of(a).container_bits;
    // Ampere's and Ada's units take 16 bytes of a row at once.
    if (is_old && k * container_bits > 16 * 8) product.passes = Passes::halves;

    if (container_bits == 8) {
        if (target.numerics == NumericsClass::ada) {
            product.fraction_bits = 13;
            product.least_exponent = -132;
            if (!is_f16) product.output = Output::e8m13;
        } else if (target.compute_capability < 120) {
            // No unit for 8 bits: ptxas widens to f16, multiplies the low two bytes of every word, then the
            // high two, from a c of 0, and adds c with an instruction of its own.
            product.passes = Passes::byte_pairs;
            product.adds_c_last = true;
            product.a_least_exponent = product.b_least_exponent =
                static_cast<i8>(least_exponent(Format::f16));
        }
    }
    return product;
}

}  // namespace warpwright::emulator::mma
