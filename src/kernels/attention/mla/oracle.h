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
    float k_scale = 1;                        // of all numbers of the cache
    std::vector<i32> indices, index_lengths;  // not empty: [q_tokens, max_indices] slots; [q_tokens]
    i64 max_indices = 0;

    i64 sequences() const { return static_cast<i64>(q_starts.size()) - 1; }
    // Element offset of a key's row in the cache.
    i64 row(i64 s, i64 key) const {
        return (page_table[s * max_pages + key / page_size] * page_size + key % page_size) * kMlaKeyDim;
    }
    // Those of all keys that a query of the sequence attends to.
    std::vector<i64> rows(i64 s, i64 token) const {
        std::vector<i64> found;
        if (indices.empty()) {
            const i64 behind = causal ? q_starts[s + 1] - token - 1 : 0;
            for (i64 key = 0; key < kv_lengths[s] - behind; ++key) found.push_back(row(s, key));
            return found;
        }
        const i64 slots = static_cast<i64>(cache.size()) / kMlaKeyDim;
        const i64 length = index_lengths.empty() ? max_indices : index_lengths[token];
        for (i64 i = 0; i < std::min(length, max_indices); ++i) {
            const i64 slot = indices[token * max_indices + i];
            if (slot >= 0 && slot < slots) found.push_back(slot * kMlaKeyDim);
        }
        return found;
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
    std::vector<Real> scores;
    std::vector<WeighedKey> weighed;
    if (!rounds) answer.bounds.resize(answer.out.size());
    for (i64 s = 0; s < in.sequences(); ++s) {
        const i64 q_len = in.q_starts[s + 1] - in.q_starts[s];
        for (i64 index = 0; index < q_len * in.heads; ++index) {
            const i64 row = in.q_starts[s] * in.heads + index;
            const std::vector<i64> keys = in.rows(s, row / in.heads);
            const float* q = &in.q[row * kMlaKeyDim];
            scores.assign(keys.size(), 0);
            weighed.assign(keys.size(), {});
            Real max = -std::numeric_limits<Real>::infinity(), sum = 0;
            for (std::size_t key = 0; key < scores.size(); ++key) {
                const float* latent = &in.cache[static_cast<std::size_t>(keys[key])];
                double squares = 0;
                for (int i = 0; i < kMlaKeyDim; ++i) {
                    const Real product = Real{q[i]} * Real{latent[i]};
                    scores[key] += product;
                    squares += product * product;
                }
                const double scale = in.scale * kLog2E * in.k_scale;
                scores[key] *= static_cast<Real>(scale);
                weighed[key] = {0, scores[key], std::sqrt(squares) * scale, latent};
                max = std::max(max, scores[key]);
                answer.largest_score = std::max(answer.largest_score, std::abs(double(scores[key])));
            }
            Real* out = &answer.out[row * kMlaValueDim];
            for (std::size_t key = 0; key < scores.size(); ++key) {
                const Real weight = std::exp2(scores[key] - max);
                sum += weight;
                weighed[key].weight = weight;
                const Real stored = rounds ? static_cast<Real>(round_to(storage, float(weight))) : weight;
                const float* latent = &in.cache[static_cast<std::size_t>(keys[key])];
                for (int i = 0; i < kMlaValueDim; ++i) out[i] += stored * Real{latent[i]};
            }
            for (int i = 0; i < kMlaValueDim && sum != 0; ++i) {
                out[i] = out[i] * in.k_scale / sum;
                if (rounds) out[i] = static_cast<Real>(round_to(storage, float(out[i])));
            }
            if constexpr (!rounds) {
                for (WeighedKey& key : weighed) key.weight /= sum;
                bound_outputs(weighed, kMlaKeyDim, in.k_scale, storage, {out, kMlaValueDim},
                              {&answer.bounds[row * kMlaValueDim], kMlaValueDim});
            }
            answer.lse[row] = sum == 0 ? max : max + std::log2(sum);
        }
    }
    return answer;
}

}  // namespace warpwright
