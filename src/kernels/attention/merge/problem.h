// SPDX-License-Identifier: Apache-2.0
// Attention's partial results over disjoint keys, combined: with l_s the base-2 log-sum-exp of split s and
// l = log2(sum 2^l_s), out = sum 2^(l_s - l) out_s. The order of additions is fixed.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct AttentionMergeProblem {
    i64 q_tokens = 1;
    i64 heads = 32;
    i64 head_dim = 128;
    i64 splits = 8;
    DType dtype = DType::bf16;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("q_tokens", self.q_tokens);
        v("heads", self.heads);
        v("head_dim", self.head_dim);
        v("splits", self.splits);
        v("dtype", self.dtype);
    }
    constexpr AttentionMergeProblem canonical() const {
        AttentionMergeProblem problem = *this;
        problem.q_tokens = 128;
        return problem;
    }
};

struct AttentionMergeArgs {
    const float* partial_out;  // [splits, q_tokens, heads, partial_dim]; not read where the weight is 0
    const float* partial_lse;  // [splits, q_tokens, heads]
    void* out;                 // [q_tokens, heads, head_dim]
    float* lse;                // [q_tokens, heads] or null
    const float* sinks;        // [heads] or null: logits that are in the sum of the weights
    const i32* q_starts;       // [sequences + 1]: tokens before the first and from the last on do not exist
    i32 out_token_stride, out_head_stride;
    i32 lse_token_stride;
    i32 sequences;
    i32 q_tokens;
    i32 heads;
    i32 head_dim;
    i32 partial_dim;  // a multiple of 4
    i32 splits;
    float lse_factor;  // of what is left in lse: ln 2 where it is a natural logarithm
};

}  // namespace warpwright
