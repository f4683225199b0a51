// SPDX-License-Identifier: Apache-2.0
// Weights into quantised formats, rounded to nearest: scales and zero points as compressed-tensors 0.20
// computes them (quantization/utils/helpers.py), so that the same weights give the same codes.
#pragma once

#include "formats/quantized_matrix.h"

namespace warpwright::formats {

struct Recipe {
    Code code = Code::u4;
    i64 group_rows = 1;     // of a scale; 0: all
    i64 group_columns = 0;  // 0: all
    bool symmetric = true;
    ScaleCode scale_code = ScaleCode::none;
    DType scale_type = DType::bf16;  // that scales are rounded to before anything is divided by them
};

// The largest magnitude, NaN if there is one.
float largest_magnitude(const float* values, i64 count);

// e4m3 scales stand for fractions of a number for the whole tensor: NVFP4's global scale, as a divisor.
float global_divisor(float largest);

// Rows of a matrix, whose first is the first of a group. `largest` is the whole matrix's magnitude: asked for
// only where a scale serves the whole matrix (group_rows 0) or is coded as e4m3. Rows must be finite.
void quantise_rows(const Recipe& recipe, const float* weights, i64 rows, i64 columns, float largest,
                   QuantizedMatrix& out);

// A group's scale and zero point (the code of 0), of integers whose values are from `low` <= 0 to `high` >=
// 0.
struct GroupScale {
    float scale = 0;
    int zero = 0;
};
GroupScale integer_scale(const Recipe& recipe, float low, float high);

// A run of values by one scale: code = nearest(value / scale), saturated; ties to even. Vector code: what
// encode() and rounding give, value by value.
void encode_run(Code code, const float* values, i64 count, float scale, int zero, u8* codes);

}  // namespace warpwright::formats
