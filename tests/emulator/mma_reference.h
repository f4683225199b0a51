// SPDX-License-Identifier: Apache-2.0
// One output of mma by its definition, in long double: values, exponents and cuts as they are written in
// emulator/execute/mma.h, and the parameters of each architecture once more, from what was published.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "emulator/execute/mma.h"

namespace warpwright::emulator {

using mma::Format;

// sign, exponent, fraction; `specials`: 'i' as IEEE 754, 'n' e4m3's one NaN, '-' none.
struct ReferenceFormat {
    int exponent_bits, fraction_bits, padding;
    char specials;
};
inline ReferenceFormat reference_format(Format format) {
    switch (format) {
        case Format::f16: return {5, 10, 0, 'i'};
        case Format::bf16: return {8, 7, 0, 'i'};
        case Format::tf32: return {8, 10, 13, 'i'};
        case Format::e4m3: return {4, 3, 0, 'n'};
        case Format::e5m2: return {5, 2, 0, 'i'};
        case Format::e3m2: return {3, 2, 0, '-'};
        case Format::e2m3: return {2, 3, 0, '-'};
        case Format::e2m1: return {2, 1, 2, '-'};
    }
    return {};
}
inline int reference_least_exponent(int exponent_bits) {
    return exponent_bits == 8   ? -126
           : exponent_bits == 5 ? -14
           : exponent_bits == 4 ? -6
           : exponent_bits == 3 ? -2
                                : 0;
}

inline long double reference_value(ReferenceFormat f, u32 bits) {
    bits >>= f.padding;
    const long double sign = (bits >> (f.exponent_bits + f.fraction_bits) & 1u) != 0 ? -1 : 1;
    const u32 exponent = bits >> f.fraction_bits & ((1u << f.exponent_bits) - 1);
    const u32 fraction = bits & ((1u << f.fraction_bits) - 1);
    const u32 ones = (1u << f.exponent_bits) - 1;
    if (f.specials == 'i' && exponent == ones)
        return fraction != 0 ? std::numeric_limits<long double>::quiet_NaN()
                             : sign * std::numeric_limits<long double>::infinity();
    if (f.specials == 'n' && exponent == ones && fraction == 7)
        return std::numeric_limits<long double>::quiet_NaN();
    const int least = reference_least_exponent(f.exponent_bits);
    if (exponent == 0) return sign * std::ldexp(static_cast<long double>(fraction), least - f.fraction_bits);
    return sign * std::ldexp(static_cast<long double>(fraction + (1u << f.fraction_bits)),
                             least + static_cast<int>(exponent) - 1 - f.fraction_bits);
}

// To nearest even of f16, or toward zero with `kept` fraction bits of f32.
inline long double reference_round(long double value, bool is_f16, int kept) {
    if (value == 0) return 0;
    const int least = is_f16 ? -14 : -126;
    const int unit = std::max(std::ilogb(value), least) - (is_f16 ? 10 : kept);
    const long double scaled = std::ldexp(value, -unit);
    const long double rounded = std::ldexp(is_f16 ? std::nearbyint(scaled) : std::trunc(scaled), unit);
    const long double limit = is_f16 ? 65504.0L : std::ldexp(2.0L - std::ldexp(1.0L, -23), 127);
    if (rounded == 0) return 0;  // without a sign
    return std::abs(rounded) > limit ? std::copysign(std::numeric_limits<long double>::infinity(), value)
                                     : rounded;
}

struct ReferenceRule {
    int fraction_bits;  // F
    int kept = 23;
    int least_top;
    int element_least = 0;                 // exponent; 0: that of the format
    std::vector<std::vector<int>> passes;  // which k
    bool adds_c_last = false;
};

inline long double reference_pass(const ReferenceRule& rule, const std::vector<int>& ks, Format format_a,
                                  Format format_b, const std::vector<u32>& a, const std::vector<u32>& b,
                                  long double c, bool is_f16) {
    const ReferenceFormat fa = reference_format(format_a), fb = reference_format(format_b);
    const auto exponent = [&](long double value, int least) { return std::max(std::ilogb(value), least); };
    const int least_a =
        rule.element_least != 0 ? rule.element_least : reference_least_exponent(fa.exponent_bits);
    const int least_b =
        rule.element_least != 0 ? rule.element_least : reference_least_exponent(fb.exponent_bits);
    std::vector<long double> terms;
    std::vector<int> exponents;
    long double special = 0;
    for (const int k : ks) {
        const long double x = reference_value(fa, a[static_cast<std::size_t>(k)]);
        const long double y = reference_value(fb, b[static_cast<std::size_t>(k)]);
        special += std::isfinite(x * y) ? 0 : x * y;
        if (!std::isfinite(x * y) || x * y == 0) continue;
        terms.push_back(x * y);
        exponents.push_back(exponent(x, least_a) + exponent(y, least_b));
    }
    special += std::isfinite(c) ? 0 : c;
    if (special != 0) return special;
    if (c != 0) {
        terms.push_back(c);
        exponents.push_back(exponent(c, is_f16 ? -14 : -126));
    }
    int top = rule.least_top;
    for (const int e : exponents) top = std::max(top, e);
    long double sum = 0;
    for (const long double term : terms) sum += std::trunc(std::ldexp(term, rule.fraction_bits - top));
    return reference_round(std::ldexp(sum, top - rule.fraction_bits), is_f16, rule.kept);
}

// a and b: the elements of row and column, in k's order. Bits of c and of the result.
inline u32 reference_mma(const DecodeTarget& target, Format format_a, Format format_b,
                         const std::vector<u32>& a, const std::vector<u32>& b, u32 c_bits, bool is_f16) {
    const int k = static_cast<int>(a.size());
    const bool is_old = target.compute_capability < 90, is_fp8 = format_a >= Format::e4m3;
    ReferenceRule rule;
    rule.fraction_bits = is_old ? 24 : 25;
    rule.least_top = (is_f16 ? -14 : -126) - (is_old ? 6 : 7);
    int per_pass = k;
    if (is_old) per_pass = format_a == Format::tf32 ? 4 : is_fp8 ? 16 : 8;
    if (is_old && is_fp8) {
        rule.fraction_bits = 13;
        rule.kept = 13;
        rule.least_top = -132;
    }
    for (int i = 0; i < k; ++i) {
        if (i % per_pass == 0) rule.passes.emplace_back();
        rule.passes.back().push_back(i);
    }
    if (is_fp8 && target.compute_capability >= 90 && target.compute_capability < 120) {
        rule.passes.assign(2, {});
        for (int i = 0; i < k; ++i) rule.passes[i % 4 < 2 ? 0 : 1].push_back(i);
        rule.adds_c_last = true;
        rule.element_least = -14;
    }

    const ReferenceFormat f32{8, 23, 0, 'i'}, f16{5, 10, 0, 'i'};
    const long double c = reference_value(is_f16 ? f16 : f32, c_bits);
    long double sum = rule.adds_c_last ? 0 : c;
    for (const auto& ks : rule.passes) sum = reference_pass(rule, ks, format_a, format_b, a, b, sum, is_f16);
    if (rule.adds_c_last) {
        // Both of f32 or f16: exact in long double but for f32s far apart, where it cannot make a tie.
        sum = is_f16 ? (std::isfinite(sum + c) ? reference_round(sum + c, true, 0) : sum + c)
                     : static_cast<long double>(static_cast<float>(sum) + static_cast<float>(c));
    }
    if (std::isnan(sum)) return is_f16 ? 0x7fff : 0x7fff'ffff;
    if (!is_f16) return std::bit_cast<u32>(static_cast<float>(sum));
    const u32 sign = std::signbit(sum) ? 0x8000 : 0;
    const long double magnitude = std::abs(sum);
    if (std::isinf(magnitude)) return sign | 0x7c00;
    if (magnitude < std::ldexp(1.0L, -14)) return sign | static_cast<u32>(std::ldexp(magnitude, 24));
    const int e = std::ilogb(magnitude);
    return sign | ((static_cast<u32>(e + 14) << 10) + static_cast<u32>(std::ldexp(magnitude, 10 - e)));
}

}  // namespace warpwright::emulator
