// SPDX-License-Identifier: Apache-2.0
// Attention from its definition, in fp64; and the same in the precision that a kernel is entitled to.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention/bound.h"
#include "kernels/attention/problem.h"
#include "kernels/host_math.h"

namespace warpwright {

// One batch as plain arrays. Keys and values are pages [pages, page_size, kv_heads, head_dim] where
// page_table is not empty, else [kv_tokens, kv_heads, head_dim].
struct AttentionInputs {
    std::vector<float> q, k, v;
    std::vector<i32> q_starts, kv_starts, kv_lengths, page_table;
    i64 heads = 0, kv_heads = 0, head_dim = 0;
    i64 page_size = 1, max_pages = 0;
    bool causal = true;
    double scale = 1;
    i64 window_left = -1;                    // -1: none
    double softcap = 0;                      // 0: none
    std::vector<float> k_scale, v_scale;     // of each kv head; empty: 1
    i64 window_right = -1;                   // -1: none
    i64 chunk = 0;                           // 0: none
    std::vector<float> sinks, alibi_slopes;  // of each head; empty: none
    std::vector<u32> mask;                   // [q_tokens, mask_words]; empty: none
    i64 mask_words = 0;
    bool mask_of_queries = false;
    i64 head_dim_v = 0;  // columns of v and out; 0: head_dim
    // Lists of blocks of keys, [sequences, list_heads, query_blocks + 1]; no block_starts: none.
    std::vector<i32> block_starts, block_columns;
    i64 block_queries = 0, block_keys = 0, list_heads = 1, query_blocks = 0;

    i64 sequences() const { return static_cast<i64>(q_starts.size()) - 1; }
    i64 q_len(i64 s) const { return q_starts[s + 1] - q_starts[s]; }
    i64 kv_len(i64 s) const {
        return page_table.empty() ? kv_starts[s + 1] - kv_starts[s] : i64{kv_lengths[s]};
    }
    // Element offset of a key's row in k; of its value's in v.
    i64 kv_row(i64 s, i64 key, i64 kv_head) const {
        const i64 token = page_table.empty()
                              ? kv_starts[s] + key
                              : page_table[s * max_pages + key / page_size] * page_size + key % page_size;
        return (token * kv_heads + kv_head) * head_dim;
    }
    i64 value_dim() const { return head_dim_v > 0 ? head_dim_v : head_dim; }
    i64 value_row(i64 s, i64 key, i64 kv_head) const {
        return kv_row(s, key, kv_head) / head_dim * value_dim();
    }
    static float scale_of(const std::vector<float>& scales, i64 kv_head) {
        return scales.empty() ? 1 : scales[static_cast<std::size_t>(kv_head)];
    }
    // The keys that a query sees: from first_visible up to visible.
    i64 visible(i64 s, i64 query) const {
        const i64 own = own_key(s, query);
        i64 end = kv_len(s);
        if (causal) end = std::min(end, own + 1);
        if (window_right >= 0) end = std::min(end, own + window_right + 1);
        return std::max<i64>(0, end);
    }
    i64 first_visible(i64 s, i64 query) const {
        const i64 own = own_key(s, query);
        i64 first = 0;
        if (window_left >= 0) first = std::max(first, own - window_left);
        if (chunk > 0) first = std::max(first, own / chunk * chunk);
        return first;
    }
    i64 own_key(i64 s, i64 query) const { return kv_len(s) - q_len(s) + query; }
    bool is_listed(i64 s, i64 kv_head, i64 query, i64 key) const {
        if (block_starts.empty()) return true;
        const i64 list = (s * list_heads + kv_head % list_heads) * (query_blocks + 1) + query / block_queries;
        const auto first = block_columns.begin() + block_starts[static_cast<std::size_t>(list)];
        const auto last = block_columns.begin() + block_starts[static_cast<std::size_t>(list + 1)];
        return std::find(first, last, key / block_keys) != last;
    }
    // What is not in [first_visible, visible) is not asked for.
    bool is_in_mask(i64 s, i64 query, i64 key) const {
        const i64 bit = key - (mask_of_queries ? kv_len(s) - q_len(s) : 0);
        if (mask.empty() || bit < 0) return true;
        return bit < mask_words * 32 &&
               (mask[static_cast<std::size_t>((q_starts[s] + query) * mask_words + bit / 32)] >> bit % 32 &
                1);
    }
};

template <class Real>
struct AttentionAnswer {
    std::vector<Real> out;  // [q_tokens, heads, value_dim()]
    std::vector<Real> lse;  // [q_tokens, heads], base 2
    double largest_score = 0;
    std::vector<ErrorBound> bounds;  // of out, from the definition; empty: none
};

// Real = double: the definition. Real = float: fp32 sums, and the weights rounded to `storage` before they
// multiply v, as the tensor cores want them.
template <class Real>
AttentionAnswer<Real> attention_oracle(const AttentionInputs& in, DType storage) {
    const i64 group = in.heads / in.kv_heads, rows = static_cast<i64>(in.q_starts.back()) * in.heads;
    constexpr bool rounds = sizeof(Real) == sizeof(float);
    constexpr double kLog2E = 1.4426950408889634;
    AttentionAnswer<Real> answer{std::vector<Real>(static_cast<std::size_t>(rows * in.value_dim())),
                                 std::vector<Real>(static_cast<std::size_t>(rows))};
    std::vector<Real> scores;
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 query = 0; query < in.q_len(s); ++query) {
            for (i64 head = 0; head < in.heads; ++head) {
                const i64 row = (in.q_starts[s] + query) * in.heads + head;
                const float* q = &in.q[row * in.head_dim];
                const i64 first = in.first_visible(s, query);
                const Real k_scale = in.scale_of(in.k_scale, head / group);
                const Real v_scale = in.scale_of(in.v_scale, head / group);
                scores.assign(static_cast<std::size_t>(std::max<i64>(0, in.visible(s, query) - first)), 0);
                constexpr Real kInfinity = std::numeric_limits<Real>::infinity();
                const Real sink = in.sinks.empty() ? -kInfinity : static_cast<Real>(in.sinks[head] * kLog2E);
                Real max = sink, sum = 0;
                for (std::size_t key = 0; key < scores.size(); ++key) {
                    if (!in.is_listed(s, head / group, query, first + static_cast<i64>(key))) {
                        scores[key] = -kInfinity;
                        continue;
                    }
                    const float* k = &in.k[in.kv_row(s, first + static_cast<i64>(key), head / group)];
                    for (i64 i = 0; i < in.head_dim; ++i) scores[key] += Real{q[i]} * Real{k[i]};
                    scores[key] *= k_scale;
                    if (in.softcap > 0) {
                        scores[key] = static_cast<Real>(in.softcap * kLog2E) *
                                      std::tanh(scores[key] * static_cast<Real>(in.scale / in.softcap));
                    } else {
                        scores[key] *= static_cast<Real>(in.scale * kLog2E);
                    }
                    const i64 at = first + static_cast<i64>(key);
                    if (!in.alibi_slopes.empty())
                        scores[key] -= static_cast<Real>(in.alibi_slopes[head] * kLog2E) *
                                       static_cast<Real>(std::abs(in.own_key(s, query) - at));
                    if (!in.is_in_mask(s, query, at)) {
                        scores[key] = -kInfinity;
                        continue;
                    }
                    max = std::max(max, scores[key]);
                    answer.largest_score = std::max(answer.largest_score, std::abs(double(scores[key])));
                }
                Real* out = &answer.out[row * in.value_dim()];
                if (sink != -kInfinity) sum = std::exp2(sink - max);
                for (std::size_t key = 0; key < scores.size(); ++key) {
                    if (scores[key] == -kInfinity) continue;
                    const Real weight = std::exp2(scores[key] - max);
                    sum += weight;
                    const Real stored = rounds ? static_cast<Real>(round_to(storage, float(weight))) : weight;
                    const float* v = &in.v[in.value_row(s, first + static_cast<i64>(key), head / group)];
                    for (i64 i = 0; i < in.value_dim(); ++i) out[i] += stored * Real{v[i]};
                }
                for (i64 i = 0; i < in.value_dim() && sum != 0; ++i) {
                    out[i] = out[i] / sum * v_scale;
                    if (rounds) out[i] = static_cast<Real>(round_to(storage, float(out[i])));
                }
                answer.lse[row] = sum == 0 ? -std::numeric_limits<Real>::infinity() : max + std::log2(sum);
            }
        }
    }
    return answer;
}

}  // namespace warpwright
