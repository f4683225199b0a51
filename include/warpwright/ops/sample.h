// SPDX-License-Identifier: Apache-2.0
// Draws one token a row from logits. Per row, in this order (transformers' order of warpers):
//   temperature (0: greedy, the lowest id among equals), top-k, top-p, min-p, then one draw.
// top_k <= 0, top_p >= 1 and min_p <= 0 switch a filter off. Ties at the k-th logit are all kept.
// The draw uses Philox4x32-10 with key `seed` and counter `step`: the same seed and step give the same token
// on every device and in every batch, up to rounding of probabilities.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Sample {
    Tensor logits;       // [rows, vocabulary] f32, bf16 or f16
    Tensor temperature;  // [rows] f32
    Tensor top_k;        // [rows] i32
    Tensor top_p;        // [rows] f32
    Tensor min_p;        // [rows] f32
    Tensor seeds;        // [rows, 2] i32: low and high half of a 64-bit seed
    Tensor steps;        // [rows] i32
    Tensor tokens;       // [rows] i32, out
};

Status prepare(Context& context, const Sample& call, Prepared& prepared);
Status sample(Context& context, Stream stream, const Sample& call);

}  // namespace warpwright
