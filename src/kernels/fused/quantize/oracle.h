// SPDX-License-Identifier: Apache-2.0
// Quantisation from its definition (warpwright/ops/quantize.h): in fp64, rounded to fp32 where it says so,
// and codes looked for among all values of their type.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "formats/codecs.h"
#include "kernels/fused/quantize/problem.h"

namespace warpwright {

struct QuantizeAnswer {
    std::vector<double> codes;   // [rows, columns], a code each
    std::vector<double> scales;  // [row groups, column groups]; coded ones as their bytes
};

// The nearest of a type's finite values, of two that are as near the one with the even code.
class NearestCode {
public:
    explicit NearestCode(CodeType type) : type_(type) {
        if (type == CodeType::i8) return;
        const formats::SmallFloat& format = type == CodeType::e4m3   ? formats::kE4M3
                                            : type == CodeType::e5m2 ? formats::kE5M2
                                                                     : formats::kE2M1;
        for (int code = 0; code <= format.max_code; ++code)
            values_.push_back(formats::decode(format, static_cast<u8>(code)));
    }
    double operator()(double value) const {
        if (type_ == CodeType::i8) {
            if (std::isnan(value)) return 0;
            const double rounded = std::nearbyint(std::clamp(value, -127.0, 127.0));
            return rounded < 0 ? rounded + 256 : rounded;
        }
        const int sign = type_ == CodeType::e2m1 ? 8 : 0x80;
        if (std::isnan(value)) return sign - 1;
        const double magnitude = std::abs(value);
        const auto above = std::lower_bound(values_.begin(), values_.end(), magnitude);
        auto code = above == values_.end() ? std::ssize(values_) - 1 : above - values_.begin();
        if (above != values_.end() && above != values_.begin()) {
            const double up = *above - magnitude, down = magnitude - *(above - 1);
            if (down < up || (down == up && code % 2 != 0)) --code;
        }
        return static_cast<double>(code + (std::signbit(value) ? sign : 0));
    }
    double value(double code) const { return values_[static_cast<std::size_t>(code)]; }

private:
    CodeType type_;
    std::vector<double> values_;
};

// {as it is stored, what elements are multiplied by}. `amax` is NaN where the group has one.
inline std::pair<double, double> quantize_scale(CodeType code, ScaleType type, double amax, double least_amax,
                                                double global_scale) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double max = facts_of(code).max;
    const auto fp32 = [](double value) { return static_cast<double>(static_cast<float>(value)); };
    amax = std::isnan(amax) ? amax
                            : std::max(std::min(amax, double{std::numeric_limits<float>::max()}), least_amax);
    if (type == ScaleType::e4m3) {
        const bool usable = global_scale > 0 && std::isfinite(global_scale);
        const double reciprocal = usable ? fp32(1 / global_scale) : nan;
        const NearestCode e4m3(CodeType::e4m3);
        const double stored = e4m3(fp32(fp32(amax / max) * reciprocal));
        if (stored == 0x7f) return {stored, nan};
        return {stored, stored == 0 ? 0 : fp32(reciprocal / e4m3.value(stored))};
    }
    if (type == ScaleType::f32) {
        const double scale = amax == 0 ? 1 : std::isnan(amax) ? nan : std::max(fp32(amax / max), 0x1p-126);
        return {scale, fp32(1 / scale)};
    }
    const bool is_code = type != ScaleType::power_of_two;
    if (std::isnan(amax)) return {is_code ? 0xff : nan, nan};
    int exponent = -1000;
    if (amax > 0) {
        exponent = type == ScaleType::e8m0 ? std::ilogb(amax) - std::ilogb(max)
                                           : static_cast<int>(std::ceil(std::log2(amax / max)));
    }
    exponent = std::max(exponent, is_code ? -127 : -126);
    if (!is_code && amax == 0) exponent = 0;
    return {is_code ? exponent + 127 : std::ldexp(1.0, exponent), std::ldexp(1.0, -exponent)};
}

// x: [rows, columns]. `given_scale`: of the whole tensor, or null.
inline QuantizeAnswer quantize_oracle(const QuantizeProblem& problem, const std::vector<float>& x,
                                      double least_amax, double global_scale, const float* given_scale) {
    const i64 row_groups = (problem.rows + problem.group_rows - 1) / problem.group_rows;
    const i64 column_groups = (problem.columns + problem.group_columns - 1) / problem.group_columns;
    const auto group_of = [&](i64 row, i64 column) {
        return static_cast<std::size_t>(row / problem.group_rows * column_groups +
                                        column / problem.group_columns);
    };
    const auto num_groups = static_cast<std::size_t>(row_groups * column_groups);
    std::vector<double> amax(num_groups), multiplier(num_groups);
    QuantizeAnswer answer{std::vector<double>(x.size()), std::vector<double>(num_groups)};
    for (i64 i = 0; i < std::ssize(x); ++i) {
        double& most = amax[group_of(i / problem.columns, i % problem.columns)];
        const double magnitude = std::abs(double{x[static_cast<std::size_t>(i)]});
        if (!(magnitude <= most) && !std::isnan(most)) most = magnitude;
    }
    for (std::size_t group = 0; group < num_groups; ++group) {
        if (given_scale != nullptr) {
            const bool usable = *given_scale > 0 && std::isfinite(*given_scale);
            answer.scales[group] = *given_scale;
            multiplier[group] = usable ? double{1 / *given_scale} : std::nan("");
        } else {
            std::tie(answer.scales[group], multiplier[group]) =
                quantize_scale(problem.code, problem.scale, amax[group], least_amax, global_scale);
        }
    }
    const NearestCode nearest(problem.code);
    for (i64 i = 0; i < std::ssize(x); ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double scaled = x[at] * multiplier[group_of(i / problem.columns, i % problem.columns)];
        answer.codes[at] = nearest(static_cast<double>(static_cast<float>(scaled)));
    }
    return answer;
}

}  // namespace warpwright
