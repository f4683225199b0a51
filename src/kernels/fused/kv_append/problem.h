// SPDX-License-Identifier: Apache-2.0
// Writes new keys and values into the pages of their sequences: as they are, so that one row serves both
// 16-bit types, or as 8-bit codes.
#pragma once

#include "warpwright/kv_format.h"

namespace warpwright {

struct KvAppendProblem {
    i64 tokens = 1;
    i64 kv_heads = 8;
    i64 head_dim = 128;
    i64 page_size = 16;
    DType dtype = DType::bf16;
    i64 alignment_bytes = 16;             // what every head's start is a multiple of
    KvFormat kv_format = KvFormat::same;  // of the pages
    bool values = true;                   // false: keys alone, as latent rows are

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("kv_heads", self.kv_heads);
        v("head_dim", self.head_dim);
        v("page_size", self.page_size);
        v("dtype", self.dtype);
        v("alignment_bytes", self.alignment_bytes);
        v("kv_format", self.kv_format);
        v("values", self.values);
    }
    constexpr KvAppendProblem canonical() const {
        KvAppendProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct KvStrides {  // in elements
    i64 token, head;
};
struct KvPageStrides {
    i64 page, slot, head;
};

struct KvAppendArgs {
    const void* k;  // [tokens, kv_heads, head_dim]
    const void* v;  // null: keys alone
    void* k_pages;  // [pages, page_size, kv_heads, head_dim]
    void* v_pages;
    const i32* sequences;   // [tokens]
    const i32* positions;   // [tokens]; negative: padding, not written
    const i32* page_table;  // [sequences, max_pages]
    KvStrides k_stride, v_stride;
    KvPageStrides k_page_stride, v_page_stride;
    i64 page_table_stride;
    i32 tokens;
    i32 kv_heads;
    i32 head_dim;
    i32 page_shift;  // page_size = 1 << page_shift
    DType dtype;     // of k and v

    // Of 8-bit pages: what codes are to be multiplied by, one or (stride 1) one a kv head. null: 1.
    KvFormat kv_format;
    i32 k_scale_stride, v_scale_stride;
    const float *k_scale, *v_scale;
};

}  // namespace warpwright
