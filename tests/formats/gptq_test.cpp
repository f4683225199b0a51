// SPDX-License-Identifier: Apache-2.0
// Rounding with error feedback against GPTQ as its paper has it, in fp64: with the inverse Hessian.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "engine/gptq/feedback.h"
#include "kernels/host_simd.h"

namespace warpwright::test {
namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::Recipe;
using Matrix = std::vector<std::vector<double>>;

constexpr double kDamping = 0.01;

std::vector<float> normal(i64 count, u32 seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> distribution;
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = distribution(random);
    return values;
}

// Inputs whose columns say much of each other, and are not of one size.
std::vector<float> correlated(i64 rows, i64 columns, u32 seed, float noise = 0.3F) {
    const std::vector<float> sources = normal(rows * 8, seed), mix = normal(8 * columns, seed + 1);
    std::vector<float> inputs = normal(rows * columns, seed + 2);
    for (i64 row = 0; row < rows; ++row) {
        for (i64 k = 0; k < columns; ++k) {
            float& value = inputs[static_cast<std::size_t>(row * columns + k)];
            value *= noise;
            for (i64 i = 0; i < 8; ++i) {
                value += sources[static_cast<std::size_t>(row * 8 + i)] *
                         mix[static_cast<std::size_t>(i * columns + k)];
            }
            value *= 1 + static_cast<float>(k % 5);
        }
    }
    return inputs;
}

Matrix gram(const std::vector<float>& inputs, i64 columns) {
    const auto n = static_cast<std::size_t>(columns);
    Matrix h(n, std::vector<double>(n));
    for (std::size_t row = 0; row < inputs.size(); row += n) {
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < n; ++j) h[i][j] += double{inputs[row + i]} * inputs[row + j];
        }
    }
    return h;
}

void damp(Matrix& h) {
    double mean = 0;
    for (std::size_t i = 0; i < h.size(); ++i) mean += h[i][i] / static_cast<double>(h.size());
    for (std::size_t i = 0; i < h.size(); ++i) h[i][i] += kDamping * mean;
}

Matrix inverse(Matrix a) {
    const std::size_t n = a.size();
    Matrix b(n, std::vector<double>(n));
    for (std::size_t i = 0; i < n; ++i) b[i][i] = 1;
    for (std::size_t i = 0; i < n; ++i) {
        const double pivot = a[i][i];
        for (std::size_t j = 0; j < n; ++j) a[i][j] /= pivot, b[i][j] /= pivot;
        for (std::size_t r = 0; r < n; ++r) {
            const double factor = a[r][i];
            if (r == i) continue;
            for (std::size_t j = 0; j < n; ++j) a[r][j] -= factor * a[i][j], b[r][j] -= factor * b[i][j];
        }
    }
    return b;
}

// Upper triangular U with U^T U = a.
Matrix cholesky(const Matrix& a) {
    const std::size_t n = a.size();
    Matrix u(n, std::vector<double>(n));
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = i; j < n; ++j) {
            double sum = a[i][j];
            for (std::size_t k = 0; k < i; ++k) sum -= u[k][i] * u[k][j];
            u[i][j] = i == j ? std::sqrt(sum) : sum / u[i][i];
        }
    }
    return u;
}

// Frantar et al., algorithm 1, a column at a time, for one row of weights. Its first column is our last one.
std::vector<u8> paper_codes(const Recipe& recipe, const Matrix& damped, std::vector<double> w) {
    const std::size_t n = w.size(), group = static_cast<std::size_t>(recipe.group_columns);
    Matrix turned(n, std::vector<double>(n));
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) turned[i][j] = damped[n - 1 - i][n - 1 - j];
    }
    const Matrix u = cholesky(inverse(turned));
    std::reverse(w.begin(), w.end());
    std::vector<u8> codes(n);
    formats::GroupScale scale;
    for (std::size_t i = 0; i < n; ++i) {
        if (i % group == 0) {
            const auto [low, high] =
                std::minmax_element(w.begin() + static_cast<i64>(i), w.begin() + static_cast<i64>(i + group));
            scale = integer_scale(recipe, static_cast<float>(std::min(*low, 0.0)),
                                  static_cast<float>(std::max(*high, 0.0)));
        }
        const double level = std::nearbyint(w[i] / scale.scale) + scale.zero;
        codes[n - 1 - i] = static_cast<u8>(std::clamp(level, 0.0, 15.0));
        const double error = (w[i] - (codes[n - 1 - i] - scale.zero) * double{scale.scale}) / u[i][i];
        for (std::size_t j = i; j < n; ++j) w[j] -= error * u[i][j];
    }
    return codes;
}

Hessian hessian_of(const std::vector<float>& inputs, i64 columns, HostThreads& threads) {
    auto hessian = Hessian::create(columns);
    EXPECT_TRUE(hessian.ok());
    const i64 rows = static_cast<i64>(inputs.size()) / columns;
    for (i64 first = 0; first < rows; first += 100) {
        hessian->add(inputs.data() + first * columns, std::min<i64>(100, rows - first), threads);
    }
    return std::move(*hessian);
}

// Summed over rows: e H e^T.
double cost(const Matrix& h, const std::vector<float>& weights, const QuantizedMatrix& matrix) {
    std::vector<float> values(weights.size());
    dequantise(matrix, values.data());
    double sum = 0;
    const std::size_t n = h.size();
    for (std::size_t row = 0; row < weights.size(); row += n) {
        for (std::size_t i = 0; i < n; ++i) {
            const double error = double{weights[row + i]} - values[row + i];
            for (std::size_t j = 0; j < n; ++j)
                sum += error * h[i][j] * (double{weights[row + j]} - values[row + j]);
        }
    }
    return sum;
}

TEST(HostSimd, MultiplyAdd) {
    const i64 rows = 29, columns = 71, k = 300;
    const std::vector<float> a = normal(rows * k, 1), b = normal(k * columns, 2),
                             before = normal(rows * columns, 3);
    const HostSimdList sets = host_simd_sets();
    for (int set = 0; set < sets.count; ++set) {
        for (const bool transposed : {false, true}) {
            SCOPED_TRACE(sets.sets[set]->name);
            const i64 a_stride = transposed ? 1 : k, a_k_stride = transposed ? rows : 1;
            std::vector<float> c = before;
            sets.sets[set]->multiply_add(-0.5F, a.data(), a_stride, a_k_stride, b.data(), columns, rows,
                                         columns, k, c.data(), columns);
            for (i64 i = 0; i < rows; ++i) {
                for (i64 j = 0; j < columns; ++j) {
                    double sum = 0, magnitude = 0;
                    for (i64 at = 0; at < k; ++at) {
                        const double product =
                            double{a[static_cast<std::size_t>(i * a_stride + at * a_k_stride)]} *
                            b[static_cast<std::size_t>(at * columns + j)];
                        sum += product, magnitude += std::abs(product);
                    }
                    const auto index = static_cast<std::size_t>(i * columns + j);
                    // The bound of a sum of k fp32 products in any order.
                    const double bound = 0x1p-24 * (k + 2) * (magnitude + std::abs(before[index]));
                    ASSERT_NEAR(c[index], before[index] - 0.5 * sum, bound) << i << ", " << j;
                }
            }
        }
    }
}

TEST(Hessian, FactorIsThatOfFp64) {
    HostThreads threads(2);
    const i64 n = 150;  // more than two blocks
    const std::vector<float> inputs = correlated(500, n, 4);
    Hessian hessian = hessian_of(inputs, n, threads);
    Matrix damped = gram(inputs, n);
    damp(damped);
    const auto damping = hessian.factor(kDamping, threads);
    ASSERT_TRUE(damping.ok());
    EXPECT_EQ(*damping, kDamping);
    const Matrix u = cholesky(damped);
    double error = 0, sum = 0;
    for (std::size_t p = 0; p < u.size(); ++p) {
        for (std::size_t i = p + 1; i < u.size(); ++i) {
            const double expected = u[p][i] / u[p][p];
            error += std::pow(hessian.coefficients(static_cast<i64>(p))[i] - expected, 2);
            sum += expected * expected;
        }
    }
    // A factor is off by the condition of the matrix: at most trace / damping here, times fp32's rounding.
    EXPECT_LT(std::sqrt(error / sum), 0x1p-24 * static_cast<double>(n) / kDamping);
}

TEST(Gptq, SameCodesAsThePaper) {
    HostThreads threads(2);
    const i64 rows = 9, columns = 96;
    const std::vector<float> inputs = correlated(400, columns, 5), weights = normal(rows * columns, 6);
    Matrix damped = gram(inputs, columns);
    damp(damped);
    Hessian hessian = hessian_of(inputs, columns, threads);
    ASSERT_TRUE(hessian.factor(kDamping, threads).ok());
    // With zero points: without, the least of a group is 7.5 steps below zero, and either code is right.
    for (const i64 group : {48, 8}) {
        SCOPED_TRACE(group);
        const Recipe recipe{
            .code = Code::u4, .group_columns = group, .symmetric = false, .scale_type = DType::f32};
        QuantizedMatrix made;
        quantise_with_feedback(recipe, hessian, {}, weights.data(), rows, made);
        for (i64 row = 0; row < rows; ++row) {
            const auto begin = weights.begin() + row * columns;
            const std::vector<u8> expected = paper_codes(recipe, damped, {begin, begin + columns});
            EXPECT_TRUE(std::equal(expected.begin(), expected.end(), made.codes.begin() + row * columns))
                << row;
        }
    }
}

TEST(Gptq, CostsLessThanRoundingToNearest) {
    HostThreads threads(2);
    const i64 rows = 24, columns = 160;
    const std::vector<float> inputs = correlated(600, columns, 7), weights = normal(rows * columns, 8);
    const Matrix h = gram(inputs, columns);
    const Recipe recipe{.code = Code::u4, .group_columns = 32, .scale_type = DType::bf16};
    QuantizedMatrix nearest, plain, ordered;
    quantise_rows(recipe, weights.data(), rows, columns, 0, nearest);
    Hessian hessian = hessian_of(inputs, columns, threads);
    const std::vector<i32> order = importance_order(hessian.diagonal());
    auto permuted = hessian.permuted(order, threads);
    ASSERT_TRUE(permuted.ok());
    ASSERT_TRUE(hessian.factor(kDamping, threads).ok());
    ASSERT_TRUE(permuted->factor(kDamping, threads).ok());
    quantise_with_feedback(recipe, hessian, {}, weights.data(), rows, plain);
    quantise_with_feedback(recipe, *permuted, order, weights.data(), rows, ordered);
    EXPECT_LT(cost(h, weights, plain), cost(h, weights, nearest));
    EXPECT_LT(cost(h, weights, ordered), cost(h, weights, plain));
    EXPECT_EQ(ordered.scales, nearest.scales);  // groups stay what they are
}

// Without anything to say of the weights, rounding is to nearest.
TEST(Gptq, InputsThatSayNothing) {
    HostThreads threads(2);
    const i64 rows = 5, columns = 64;
    const std::vector<float> weights = normal(rows * columns, 9);
    const Recipe recipe{.code = Code::u4, .group_columns = 32, .symmetric = false};
    QuantizedMatrix nearest, made;
    quantise_rows(recipe, weights.data(), rows, columns, 0, nearest);
    Hessian zeros = hessian_of(std::vector<float>(640, 0.0F), columns, threads);
    ASSERT_TRUE(zeros.factor(kDamping, threads).ok());
    quantise_with_feedback(recipe, zeros, {}, weights.data(), rows, made);
    EXPECT_EQ(made.codes, nearest.codes);
    EXPECT_EQ(made.scales, nearest.scales);
    EXPECT_EQ(made.zeros, nearest.zeros);
}

// Eight directions alone, and hardly any damping: more of it is taken until there is a factor.
TEST(Hessian, MoreDampingWhereItIsNotPositive) {
    HostThreads threads(2);
    Hessian hessian = hessian_of(correlated(300, 150, 10, 0), 150, threads);
    const auto damping = hessian.factor(1e-12, threads);
    ASSERT_TRUE(damping.ok());
    EXPECT_GT(*damping, 1e-12);
    EXPECT_LT(*damping, kDamping);
    Hessian broken = hessian_of(std::vector<float>(96, NAN), 96, threads);
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "expected finite numbers",
                        broken.factor(kDamping, threads).status().message());
}

}  // namespace
}  // namespace warpwright::test
