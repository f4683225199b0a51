// SPDX-License-Identifier: Apache-2.0
// D = epilogue(A x B^T) where both operands are 8-bit codes with scales, as `quantize` makes them
// (warpwright/ops/quantize.h):
//   v = sum_k scale_a(m, k) value(A[m,k]) scale_b(n, k) value(B[n,k]);  then the epilogue of
//   warpwright/ops/gemm.h
//
// Formats, a with b:
//   kFp8PerTensor, kFp8PerToken    with kFp8PerTensor, kFp8PerToken   fp32 scales of tensors or rows: sums in
//                                                                     fp32, scaled at the end
//   kFp8Groups                     with kFp8Blocks                    fp32 scales of 1 x 128 and 128 x 128:
//                                                                     sums of 128 of k in fp32, scaled and
//                                                                     added
//   kMxfp8                         with kMxfp8                        e8m0 scales of 1 x 32: sums of 32 of k
//   kInt8PerToken, {i8, f32, 0, 0} with the same                      sums are exact, in 32 bits
// Products of codes are exact. The code of NaN in e4m3 (0x7f, 0xff) makes the sums it is part of NaN.
//
// Zero points of i8: value(A[m,k]) is A[m,k] - a_zeros[m], with b_sums[n] = sum_k B[n,k] computed once
// (vLLM's azp and azp_adj).
//
// Sources: DeepSeek-V3 Technical Report, section 3.3 (scaling in blocks, promotion); DeepGEMM (layouts of
// groups); OCP Microscaling Formats (MX) 1.0; torch.nn.functional.scaled_mm and scaled_grouped_mm.
#pragma once

#include "warpwright/context.h"
#include "warpwright/grouping.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct ScaledGemm {
    Tensor a;  // [m, k] u8, last dimension dense
    Tensor b;  // [n, k] u8, last dimension dense; [groups, n, k] where rows are in groups
    // [ceil(rows / group_rows), ceil(k / group_columns)], f32 or for mx u8; any strides: DeepGEMM's column by
    // column, too. Those of b have a leading dimension of groups where b has one.
    Tensor a_scales;
    Tensor b_scales;
    QuantizeFormat a_format = kFp8PerToken;
    QuantizeFormat b_format = kFp8PerToken;
    Tensor d;         // [m, n], bf16, f16 or f32; or u8: codes, see d_scale
    Tensor bias;      // optional, [n], bf16 or f16: d's type where that is one of them; [groups, n]
    Tensor gate;      // optional, [m, n], of bias's type
    Tensor residual;  // optional, [m, n], like d; may be d; with codes of bias's type
    Activation activation = Activation::none;
    bool b_is_constant = false;  // as in warpwright/ops/gemm.h

    Tensor a_zeros;  // optional, i8: [m] or [1] i32
    Tensor b_sums;   // with a_zeros: [n] i32; [groups, n]

    // Groups (warpwright/grouping.h): at most one of these, read on the device.
    Tensor group_of_row;   // contiguous: [m] i32
    Tensor rows_of_group;  // masked: [groups] i32. a, a_scales, d, gate and residual have a leading dimension
                           // of groups, and m is the place for each
    i64 expected_m = 0;    // masked: how many rows a group is expected to have, for the choice of a row; 0: m

    // Where d is u8, without groups of rows: as in warpwright/ops/gemm.h.
    Tensor d_scale;
    CodeType d_code = CodeType::e4m3;
    Tensor d_amax;
};

// Any m, n, k from 1 up; integers: k below 131072. Errors: shapes or types that disagree, formats that do not
// go together (caller); no row (no_kernel).
Status prepare(Context& context, const ScaledGemm& call, Prepared& prepared);
Status scaled_gemm(Context& context, Stream stream, const ScaledGemm& call);

}  // namespace warpwright
