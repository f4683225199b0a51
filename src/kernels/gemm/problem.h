// SPDX-License-Identifier: Apache-2.0
// Matrix product with an epilogue: D = epilogue(A x B^T). The definition is in warpwright/ops/gemm.h.
#pragma once

#include "warpwright/quantize_format.h"
#include "warpwright/types.h"

namespace warpwright {

struct GemmProblem {
    i64 m = 1;
    i64 n = 4096;
    i64 k = 4096;
    DType dtype = DType::bf16;  // of a, b, bias and gate
    DType out = DType::bf16;    // of d and residual: dtype or f32; u8: codes, with a residual of dtype
    bool bias = false;
    bool gate = false;
    bool residual = false;
    Activation activation = Activation::none;
    i64 alignment_bytes = 16;  // what every row's start in a and b is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("m", self.m);
        v("n", self.n);
        v("k", self.k);
        v("dtype", self.dtype);
        v("out", self.out);
        v("bias", self.bias);
        v("gate", self.gate);
        v("residual", self.residual);
        v("activation", self.activation);
        v("alignment_bytes", self.alignment_bytes);
    }
    // Half way between a step of decoding and a prompt. Any m has the row of this one.
    constexpr GemmProblem canonical() const {
        GemmProblem problem = *this;
        problem.m = 128;
        return problem;
    }
};

struct GemmArgs {
    const void* a;         // [m, k]
    const void* b;         // [n, k]
    void* d;               // [m, n]
    const void* bias;      // [n] or null
    const void* gate;      // [m, n] or null
    const void* residual;  // [m, n] or null; may be d
    i64 a_stride;          // of rows, in elements
    i64 b_stride;
    i64 d_stride;
    i64 gate_stride;
    i64 residual_stride;
    i32 m;
    i32 n;
    i32 k;
    i32 num_sms;  // of the device
    Activation activation;
    bool b_is_constant;    // see warpwright/ops/gemm.h
    bool out_f32;          // d and residual are f32
    bool out_aligned;      // every row of d, bias, gate and residual starts at a multiple of 16 bytes
    const float* d_scale;  // of codes; null where d is numbers
    u32* d_amax;           // fp32's bits, raised to the largest magnitude of what codes are made of; or null
    CodeType d_code;       // e4m3 or i8
};

}  // namespace warpwright
