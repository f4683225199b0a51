// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding on queries and keys, in place, or keys and their values to their pages:
//   (a, b) -> (a cos t - b sin t, b cos t + a sin t),  t = position x frequency[i]
#pragma once

#include "kernels/fused/kv_append/problem.h"

namespace warpwright {

struct RopeProblem {
    i64 tokens = 1;
    i64 heads = 32;
    i64 kv_heads = 8;
    i64 head_dim = 128;
    i64 rotary_dim = 128;  // elements of a head that turn: its first ones
    bool interleaved = false;
    i64 page_size = 0;  // of the pages that keys and values are appended to; 0: none are
    DType dtype = DType::bf16;
    i64 alignment_bytes = 16;             // what every head's start is a multiple of
    KvFormat kv_format = KvFormat::same;  // of the pages
    i64 value_dim = 0;                    // of a head of v; 0: head_dim
    bool q_out = false;                   // queries do not turn in place

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("heads", self.heads);
        v("kv_heads", self.kv_heads);
        v("head_dim", self.head_dim);
        v("rotary_dim", self.rotary_dim);
        v("interleaved", self.interleaved);
        v("page_size", self.page_size);
        v("dtype", self.dtype);
        v("alignment_bytes", self.alignment_bytes);
        v("kv_format", self.kv_format);
        v("value_dim", self.value_dim);
        v("q_out", self.q_out);
    }
    constexpr RopeProblem canonical() const {
        RopeProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

// Where keys and values are appended to, as kv_append does it.
struct RopePages {
    const void* v;  // [tokens, kv_heads, value_dim]
    void* k_pages;  // null: keys turn in place
    void* v_pages;
    const i32* sequences;   // [tokens]
    const i32* page_table;  // [sequences, max_pages]
    KvStrides v_stride;
    KvPageStrides k_page_stride, v_page_stride;
    i64 page_table_stride;
    i32 head_dim, value_dim;
    i32 page_shift;  // page_size = 1 << page_shift

    // Of 8-bit pages, as in KvAppendArgs.
    KvFormat kv_format;
    i32 k_scale_stride, v_scale_stride;
    const float *k_scale, *v_scale;
};

struct RopeArgs {
    const void* q;                      // [tokens, heads, head_dim]
    void* q_out;                        // where turned elements go; may be q
    void* k;                            // [tokens, kv_heads, head_dim]
    const i32* positions;               // [tokens]; negative: padding, not appended
    const float* frequency;             // [pairs]
    i64 q_token_stride, q_head_stride;  // in elements
    i64 q_out_token_stride, q_out_head_stride;
    i64 k_token_stride, k_head_stride;
    RopePages pages;
    i32 tokens;
    i32 heads;
    i32 kv_heads;
    i32 pairs;  // rotary_dim / 2
    float magnitude;
    bool interleaved;
    bool positions_are_ready;  // see warpwright/ops/rope.h
};

}  // namespace warpwright
