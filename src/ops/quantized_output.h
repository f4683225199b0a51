// SPDX-License-Identifier: Apache-2.0
// Codes and scales as arguments of a call: of `quantize`, and of operations that quantise their result.
#pragma once

#include "kernels/fused/quantize/outputs.h"
#include "ops/match.h"
#include "warpwright/ops/quantized_output.h"

namespace warpwright {

// The number of elements of x per byte of codes decides: per vector of 8 elements codes take half as many
// bytes as x, or a quarter.
i64 alignment_of_codes(const QuantizedOutput& output, bool every_stride);

// Errors name `op`. `problem` has rows, columns and types already, and gets the format's fields.
Status match_codes(const char* op, const QuantizedOutput& output, QuantizeProblem& problem);

// Of matched codes; without x and amax_parts.
QuantizeArgs quantize_args(const QuantizedOutput& output, const QuantizeProblem& problem);

// For an operation with a [rows, columns] result of `dtype`: all of the above, where there are codes.
Status match_quantized(const char* op, const QuantizedOutput& output, DType dtype, i64 rows, i64 columns,
                       bool keeps_out, QuantizedFields& fields, QuantizedArgs& args);

}  // namespace warpwright
