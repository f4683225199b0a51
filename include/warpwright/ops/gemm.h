// SPDX-License-Identifier: Apache-2.0
// D = epilogue(A x B^T), fp32 accumulation:
//   v = sum_k A[m,k] B[n,k];  v += bias[n];  v = activation(gate[m,n]) * v, or activation(v) without a gate;
//   v += residual[m,n];  D[m,n] = v
#pragma once

#include "warpwright/context.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Gemm {
    Tensor a;         // [m, k], bf16 or f16, last dimension dense
    Tensor b;         // [n, k], like a
    Tensor d;         // [m, n], like a, or f32; or u8: codes, see d_scale
    Tensor bias;      // optional, [n], like a
    Tensor gate;      // optional, [m, n], like a
    Tensor residual;  // optional, [m, n], like d; may be d; with codes like a
    Activation activation = Activation::none;
    // Weights: b was complete before the last synchronisation of the stream, and nothing in the stream writes
    // it. Then it may be read while the launches before this one still run; what is computed is the same.
    bool b_is_constant = false;
    // Where d is u8: its codes are round(v * (1 / scale)) of the unrounded fp32 v, as `quantize` rounds
    // (warpwright/ops/quantize.h) with a given scale; a scale that is not positive and finite makes all
    // NaN's.
    Tensor d_scale;                    // [1] f32
    CodeType d_code = CodeType::e4m3;  // or i8
    // Optional with codes, [1] f32, not negative: raised to the largest |v|, as QuantizedOutput::amax is.
    Tensor d_amax;
};

// Any m, n, k from 1 up, any strides. Errors: shapes or types that disagree (caller); no row (no_kernel).
Status prepare(Context& context, const Gemm& call, Prepared& prepared);
Status gemm(Context& context, Stream stream, const Gemm& call);

}  // namespace warpwright
