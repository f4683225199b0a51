// SPDX-License-Identifier: Apache-2.0
// RMSNorm with an optional residual:  residual += x;  out = residual / sqrt(mean(residual^2) + epsilon) *
// (weight + weight_offset). Without a residual x itself is normalised. FlashInfer's rmsnorm,
// fused_add_rmsnorm and gemma_rmsnorm.
//
// With x of three dimensions every head of a token is normalised by itself with the same weight: q_norm and
// k_norm of Qwen3 and Gemma-3, in place on a slice of the fused projections.
#pragma once

#include "warpwright/context.h"
#include "warpwright/ops/quantized_output.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct RmsNorm {
    Tensor x;         // [tokens, hidden] or [tokens, heads, head_dim], bf16 or f16, last dimension dense
    Tensor weight;    // [hidden] or [head_dim], dense
    Tensor out;       // like x; may be x; optional where codes are given
    Tensor residual;  // optional, [tokens, hidden], read and written; not with heads
    float epsilon = 1e-6f;
    float weight_offset = 0;  // added to the weight in fp32; Gemma: 1
    // out as codes and scales, where x has two dimensions: FP8 for the tensor by a given scale, by token or
    // in groups, INT8 by token, MXFP8, MXFP4, NVFP4.
    QuantizedOutput quantized;
    // Optional, like weight: LayerNorm,
    //   (x - mean(x)) / sqrt(variance(x) + epsilon) * (weight + weight_offset) + bias.
    // Neither with a residual nor as codes; on a GPU in bf16.
    Tensor bias;
};

// Errors: shapes or types that disagree (caller); no row for the target (no_kernel).
Status prepare(Context& context, const RmsNorm& call, Prepared& prepared);
Status rmsnorm(Context& context, Stream stream, const RmsNorm& call);

}  // namespace warpwright
