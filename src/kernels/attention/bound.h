// SPDX-License-Identifier: Apache-2.0
// How far the outputs of a row may be from their definition, in a kernel that sums in fp32 and rounds weights
// to the storage type before they multiply values.
//
// out = sum of w v over the keys, where weights w sum to 1; u is the unit roundoff of the storage type. What
// moves an output, and by how much at most:
//
//   weights     (e v)   They are relative to any maximum that a kernel has seen, so that the largest is
//                       rounded, too: e = u w, at least 2^-25 of the largest in f16, 2^-126 in bf16.
//   scores      (g w (v - out))   n products are summed in fp32; partial sums are about as large as the
//                       norm p of the products: g = ln 2 2^-23 n^1/2 p. A weight divides, too: v - out.
//   exponents   sum of r w |v - out|   Score, maximum and difference are rounded, exp2 is right to two
//                       units; keys may have this in common: r = 2^-22 + ln 2 2^-23 (|score| + |max|).
//   sums        (h)     Outputs are summed as scores are: h = 2^-23 keys^1/2 (|out| + norm of w v).
//   result      u |out|, and what is below the normal numbers, as with weights.
//
// (x) is a sum over the keys of errors that are independent, go up as often as down, and are none beyond x.
// By Hoeffding's inequality it is beyond t times the norm of x in 2 e^(-t^2 / 2) of all cases (Higham and
// Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41(5), 2019): with t =
// 8 in one of 4 x 10^13, where a check has 10^7 outputs. Where few keys have all the weight, the sum of |x|
// is less than that, and holds always. Tensor cores truncate: hence 2^-23, not 2^-24, and what they lose in
// one direction in n / 16 additions is less than t n^1/2 of them. Of many outputs no mean square is beyond
// that of the norms: the signs of numbers differ from column to column.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "kernels/error_bound.h"
#include "warpwright/types.h"

namespace warpwright {

struct WeighedKey {
    double weight;
    double score;          // base 2
    double products;       // the norm of what it is the sum of
    const float* numbers;  // values over value_scale
};

// `depth`: products in a score. A sink is a key of zeros.
inline void bound_outputs(std::span<const WeighedKey> keys, i64 depth, double value_scale, DType storage,
                          std::span<const double> out, std::span<ErrorBound> bounds) {
    constexpr double kDeviations = 8, kUnit = 0x1p-23, kLn2 = std::numbers::ln2;
    const bool is_f16 = storage == DType::f16;
    const double u = is_f16 ? 0x1p-11 : 0x1p-8, smallest = is_f16 ? 0x1p-25 : 0x1p-126;
    WeighedKey largest{};
    for (const WeighedKey& key : keys) {
        if (key.weight > largest.weight) largest = key;
    }
    const double max = std::abs(largest.score);
    struct Sums {
        float weights = 0, weight_squares = 0, score_squares = 0, exponents = 0, product_squares = 0;
    };
    std::vector<Sums> sums(out.size());
    for (const WeighedKey& key : keys) {
        const auto weight = static_cast<float>(key.weight);
        const auto e = static_cast<float>(std::max(u * key.weight, smallest * largest.weight));
        const auto g = static_cast<float>(kLn2 * kUnit * std::sqrt(double(depth)) * key.products);
        const auto r = static_cast<float>(2 * kUnit + kLn2 * kUnit * (std::abs(key.score) + max));
        for (std::size_t i = 0; i < out.size(); ++i) {
            const float v = key.numbers[i] * static_cast<float>(value_scale);
            const float moved = weight * std::abs(v - static_cast<float>(out[i]));
            sums[i].weights += e * std::abs(v);
            sums[i].weight_squares += e * v * (e * v);
            sums[i].score_squares += g * moved * (g * moved);
            sums[i].exponents += r * moved;
            sums[i].product_squares += weight * v * (weight * v);
        }
    }
    const double of_sums = kUnit * std::sqrt(static_cast<double>(keys.size()));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const Sums& of = sums[i];
        const double size = std::abs(out[i]), result = u * size + smallest;
        const double added = of_sums * (size + std::sqrt(of.product_squares));
        const double before = std::min<double>(of.weights, kDeviations * std::sqrt(of.weight_squares)) +
                              kDeviations * (std::sqrt(of.score_squares) + added) + of.exponents;
        bounds[i].largest = static_cast<float>(result + (1 + u) * before);
        bounds[i].usual =
            static_cast<float>(std::sqrt(result * result + of.weight_squares + of.score_squares +
                                         of.exponents * of.exponents + added * added));
    }
}

}  // namespace warpwright
