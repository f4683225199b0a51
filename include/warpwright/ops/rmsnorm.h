// SPDX-License-Identifier: Apache-2.0
// RMSNorm with an optional residual:  residual += x;  out = residual / sqrt(mean(residual^2) + epsilon) *
// weight. Without a residual x itself is normalised. FlashInfer's rmsnorm and fused_add_rmsnorm.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct RmsNorm {
    Tensor x;         // [tokens, hidden], bf16 or f16, last dimension dense
    Tensor weight;    // [hidden], dense
    Tensor out;       // [tokens, hidden]; may be x
    Tensor residual;  // optional, [tokens, hidden]; read and written
    float epsilon = 1e-6f;
};

// Errors: shapes or types that disagree (caller); no row for the target (no_kernel).
Status prepare(Context& context, const RmsNorm& call, Prepared& prepared);
Status rmsnorm(Context& context, Stream stream, const RmsNorm& call);

}  // namespace warpwright
