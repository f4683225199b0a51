// SPDX-License-Identifier: Apache-2.0
// Latent attention from its definition: one kv head, whose values are the first columns of its keys.
#pragma once

#include "kernels/attention/mla/problem.h"
#include "kernels/attention/oracle.h"

namespace warpwright {

// One batch as plain arrays.
struct MlaInputs {
    std::vector<float> q, cache;  // [q_tokens, heads, kMlaKeyDim], [pages, page_size, kMlaKeyDim]
    std::vector<i32> q_starts, kv_lengths, page_table;
    i64 heads = 0;
    i64 page_size = 1, max_pages = 0;
    bool causal = true;
    double scale = 1;
    bool records = false;  // numbers of the cache are products, not rounded yet

    i64 sequences() const { return static_cast<i64>(q_starts.size()) - 1; }
    // Element offset of a key's row in the cache.
    i64 row(i64 s, i64 key) const {
        return (page_table[s * max_pages + key / page_size] * page_size + key % page_size) * kMlaKeyDim;
    }
};

// Real = double: the definition. Real = float: fp32 sums, and the weights rounded to `storage` before they
// multiply values, as the tensor cores want them. Outputs are [q_tokens, heads, kMlaValueDim].
template <class Real>
AttentionAnswer<Real> mla_oracle(const MlaInputs& in, DType storage) {
    constexpr bool rounds = sizeof(Real) == sizeof(float);
    constexpr double kLog2E = 1.4426950408889634;
    const i64 rows = i64{in.q_starts.back()} * in.heads;
    AttentionAnswer<Real> answer{std::vector<Real>(static_cast<std::size_t>(rows * kMlaValueDim)),
                                 std::vector<Real>(static_cast<std::size_t>(rows))};
    const auto number = [&](float value) {
        return Real{rounds && in.records ? round_to(storage, value) : value};
    };
    std::vector<Real> scores;
    for (i64 s = 0; s < in.sequences(); ++s) {
        const i64 q_len = in.q_starts[s + 1] - in.q_starts[s], kv_len = in.kv_lengths[s];
        for (i64 index = 0; index < q_len * in.heads; ++index) {
            const i64 row = in.q_starts[s] * in.heads + index;
            const i64 visible = in.causal ? kv_len - q_len + index / in.heads + 1 : kv_len;
            const float* q = &in.q[row * kMlaKeyDim];
            scores.assign(static_cast<std::size_t>(std::max<i64>(0, visible)), 0);
            Real max = -std::numeric_limits<Real>::infinity(), sum = 0;
            for (std::size_t key = 0; key < scores.size(); ++key) {
                const float* latent = &in.cache[in.row(s, static_cast<i64>(key))];
                for (int i = 0; i < kMlaKeyDim; ++i) scores[key] += Real{q[i]} * number(latent[i]);
                scores[key] *= static_cast<Real>(in.scale * kLog2E);
                max = std::max(max, scores[key]);
                answer.largest_score = std::max(answer.largest_score, std::abs(double(scores[key])));
            }
            Real* out = &answer.out[row * kMlaValueDim];
            for (std::size_t key = 0; key < scores.size(); ++key) {
                const Real weight = std::exp2(scores[key] - max);
                sum += weight;
                const Real stored = rounds ? static_cast<Real>(round_to(storage, float(weight))) : weight;
                const float* latent = &in.cache[in.row(s, static_cast<i64>(key))];
                for (int i = 0; i < kMlaValueDim; ++i) out[i] += stored * number(latent[i]);
            }
            for (int i = 0; i < kMlaValueDim && sum != 0; ++i) {
                out[i] /= sum;
                if (rounds) out[i] = static_cast<Real>(round_to(storage, float(out[i])));
            }
            answer.lse[row] = sum == 0 ? max : max + std::log2(sum);
        }
    }
    return answer;
}

}  // namespace warpwright
