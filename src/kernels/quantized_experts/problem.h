// SPDX-License-Identifier: Apache-2.0
// Products of few tokens with the packed weights of the experts that they chose, a row of D for each choice:
// what moe_experts multiplies. The call is in ops/quantized_experts.h, weights are quantized_gemm's.
#pragma once

#include "kernels/quantized_gemm/problem.h"
#include "tile/gate_args.h"

namespace warpwright {

struct QuantizedExpertsProblem {
    i64 m = 1;  // tokens
    i64 n = 768;
    i64 k = 2048;
    DType dtype = DType::bf16;  // of a, d and biases
    WeightFormat format = WeightFormat::int4;
    i64 group = 128;            // elements of k that share a scale; 0: the whole row
    DType scale = DType::bf16;  // of the scales; u8 for the formats whose scales have a byte
    bool zeros = false;         // zero points are given
    i64 groups = 128;           // experts
    i64 top_k = 8;              // choices of a token
    i64 expected_groups = 0;    // that have tokens; 0: as many as random choices hit
    bool gated = false;         // a second weight, the gate, of the same form
    bool bias = false;
    Activation activation = Activation::none;
    i64 alignment_bytes = 16;  // what every row's start in a is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("m", self.m);
        v("n", self.n);
        v("k", self.k);
        v("dtype", self.dtype);
        v("format", self.format);
        v("group", self.group);
        v("scale", self.scale);
        v("zeros", self.zeros);
        v("groups", self.groups);
        v("top_k", self.top_k);
        v("expected_groups", self.expected_groups);
        v("gated", self.gated);
        v("bias", self.bias);
        v("activation", self.activation);
        v("alignment_bytes", self.alignment_bytes);
    }
    // As quantized_gemm's, for few tokens.
    constexpr QuantizedExpertsProblem canonical() const {
        QuantizedExpertsProblem problem = *this;
        problem.m = 8;
        problem.expected_groups = 0;
        return problem;
    }
};

// Without order; groups: of experts. The gate's tensors are like those of b.
struct QuantizedExpertsArgs : QuantizedGemmArgs {
    const void* gate_codes;  // or null
    const void* gate_scales;
    const void* gate_zeros;
    const float* gate_global_scales;  // [groups], or null
    float gate_global_scale;
    const void* gate_bias;
    GateArgs gate;     // where there is one
    const i32* ids;    // [m, top_k]
    i32* row_of_slot;  // [m, top_k] written, or null: the choice itself, -1 where it has no row
    i32 top_k;
    bool a_of_slots;  // A has a row for each choice, not for each token
    bool ids_are_constant;
};

}  // namespace warpwright
