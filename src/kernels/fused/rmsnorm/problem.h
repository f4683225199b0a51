// SPDX-License-Identifier: Apache-2.0
// RMSNorm with an optional residual:  r += x;  y = r / sqrt(mean(r^2) + eps) * weight.
// Zhang & Sennrich 2019; the fused form is FlashInfer's fused_add_rmsnorm.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct RmsNormProblem {
    i64 tokens = 1;
    i64 hidden = 4096;
    DType dtype = DType::bf16;
    bool residual = true;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("hidden", self.hidden);
        v("dtype", self.dtype);
        v("residual", self.residual);
        v("alignment_bytes", self.alignment_bytes);
    }
};

struct RmsNormArgs {
    const void* x;       // [tokens, hidden], row stride x_stride elements
    void* residual;      // [tokens, hidden] or null; read and written
    const void* weight;  // [hidden]
    void* out;           // [tokens, hidden]; may be x
    i64 x_stride;
    i64 residual_stride;
    i64 out_stride;
    i32 tokens;
    i32 hidden;
    float epsilon;
};

}  // namespace warpwright
