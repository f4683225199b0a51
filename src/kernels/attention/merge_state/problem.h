// SPDX-License-Identifier: Apache-2.0
// States of attention, combined; include/warpwright/ops/merge_state.h has the definition.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct MergeStateProblem {
    i64 tokens = 1;
    i64 heads = 32;
    i64 head_dim = 128;
    i64 states = 2;
    DType dtype = DType::bf16;
    i64 alignment_bytes = 16;  // what the start of every row of states and outputs is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("heads", self.heads);
        v("head_dim", self.head_dim);
        v("states", self.states);
        v("dtype", self.dtype);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr MergeStateProblem canonical() const {
        MergeStateProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

// Strides count elements.
struct MergeStateSource {
    const void* out;   // [states, tokens, heads, head_dim]; not read where there are no keys
    const float* lse;  // [states, tokens, heads]
    i64 state_stride, token_stride, head_stride;
    i64 lse_state_stride, lse_token_stride, lse_head_stride;
};

struct MergeStateArgs {
    MergeStateSource first, others;  // of the first state and of those after it
    void* out;                       // [tokens, heads, head_dim]; may be one of the states
    float* lse;                      // [tokens, heads] or null; may be that state's
    i64 out_token_stride, out_head_stride;
    i64 lse_token_stride, lse_head_stride;
    i64 rows;       // tokens x heads
    float to_log2;  // a log-sum-exp in base 2 by that in the call's
    i32 heads;
    i32 head_dim;
    i32 states;
};

}  // namespace warpwright
