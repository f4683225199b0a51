// SPDX-License-Identifier: Apache-2.0
// The inverse of moe_permute, with weights: what experts made of a token, added up in fp32 in the order of
// its choices (fma, one rounding at the end), so that the same routing gives the same bits.
//   out[t] = base[t] + sum_j weights[t, j] * rows[row_of_slot[t, j]]          slots without a row are left
//   out
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct MoeCombine {
    Tensor rows;         // [all rows, width] bf16 or f16
    Tensor row_of_slot;  // [tokens, top_k] i32, dense; -1, or not below all rows: none
    Tensor weights;      // [tokens, top_k] f32, dense
    Tensor out;          // [tokens, width] like rows, written
    Tensor base;         // optional, like out: a shared expert's result, or a residual; may be out
    // row_of_slot and weights are as ids and weights of warpwright/ops/grouped_gemm.h: read before the wait.
    bool places_are_constant = false;
};

// Errors: shapes or types that disagree (caller). No tokens is no error and prepares nothing.
Status prepare(Context& context, const MoeCombine& call, Prepared& prepared);
Status moe_combine(Context& context, Stream stream, const MoeCombine& call);

}  // namespace warpwright
