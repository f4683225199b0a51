// SPDX-License-Identifier: Apache-2.0
// The largest magnitudes of the parts of a matrix: what the scale of a whole tensor is made of.
#pragma once

#include "tile/vector_divisor.h"
#include "warpwright/types.h"

namespace warpwright {

struct AmaxProblem {
    i64 rows = 1;
    i64 columns = 4096;
    DType dtype = DType::bf16;
    i64 parts = 512;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("rows", self.rows);
        v("columns", self.columns);
        v("dtype", self.dtype);
        v("parts", self.parts);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr AmaxProblem canonical() const {
        AmaxProblem problem = *this;
        problem.rows = 128;
        return problem;
    }
};

struct AmaxArgs {
    const void* x;  // [rows, columns], row stride x_stride elements
    float* out;     // [parts]
    i64 x_stride;
    VectorDivisor column_divisor;  // by 16-byte vectors of a row
    i32 rows;
    i32 columns;
    i32 parts;
};

}  // namespace warpwright
