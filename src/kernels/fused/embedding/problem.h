// SPDX-License-Identifier: Apache-2.0
// Gathering of rows: out[t] = scale * table[ids[t]]; an id outside the table gives zeros. With a scale of 1
// bytes are moved as they are; one row serves every type.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct EmbeddingProblem {
    i64 tokens = 1;
    i64 width = 4096;
    DType dtype = DType::bf16;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of
    float scale = 1;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("width", self.width);
        v("dtype", self.dtype);
        v("alignment_bytes", self.alignment_bytes);
        v("scale", self.scale);
    }
    constexpr EmbeddingProblem canonical() const {
        EmbeddingProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct EmbeddingArgs {
    const i32* ids;          // [tokens]
    const void* table;       // [num_rows, width]
    void* out;               // [tokens, width]
    i64 table_stride_bytes;  // from row to row
    i64 out_stride_bytes;
    i64 width_bytes;
    i32 num_rows;
    i32 tokens;
    DType dtype;
    float scale;
};

}  // namespace warpwright
