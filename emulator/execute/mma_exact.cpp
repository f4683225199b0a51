// SPDX-License-Identifier: Apache-2.0
// One output of a matrix product at a time, and the parameters of each GPU.
#include <algorithm>
#include <bit>
#include <limits>

#include "emulator/execute/mma.h"

namespace warpwright::emulator::mma {
namespace {

constexpr u32 kNaN = 0x7fff'ffffu;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

double power_of_two(int exponent) {
    return std::bit_cast<double>(static_cast<u64>(exponent + 1023) << 52);
}

// magnitude x 2^exponent, rounded. The magnitude is below 2^50 and not 0.
float rounded(u64 magnitude, int exponent, bool negative, Rounding rounding) {
    const double sign = negative ? -1 : 1;
    if (rounding == Rounding::f16_nearest)
        return f32_from_f16(f16_from(sign * static_cast<double>(magnitude) * power_of_two(exponent)));
    const int top = std::bit_width(magnitude) - 1 + exponent;
    if (top > 127) return negative ? -kInfinity : kInfinity;
    const int kept_bits = rounding == Rounding::f32_toward_zero ? 23 : 13;
    const int unit = std::max(top, -126) - kept_bits;  // exponent of the last bit kept
    if (unit > exponent) {
        magnitude = unit - exponent < 64 ? magnitude >> (unit - exponent) : 0;
        exponent = unit;
    }
    return static_cast<float>(sign * static_cast<double>(magnitude) * power_of_two(exponent));
}

}  // namespace

Term term_of(float value, int least_exponent) {
    const u32 bits = std::bit_cast<u32>(value);
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
    if (has_nan || (has_infinity[0] && has_infinity[1])) return std::bit_cast<float>(kNaN);
    if (has_infinity[0] || has_infinity[1]) return has_infinity[0] ? kInfinity : -kInfinity;
    top = std::max<int>(top, product.least_exponent);

    // In units of 2^(top - fraction_bits): below 2^(fraction_bits + 2) each.
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
                   product.rounding);
}

u16 f16_from(double value) {
    const u64 bits = std::bit_cast<u64>(value);
    const u32 sign = static_cast<u32>(bits >> 48) & 0x8000u;
    const int exponent = static_cast<int>(bits >> 52 & 0x7ffu) - 1023;
    const u64 fraction = bits & 0xf'ffff'ffff'ffffull;
    if (exponent == 1024) return static_cast<u16>(fraction != 0 ? 0x7fffu : sign | 0x7c00u);
    if (exponent < -25) return static_cast<u16>(sign);  // less than half of the least subnormal
    if (exponent > 15) return static_cast<u16>(sign | 0x7c00u);
    // The last bit kept is 2^(max(exponent, -14) - 10).
    const int dropped = 42 + std::max(-14 - exponent, 0);
    const u64 significand = fraction | 1ull << 52;
    u64 kept = significand >> dropped;
    const u64 rest = significand & ((1ull << dropped) - 1), half = 1ull << (dropped - 1);
    if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
    // A carry into the exponent is right, up to infinity. Normal numbers bring their hidden bit.
    const u32 base = exponent >= -14 ? static_cast<u32>(exponent + 14) << 10 : 0;
    return static_cast<u16>(sign | (base + static_cast<u32>(kept)));
}

float f32_from_f16(u16 bits) {
    const u32 sign = static_cast<u32>(bits & 0x8000u) << 16;
    const u32 magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f80'0000u | magnitude << 13);
    const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    return std::bit_cast<float>(sign | std::bit_cast<u32>(value));
}

FloatProduct float_product(const DecodeTarget& target, Format a, Format b, int k, bool is_f16) {
    FloatProduct product;
    product.a = a;
    product.b = b;
    product.k = static_cast<u8>(k);
    product.rounding = is_f16 ? Rounding::f16_nearest : Rounding::f32_toward_zero;
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
            if (!is_f16) product.rounding = Rounding::e8m13_toward_zero;
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
