// SPDX-License-Identifier: Apache-2.0
// RMSNorm with an optional residual:  r += x;  y = r / sqrt(mean(r^2) + eps) * (weight + weight_offset).
// Zhang & Sennrich 2019; the fused form is FlashInfer's fused_add_rmsnorm. A token has one row to normalise,
// or one for each of its heads. The result can be codes and scales, too, or these alone. With a bias it is
// LayerNorm:  y = (x - mean(x)) / sqrt(variance(x) + eps) * (weight + weight_offset) + bias.
#pragma once

#include "kernels/fused/quantize/outputs.h"

namespace warpwright {

struct RmsNormProblem {
    i64 tokens = 1;
    i64 hidden = 4096;
    DType dtype = DType::bf16;
    bool residual = true;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of
    i64 heads = 1;             // of `hidden` elements each, all with the same weight
    float weight_offset = 0;
    QuantizedFields quantized{};
    bool bias = false;  // of LayerNorm

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("hidden", self.hidden);
        v("dtype", self.dtype);
        v("residual", self.residual);
        v("alignment_bytes", self.alignment_bytes);
        v("heads", self.heads);
        v("weight_offset", self.weight_offset);
        QuantizedFields::visit(self.quantized, v);
        v("bias", self.bias);
    }
    constexpr RmsNormProblem canonical() const {
        RmsNormProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct RmsNormArgs {
    const void* x;       // [tokens, heads, hidden]
    void* residual;      // [tokens, hidden] or null, where heads is 1; read and written
    const void* weight;  // [hidden]
    void* out;           // [tokens, heads, hidden]; may be x; null where codes alone are wanted
    i64 x_stride;        // strides count elements, from token to token and from head to head
    i64 x_head_stride;
    i64 residual_stride;
    i64 out_stride;
    i64 out_head_stride;
    i32 tokens;
    i32 heads;
    i32 hidden;
    float epsilon;
    float weight_offset;
    QuantizedArgs quantized;
    const void* bias;  // [hidden], of LayerNorm; or null
};

}  // namespace warpwright
