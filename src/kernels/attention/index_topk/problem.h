// SPDX-License-Identifier: Apache-2.0
// The best keys of each query; the definition is in include/warpwright/ops/index_topk.h.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// Lengths are capacities: the lengths of a launch are read from device memory.
struct IndexTopkProblem {
    i64 sequences = 1;
    i64 max_q_len = 1;
    i64 max_kv_len = 4096;
    i64 q_tokens = 0;  // over all sequences; 0: sequences x max_q_len
    i64 k = 2048;
    bool causal = true;
    i64 page_size = 0;  // 0: results are positions, not slots of pages

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("sequences", self.sequences);
        v("max_q_len", self.max_q_len);
        v("max_kv_len", self.max_kv_len);
        v("q_tokens", self.q_tokens);
        v("k", self.k);
        v("causal", self.causal);
        v("page_size", self.page_size);
    }
    // One row for every batch.
    constexpr IndexTopkProblem canonical() const {
        IndexTopkProblem problem = *this;
        problem.sequences = 1;
        problem.max_q_len = problem.q_tokens = 128;
        problem.max_kv_len = 4096;
        return problem;
    }
};

// Strides count elements.
struct IndexTopkArgs {
    const float* logits;    // [q_tokens, columns]
    i32* indices;           // [q_tokens, k]
    i32* index_lengths;     // [q_tokens] or null
    const i32* q_starts;    // [sequences + 1]
    const i32* kv_lengths;  // [sequences]
    const i32* page_table;  // [sequences, max_pages] or null

    i64 logits_stride;
    i64 indices_stride;
    i32 page_table_stride;
    i32 sequences;
    i32 max_q_len;
    i32 max_kv_len;
    i32 k;
    i32 page_shift;  // log2 of the page size
    i32 causal;
};

}  // namespace warpwright
