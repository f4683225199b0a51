// SPDX-License-Identifier: Apache-2.0
// Delayed scaling: the next step's scales of many tensors, of what the last steps' largest magnitudes were,
// in one launch. For each tensor t, in fp32:
//
//     amax      = amax_history[0, t], or the largest of its column
//     scale     = (max of the code type) x 2^-margin / amax; it stays what it was where amax is 0, an
//     infinity
//                 or NaN, and is at most the largest finite number
//     scale_inv = 1 / scale
//     amax_history[0 .. length - 1, t] = 0, old[2, t], ..., old[length - 1, t], old[0, t]
//
// `scale_inv` is what quantise calls read as a given scale, and row 0 of the history is where they raise
// their amax (QuantizedOutput::amax, Gemm::d_amax): views of one element each. TransformerEngine's
// DelayedScaling recipe, both values of its amax_compute_algo. Its current scaling is `quantize` with a
// format of the whole tensor, its epsilon there least_amax, its powers of two ScaleType::power_of_two.
//
// Source: TransformerEngine, "delayed scaling" (common/recipe).
#pragma once

#include "warpwright/context.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Scaling {
    Tensor amax_history;  // [length, tensors] f32, last dimension dense; read and written
    Tensor scale;         // [tensors] f32, read and written: 1 before the first step
    Tensor scale_inv;     // [tensors] f32
    CodeType code = CodeType::e4m3;
    int margin = 0;              // powers of two that are left free above amax, from -64 to 64
    bool largest_of_all = true;  // "max"; otherwise "most_recent"
};

// Errors: shapes or types that disagree, a history without rows (caller).
Status prepare(Context& context, const Scaling& call, Prepared& prepared);
Status scaling(Context& context, Stream stream, const Scaling& call);

}  // namespace warpwright
