// SPDX-License-Identifier: Apache-2.0
// D = epilogue(A x W^T) with weights of four or eight bits, 16-bit activations and fp32 accumulation:
//   w[n,k] = value(code[n,k]) * scale[n, k / group] * global_scale      (weight_format.h has the values)
//   v = sum_k A[m, order[k]] w[n,k];  then the epilogue of warpwright/ops/gemm.h
// Codes are multiplied exactly and sums scaled in fp32: no weight is rounded on its way.
#pragma once

#include "warpwright/context.h"
#include "warpwright/grouping.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"
#include "warpwright/weight_format.h"

namespace warpwright {

// In the project's packed layout, version 2, as pack_weight of src/kernels/quantized_gemm/pack.h makes it
// from plain numbers (layout.h there has the formulas). Every tensor is dense and starts at a multiple of 16
// bytes.
struct QuantizedWeight {
    WeightFormat format = WeightFormat::int4;
    i64 groups = 1;  // weights of one shape, one after another in each of the tensors
    i64 n = 0, k = 0;
    i64 group = 0;  // elements of k that share a scale, a power of two from 32 on that divides k; 0: the
                    // whole row. mxfp4: 32, nvfp4: 16
    Tensor data;    // [bytes] u8: codes; n and k padded to multiples of 64
    Tensor scales;  // [padded n x groups of k] bf16, f16 or f32; u8: e8m0 of mxfp4, e4m3 of nvfp4
    Tensor zeros;   // optional, like scales, u8: zero points of int4 and int8
    Tensor order;   // optional, [k] i32: the column of A for each k (act-order)
    float global_scale = 1;  // times every weight: nvfp4's scale of the whole tensor, as a multiplier
    Tensor global_scales;    // optional, [groups] f32: instead of it, one for each weight
};

struct QuantizedGemm {
    Tensor a;  // [m, k], bf16 or f16, last dimension dense
    QuantizedWeight b;
    Tensor d;         // [m, n], like a, or f32; or u8: codes, see d_scale
    Tensor bias;      // optional, [n], like a
    Tensor gate;      // optional, [m, n], like a; may be d
    Tensor residual;  // optional, [m, n], like d; may be d; with codes like a
    Activation activation = Activation::none;
    bool b_is_constant = false;  // as in warpwright/ops/gemm.h, of all tensors of b

    // Groups (warpwright/grouping.h), each with a weight of b: at most one of these, read on the device. bias
    // has a leading dimension of groups.
    Tensor group_of_row;   // contiguous: [m] i32
    Tensor rows_of_group;  // masked: [groups] i32. a, d, gate and residual have a leading dimension of
                           // groups, and m is the place for each
    // For the choice of a row: how many groups are expected to have rows; 0: all. And how many rows one of
    // those; 0: as many as there is place for.
    i64 expected_groups = 0;
    i64 expected_m = 0;

    // Where d is u8, without groups of rows: as in warpwright/ops/gemm.h.
    Tensor d_scale;
    CodeType d_code = CodeType::e4m3;
    Tensor d_amax;

    // Where b has an order: [bytes] u8 at a multiple of 16 bytes, as many as a's elements have. The columns
    // of a are brought in order there by a launch before the product, any of whose rows serves then; without
    // it only those do that gather as they read, which take many times as long.
    Tensor workspace;
};

// Any m, n from 1 up. Errors: shapes, types or sizes that disagree, a group that does not divide k (caller);
// no row (no_kernel).
Status prepare(Context& context, const QuantizedGemm& call, Prepared& prepared);
Status quantized_gemm(Context& context, Stream stream, const QuantizedGemm& call);

}  // namespace warpwright
