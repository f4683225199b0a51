// SPDX-License-Identifier: Apache-2.0
// Weighted sums of routed rows; include/warpwright/ops/moe_combine.h has the definition.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct MoeCombineProblem {
    i64 tokens = 1;
    i64 top_k = 8;
    i64 width = 2048;
    DType dtype = DType::bf16;
    bool base = false;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("top_k", self.top_k);
        v("width", self.width);
        v("dtype", self.dtype);
        v("base", self.base);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr MoeCombineProblem canonical() const {
        MoeCombineProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct MoeCombineArgs {
    const void* rows;        // [num_rows, width]
    const i32* row_of_slot;  // [tokens, top_k]
    const float* weights;    // [tokens, top_k]
    const void* base;        // [tokens, width] or null
    void* out;               // [tokens, width]
    i64 rows_stride;         // elements, from row to row
    i64 base_stride;
    i64 out_stride;
    i32 tokens;
    i32 top_k;
    i32 width;
    i32 num_rows;
    bool places_are_constant;  // row_of_slot and weights
};

}  // namespace warpwright
