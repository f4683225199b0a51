// SPDX-License-Identifier: Apache-2.0
// Numbers without rounding, and what rounding them to a format means: the nearest of the format's own values.
// Slow and independent of how the emulator rounds.
#pragma once

#include <array>
#include <cmath>
#include <limits>

#include "emulator/execute/formats.h"

namespace warpwright::emulator {

// Multiples of 2^-320 below 2^320: products and sums of f32 are among them.
class Exact {
public:
    Exact() = default;
    explicit Exact(double x) : negative_(std::signbit(x)) {
        int exponent;
        const double fraction = std::frexp(std::fabs(x), &exponent);
        const auto mantissa = static_cast<u64>(std::ldexp(fraction, 53));
        if (mantissa == 0) return;
        const int shift = exponent - 53 + kFraction;
        for (int bit = 0; bit < 53; ++bit) {
            const int position = shift + bit;
            if ((mantissa >> bit & 1u) == 0) continue;
            words_.at(static_cast<std::size_t>(position / 32)) |= 1u << position % 32;
        }
    }
    bool negative() const { return negative_; }
    bool is_zero() const { return words_ == Words{}; }
    Exact magnitude() const {
        Exact x = *this;
        x.negative_ = false;
        return x;
    }
    Exact operator-() const {
        Exact x = *this;
        x.negative_ = !negative_;
        return x;
    }
    friend Exact operator+(const Exact& a, const Exact& b) {
        if (a.negative_ == b.negative_) {
            Exact sum = a;
            u64 carry = 0;
            for (std::size_t i = 0; i < kWords; ++i) {
                carry += u64{a.words_[i]} + b.words_[i];
                sum.words_[i] = static_cast<u32>(carry);
                carry >>= 32;
            }
            return sum;
        }
        const bool a_is_larger = compare_magnitudes(a, b) >= 0;
        const Exact &large = a_is_larger ? a : b, &small = a_is_larger ? b : a;
        Exact difference = large;
        i64 borrow = 0;
        for (std::size_t i = 0; i < kWords; ++i) {
            borrow += i64{large.words_[i]} - small.words_[i];
            difference.words_[i] = static_cast<u32>(borrow);
            borrow >>= 32;
        }
        return difference;
    }
    // -1, 0 or 1.
    static int compare_magnitudes(const Exact& a, const Exact& b) {
        for (std::size_t i = kWords; i-- > 0;)
            if (a.words_[i] != b.words_[i]) return a.words_[i] < b.words_[i] ? -1 : 1;
        return 0;
    }

private:
    static constexpr int kFraction = 320;
    static constexpr std::size_t kWords = 20;
    using Words = std::array<u32, kWords>;
    bool negative_ = false;
    Words words_{};
};

// The value of a magnitude in the format, by the definition. Beyond the largest one: the next in the row.
inline double value_of_magnitude(const FloatFormat& f, u32 magnitude) {
    const int exponent = static_cast<int>(magnitude >> f.mantissa_bits);
    const double fraction =
        std::ldexp(static_cast<double>(magnitude & ((1u << f.mantissa_bits) - 1)), -f.mantissa_bits);
    return exponent == 0 ? std::ldexp(fraction, 1 - f.bias) : std::ldexp(1 + fraction, exponent - f.bias);
}
// The value of a pattern; NaN and infinities as doubles.
inline double value_of_pattern(const FloatFormat& f, u32 pattern) {
    const u32 magnitude = pattern & f.magnitude();
    const double sign = (pattern & f.sign()) != 0 ? -1 : 1;
    if (magnitude > f.largest()) {
        const bool is_infinity = f.top == FloatFormat::Top::ieee && magnitude == f.largest() + 1;
        return is_infinity ? sign * std::numeric_limits<double>::infinity()
                           : std::numeric_limits<double>::quiet_NaN();
    }
    return sign * value_of_magnitude(f, magnitude);
}

// x rounded to the format. A zero takes `zero_is_negative`.
inline u32 rounded(const FloatFormat& f, const Exact& x, Rounding rounding, bool saturates = false,
                   bool zero_is_negative = false) {
    if (x.is_zero()) return zero_is_negative ? f.sign() : 0;
    const u32 sign = x.negative() ? f.sign() : 0;
    // The last magnitude that is not above x.
    u32 low = 0, high = f.largest() + 2;
    while (high - low > 1) {
        const u32 middle = low + (high - low) / 2;
        if (Exact::compare_magnitudes(Exact(value_of_magnitude(f, middle)), x) <= 0)
            low = middle;
        else
            high = middle;
    }
    u32 result = low;
    const Exact below(value_of_magnitude(f, low));
    if (low <= f.largest() && Exact::compare_magnitudes(below, x) != 0) {
        const Exact above(value_of_magnitude(f, low + 1));
        const int side =
            Exact::compare_magnitudes(x.magnitude() + x.magnitude(), below + above);  // of the tie
        const bool up = rounding == Rounding::nearest_even   ? side > 0 || (side == 0 && low % 2 == 1)
                        : rounding == Rounding::nearest_away ? side >= 0
                        : rounding == Rounding::up           ? !x.negative()
                        : rounding == Rounding::down         ? x.negative()
                                                             : false;
        if (up) ++result;
    }
    if (result <= f.largest()) return sign | result;
    const bool stays = rounding == Rounding::toward_zero || (rounding == Rounding::up && x.negative()) ||
                       (rounding == Rounding::down && !x.negative());
    if (saturates || stays || f.top == FloatFormat::Top::finite) return sign | f.largest();
    return sign | (f.largest() + 1);  // infinity, or the one NaN
}

// What .ftz flushes: rounded as if there were no least exponent, x is below the smallest normal number.
inline bool is_tiny(const FloatFormat& f, const Exact& x, Rounding rounding) {
    FloatFormat wide = f;
    wide.bias += f.mantissa_bits + 1;
    const u32 magnitude = rounded(wide, x, rounding) & wide.magnitude();
    return value_of_magnitude(wide, magnitude) < std::ldexp(1.0, 1 - f.bias);
}

}  // namespace warpwright::emulator
