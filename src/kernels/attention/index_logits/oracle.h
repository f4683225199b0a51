// SPDX-License-Identifier: Apache-2.0
// Scores of an indexer from their definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/index_logits/problem.h"

namespace warpwright {

// One batch as plain arrays. Numbers are as they are multiplied, without a key's scale.
struct IndexLogitsInputs {
    std::vector<float> q, weights;     // [q_tokens, heads, kIndexDim], [q_tokens, heads]
    std::vector<float> cache, scales;  // [pages, page_size, kIndexDim]; [pages, page_size] or empty
    std::vector<i32> q_starts, kv_lengths, page_table;
    i64 heads = 0;
    i64 page_size = 1, max_pages = 0;
    bool causal = true;

    i64 sequences() const { return static_cast<i64>(q_starts.size()) - 1; }
    i64 slot(i64 s, i64 key) const {
        return page_table[s * max_pages + key / page_size] * page_size + key % page_size;
    }
    // How many keys a query sees.
    i64 visible(i64 s, i64 token) const {
        return std::max<i64>(0, kv_lengths[s] - (causal ? q_starts[s + 1] - token - 1 : 0));
    }
};

// body(query, key, logit, the sum of the absolute values that it adds up).
template <class Real, class Body>
void index_logits_oracle(const IndexLogitsInputs& in, Body&& body) {
    for (i64 s = 0; s < in.sequences(); ++s) {
        for (i64 token = in.q_starts[s]; token < in.q_starts[s + 1]; ++token) {
            for (i64 key = 0; key < in.visible(s, token); ++key) {
                const i64 slot = in.slot(s, key);
                Real sum = 0, magnitude = 0;
                for (i64 head = 0; head < in.heads; ++head) {
                    const float* q = &in.q[(token * in.heads + head) * kIndexDim];
                    Real score = 0, terms = 0;
                    for (int i = 0; i < kIndexDim; ++i) {
                        const Real term = Real{q[i]} * Real{in.cache[slot * kIndexDim + i]};
                        score += term;
                        terms += std::abs(term);
                    }
                    const Real weight = in.weights[token * in.heads + head];
                    sum += weight * std::max<Real>(score, 0);
                    magnitude += std::abs(weight) * terms;
                }
                const Real scale = in.scales.empty() ? 1 : in.scales[slot];
                body(token, key, sum * scale, magnitude * std::abs(scale));
            }
        }
    }
}

}  // namespace warpwright
