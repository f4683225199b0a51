// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding in place on queries and keys:
//   (a, b) -> (a cos t - b sin t, b cos t + a sin t),  t = position x frequency[i]
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct RopeProblem {
    i64 tokens = 1;
    i64 heads = 32;
    i64 kv_heads = 8;
    i64 head_dim = 128;
    i64 rotary_dim = 128;  // elements of a head that turn: its first ones
    bool interleaved = false;
    DType dtype = DType::bf16;
    i64 alignment_bytes = 16;  // what every head's start is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("heads", self.heads);
        v("kv_heads", self.kv_heads);
        v("head_dim", self.head_dim);
        v("rotary_dim", self.rotary_dim);
        v("interleaved", self.interleaved);
        v("dtype", self.dtype);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr RopeProblem canonical() const {
        RopeProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct RopeArgs {
    void* q;                            // [tokens, heads, head_dim]
    void* k;                            // [tokens, kv_heads, head_dim]
    const i32* positions;               // [tokens]
    const float* frequency;             // [pairs]
    i64 q_token_stride, q_head_stride;  // in elements
    i64 k_token_stride, k_head_stride;
    i32 tokens;
    i32 heads;
    i32 kv_heads;
    i32 pairs;  // rotary_dim / 2
    float magnitude;
    bool interleaved;
};

}  // namespace warpwright
