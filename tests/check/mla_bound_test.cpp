// SPDX-License-Identifier: Apache-2.0
// The bound of latent attention's outputs: what a kernel may do stays within it, every planted error does
// not.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "check/harness.h"
#include "kernels/attention/mla/oracle.h"
#include "kernels/legality.h"

namespace warpwright {
namespace {

struct Case {
    i64 keys = 70;
    double magnitude = 1;
    DType dtype = DType::bf16;
};

// One sequence of two queries, over pages of 16 keys in reverse order. The last key, which only the second
// query sees, is like both.
MlaInputs make_inputs(const Case& of, u64 seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal(0, static_cast<float>(of.magnitude));
    MlaInputs in{.q_starts = {0, 2},
                 .kv_lengths = {static_cast<i32>(of.keys)},
                 .heads = 8,
                 .page_size = 16,
                 .max_pages = ceil_div(of.keys, 16),
                 .scale = 1 / std::sqrt(192.0)};
    in.page_table.resize(static_cast<std::size_t>(in.max_pages));
    std::iota(in.page_table.rbegin(), in.page_table.rend(), 0);
    in.q.resize(static_cast<std::size_t>(2 * in.heads * kMlaKeyDim));
    in.cache.resize(static_cast<std::size_t>(in.max_pages * in.page_size * kMlaKeyDim));
    for (std::vector<float>* values : {&in.q, &in.cache})
        for (float& value : *values) value = round_to(of.dtype, normal(random));
    const auto last = static_cast<std::size_t>(in.row(0, of.keys - 1));
    for (std::size_t i = 0; i < kMlaKeyDim; ++i)
        in.cache[last + i] =
            round_to(of.dtype, (in.q[i] + in.q[static_cast<std::size_t>(in.heads) * kMlaKeyDim + i]) / 2);
    return in;
}

// As rows of 16 bits do it: weights are relative to another number than the largest score, by up to
// `headroom` in log2, and rounded so.
std::vector<float> compute(const MlaInputs& in, DType dtype, double headroom, u64 seed) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> below(0, headroom);
    std::vector<float> out;
    for (i64 row = 0; row < in.q_starts.back() * in.heads; ++row) {
        const std::vector<i64> keys = in.rows(0, row / in.heads);
        std::vector<double> scores;
        for (const i64 key : keys)
            scores.push_back(
                std::inner_product(&in.q[static_cast<std::size_t>(row * kMlaKeyDim)],
                                   &in.q[static_cast<std::size_t>(row * kMlaKeyDim)] + kMlaKeyDim,
                                   &in.cache[static_cast<std::size_t>(key)], 0.0) *
                in.scale * std::numbers::log2e);
        const double base = *std::max_element(scores.begin(), scores.end()) - below(random);
        double sum = 0;
        std::vector<double> sums(kMlaValueDim);
        for (std::size_t key = 0; key < keys.size(); ++key) {
            const double weight = std::exp2(scores[key] - base);
            const double stored = round_to(dtype, static_cast<float>(weight));
            sum += weight;
            for (i64 i = 0; i < kMlaValueDim; ++i)
                sums[static_cast<std::size_t>(i)] +=
                    stored * in.cache[static_cast<std::size_t>(keys[key] + i)];
        }
        for (const double value : sums) out.push_back(round_to(dtype, static_cast<float>(value / sum)));
    }
    return out;
}

Comparison compared(const std::vector<float>& out, const MlaInputs& in, DType dtype) {
    const AttentionAnswer<double> answer = mla_oracle<double>(in, dtype);
    return compare(out, answer.out, answer.bounds);
}

const std::vector<Case> kCases = {{70, 1, DType::bf16}, {70, 1, DType::f16},   {93, 4, DType::bf16},
                                  {93, 4, DType::f16},  {200, 1, DType::bf16}, {200, 1, DType::f16}};

TEST(MlaBound, AcceptsWeightsRelativeToAnyMaximum) {
    for (const Case& of : kCases) {
        for (u64 seed = 0; seed < 6; ++seed) {
            const MlaInputs in = make_inputs(of, seed);
            for (const double headroom : {0., 8.}) {
                const Comparison found = compared(compute(in, of.dtype, headroom, seed), in, of.dtype);
                EXPECT_TRUE(found.ok) << of.keys << " keys, seed " << seed << ": " << found.text;
            }
        }
    }
}

// Of a kernel that is right but for this.
TEST(MlaBound, CatchesPlantedErrors) {
    const std::pair<const char*, std::function<void(MlaInputs&)>> faults[] = {
        {"the last key is not seen", [](MlaInputs& in) { --in.kv_lengths[0]; }},
        {"the last key is seen too early", [](MlaInputs& in) { in.causal = false; }},
        {"the first page is another", [](MlaInputs& in) { in.page_table[0] = in.page_table[1]; }},
        {"the scale is that of 193 columns", [](MlaInputs& in) { in.scale = 1 / std::sqrt(193.0); }},
        {"the last column of keys is not read",
         [](MlaInputs& in) {
             for (std::size_t i = kMlaKeyDim - 1; i < in.q.size(); i += kMlaKeyDim) in.q[i] = 0;
         }},
        {"one head reads the query of the next",
         [](MlaInputs& in) { std::copy_n(&in.q[kMlaKeyDim], kMlaKeyDim, in.q.data()); }},
        {"a number of the cache is another",
         [](MlaInputs& in) { in.cache[static_cast<std::size_t>(in.row(0, 3)) + 7] += 2; }},
    };
    for (const Case& of : kCases) {
        const MlaInputs in = make_inputs(of, 3);
        for (const auto& [name, plant] : faults) {
            MlaInputs wrong = in;
            plant(wrong);
            EXPECT_FALSE(compared(compute(wrong, of.dtype, 8, 3), in, of.dtype).ok)
                << name << ", " << of.keys << " keys";
        }
        std::vector<float> out = compute(in, of.dtype, 8, 3);
        std::rotate(out.begin(), out.begin() + 1, out.end());
        EXPECT_FALSE(compared(out, in, of.dtype).ok) << "columns are shifted by one, " << of.keys << " keys";
    }
}

}  // namespace
}  // namespace warpwright
