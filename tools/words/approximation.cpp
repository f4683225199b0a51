// SPDX-License-Identifier: Apache-2.0
#include "tools/words/approximation.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

namespace warpwright::words {
namespace {

struct Layout {
    int mantissa_bits, bias, bits;
    double largest() const { return std::ldexp(2 - std::ldexp(1.0, -mantissa_bits), bias); }
    double smallest_normal() const { return std::ldexp(1.0, 1 - bias); }
    double spacing(double value) const {  // of the type's numbers at this value
        const double magnitude = std::clamp(std::abs(value), smallest_normal(), largest());
        return std::ldexp(1.0, std::ilogb(magnitude) - mantissa_bits);
    }
    double decode(u64 word) const {
        const u64 mantissa = word & ((u64{1} << mantissa_bits) - 1);
        const int exponent = static_cast<int>(word >> mantissa_bits) & (2 * bias + 1);
        const bool negative = (word >> (bits - 1) & 1) != 0;
        double value = 0;
        if (exponent == 2 * bias + 1)
            value = mantissa == 0 ? INFINITY : NAN;
        else if (exponent == 0)
            value = std::ldexp(static_cast<double>(mantissa), 1 - bias - mantissa_bits);
        else
            value = std::ldexp(static_cast<double>(mantissa | u64{1} << mantissa_bits),
                               exponent - bias - mantissa_bits);
        return negative ? -value : value;
    }
};

Layout layout_of(NumberType type) {
    switch (type) {
        case NumberType::f16: return {10, 15, 16};
        case NumberType::bf16: return {7, 127, 16};
        case NumberType::f32: break;
    }
    return {23, 127, 32};
}

}  // namespace

std::string judge(const Approximation& approximation, u64 a_word, u64 b_word, u64 word) {
    const Layout layout = layout_of(approximation.type);
    const auto flushed = [&](double value) {
        const bool is_subnormal = std::abs(value) < layout.smallest_normal();
        return approximation.flushes && is_subnormal ? std::copysign(0.0, value) : value;
    };
    const double a = flushed(layout.decode(a_word));
    const double b = flushed(layout.decode(b_word));
    const double got = layout.decode(word);
    double absolute = approximation.absolute;
    if (approximation.highest > 0 && std::isfinite(a) && std::abs(a) > approximation.highest) {
        if (std::abs(a) > approximation.far) return {};
        absolute = approximation.far_absolute;
    }
    if (approximation.highest_b > 0 && std::isfinite(b) && b != 0 &&
        (std::abs(b) < approximation.lowest_b || std::abs(b) > approximation.highest_b))
        return {};

    const double truth = approximation.truth(a, b);
    if (std::isnan(truth)) return std::isnan(got) ? "" : fmt::format("expected NaN, got {}", got);
    const double spacing = layout.spacing(truth);
    const bool is_subnormal = std::abs(truth) < layout.smallest_normal();
    const double ulps =
        is_subnormal ? std::max(approximation.ulps, approximation.subnormal_ulps) : approximation.ulps;
    const double bound =
        std::max({ulps * spacing, approximation.relative * std::abs(truth), absolute, spacing / 2});
    const bool may_overflow = std::abs(truth) + bound >= layout.largest() + spacing / 2;
    bool is_right = std::abs(got - truth) <= bound;  // false for NaN
    if (std::isinf(truth)) is_right = got == truth;
    if (std::isinf(got) && may_overflow) is_right = std::signbit(got) == std::signbit(truth);
    // A flushed result may be any subnormal, or next to one.
    if (got == 0 && approximation.flushes && std::abs(truth) - bound < layout.smallest_normal())
        is_right = true;
    if (got == 0 && (truth == 0 || approximation.flushes))
        is_right = is_right && std::signbit(got) == std::signbit(truth);
    if (is_right) return {};
    return fmt::format("expected {} +- {}, got {}", truth, bound, got);
}

}  // namespace warpwright::words
