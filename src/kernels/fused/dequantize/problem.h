// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales (warpwright/ops/dequantize.h).
#pragma once

#include "kernels/fused/quantize/problem.h"

namespace warpwright {

struct DequantizeProblem {
    i64 rows = 1;
    i64 columns = 4096;
    DType out = DType::bf16;
    CodeType code = CodeType::e4m3;
    ScaleType scale = ScaleType::f32;
    i64 group_rows = 1;  // of a scale; `rows` and `columns` where it serves all of them
    i64 group_columns = 128;
    bool swizzled = false;
    i64 alignment_bytes = 16;  // what every row's start in out is a multiple of, and in codes in proportion

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("rows", self.rows);
        v("columns", self.columns);
        v("out", self.out);
        v("code", self.code);
        v("scale", self.scale);
        v("group_rows", self.group_rows);
        v("group_columns", self.group_columns);
        v("swizzled", self.swizzled);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr DequantizeProblem canonical() const {
        DequantizeProblem problem = *this;
        problem.rows = 128;
        if (problem.group_rows > 128) problem.group_rows = 128;
        return problem;
    }
};

struct DequantizeArgs {
    const void* codes;          // row stride codes_stride bytes
    const void* scales;         // fp32 or bytes
    const float* global_scale;  // or null: 1
    void* out;                  // row stride out_stride elements
    i64 codes_stride;
    i64 out_stride;
    i64 scale_row_stride;  // in scales; unused where they are swizzled
    i64 scale_column_stride;
    VectorDivisor column_divisor;  // by vectors of eight elements of a row
    VectorDivisor group_row_divisor;
    VectorDivisor group_column_divisor;
    i32 rows;
    i32 columns;
    i32 group_rows;
    i32 group_columns;
    i32 scale_columns;  // groups of a row
    CodeType code;
    ScaleType scale;
    bool swizzled;
};

}  // namespace warpwright
