// SPDX-License-Identifier: Apache-2.0
// out = activation(gate) * up, element by element: the middle of a gated MLP. gate and up may be the two
// halves of one [tokens, 2 x width] tensor. With a limit, alpha or up_offset as warpwright/ops/grouped_gemm.h
// gates.
#pragma once

#include <limits>

#include "warpwright/context.h"
#include "warpwright/ops/quantized_output.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct GatedActivation {
    Tensor gate;  // [tokens, width], bf16 or f16, last dimension dense
    Tensor up;    // [tokens, width]
    Tensor out;   // [tokens, width]; may be gate or up; optional where codes are given
    Activation activation = Activation::silu;
    // out as codes and scales: FP8 for the tensor by a given scale, by token or in groups, INT8 by token,
    // MXFP8, MXFP4, NVFP4.
    QuantizedOutput quantized;
    // gpt-oss's; not with codes.
    float limit = std::numeric_limits<float>::infinity();
    float alpha = 1;
    float up_offset = 0;
};

Status prepare(Context& context, const GatedActivation& call, Prepared& prepared);
Status gated_activation(Context& context, Stream stream, const GatedActivation& call);

}  // namespace warpwright
