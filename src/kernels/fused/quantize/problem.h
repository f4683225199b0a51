// SPDX-License-Identifier: Apache-2.0
// Quantisation of a matrix: codes, and one scale for each group of them (warpwright/ops/quantize.h).
#pragma once

#include "tile/vector_divisor.h"
#include "warpwright/quantize_format.h"
#include "warpwright/types.h"

namespace warpwright {

constexpr const char* enum_text(CodeType code) {
    return facts_of(code).name;
}
constexpr const char* enum_text(ScaleType scale) {
    return scale_type_name(scale);
}

struct QuantizeProblem {
    i64 rows = 1;
    i64 columns = 4096;
    DType dtype = DType::bf16;
    CodeType code = CodeType::e4m3;
    ScaleType scale = ScaleType::f32;
    i64 group_rows = 1;  // of a scale; `rows` and `columns` where it serves all of them
    i64 group_columns = 128;
    bool given_scale = false;
    i64 amax_parts = 0;  // of which the scale of the whole tensor is made; 0: it is not
    bool swizzled = false;
    i64 alignment_bytes = 16;  // what every row's start in x is a multiple of, and in codes in proportion

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("rows", self.rows);
        v("columns", self.columns);
        v("dtype", self.dtype);
        v("code", self.code);
        v("scale", self.scale);
        v("group_rows", self.group_rows);
        v("group_columns", self.group_columns);
        v("given_scale", self.given_scale);
        v("amax_parts", self.amax_parts);
        v("swizzled", self.swizzled);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr QuantizeProblem canonical() const {
        QuantizeProblem problem = *this;
        problem.rows = 128;
        if (problem.group_rows > 128) problem.group_rows = 128;
        return problem;
    }
};

struct QuantizeArgs {
    const void* x;              // [rows, columns], row stride x_stride elements
    void* codes;                // row stride codes_stride bytes
    void* scales;               // fp32 or bytes
    const float* global_scale;  // or null: 1
    const float* amax_parts;    // [kAmaxParts] or null
    i64 x_stride;
    i64 codes_stride;
    i64 scale_row_stride;  // in scales; unused where they are swizzled
    i64 scale_column_stride;
    VectorDivisor column_divisor;  // by 16-byte vectors of a row
    i32 rows;
    i32 columns;
    i32 group_rows;
    i32 group_columns;
    i32 group_shift;    // of group_columns, where it is a power of two
    i32 scale_columns;  // groups of a row
    float least_amax;
    float reciprocal_of_max;  // of codes
    CodeType code;
    ScaleType scale;
    bool given_scale;
    bool swizzled;
};

// Parts of the amax of a whole tensor: 16 a lane.
constexpr int kAmaxParts = 512;

constexpr int kVectorElements = 8;  // of 16 bytes
constexpr bool is_power_of_two(i64 n) {
    return (n & (n - 1)) == 0;
}
constexpr i64 kFp8Capability = 89;  // cvt to e4m3x2 and e5m2x2: PTX ISA 9.7.9.21

// A block of swizzled scales: 128 rows, 4 scales each.
constexpr int kSwizzleRows = 128, kSwizzleColumns = 4;

constexpr i64 swizzled_offset(i64 row, i64 column, i64 columns) {
    const i64 block =
        row / kSwizzleRows * ((columns + kSwizzleColumns - 1) / kSwizzleColumns) + column / kSwizzleColumns;
    return block * (kSwizzleRows * kSwizzleColumns) + row % 32 * 16 + row % kSwizzleRows / 32 * 4 +
           column % kSwizzleColumns;
}

}  // namespace warpwright
