// SPDX-License-Identifier: Apache-2.0
// out = activation(gate) * up, the middle of a gated MLP (Shazeer 2020, "GLU variants improve transformer").
#pragma once

#include "kernels/fused/quantize/outputs.h"
#include "tile/gate_args.h"

namespace warpwright {

struct GatedActivationProblem {
    i64 tokens = 1;
    i64 width = 14336;
    DType dtype = DType::bf16;
    Activation activation = Activation::silu;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of
    QuantizedFields quantized{};

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("width", self.width);
        v("dtype", self.dtype);
        v("activation", self.activation);
        v("alignment_bytes", self.alignment_bytes);
        QuantizedFields::visit(self.quantized, v);
    }
    constexpr GatedActivationProblem canonical() const {
        GatedActivationProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct GatedActivationArgs {
    const void* gate;  // [tokens, width], row stride gate_stride elements
    const void* up;    // [tokens, width]
    void* out;         // [tokens, width]; may be gate or up; null where codes alone are wanted
    i64 gate_stride;
    i64 up_stride;
    i64 out_stride;
    i32 tokens;
    i32 width;
    Activation activation;
    bool limited;  // `gate_by` counts, and there are no codes
    GateArgs gate_by;
    QuantizedArgs quantized;
};

}  // namespace warpwright
