// SPDX-License-Identifier: Apache-2.0
// Activations or weights as small codes with scales: x[r, c] is about
//     decode(codes[r, c]) x scale(r / group_rows, c / group_columns),
// for NVFP4 times global_scale. The result is defined to the bit, on every device:
//
//     amax  = max(largest |x| of the group, least_amax)
//     scale = of amax, as ScaleType says (quantize_format.h)
//     code  = round(x * (1 / scale)), both operations in fp32, each rounded to nearest even
//
// The reciprocal and the product are DeepGEMM's per_token_cast_to_fp8. Codes are rounded to nearest even, and
// what is too large becomes the largest code (cvt.rn.satfinite of PTX).
//
// NVFP4: scale = e4m3(amax / 6 * (1 / global_scale)), and code = round(x * ((1 / global_scale) / scale)),
// each operation rounded; a scale that is rounded to 0 makes all codes of its group zeros. global_scale
// multiplies: TransformerEngine's and ModelOpt's amax / (6 x 448), the reciprocal of compressed-tensors'.
//
// amax = 0: the fp32 scale is 1, a coded one the smallest; all codes are zeros. Scales in fp32 are at least
// 2^-126, so that 1 / scale is a number. An infinity counts as the largest fp32 number. A group with a NaN
// has the scale NaN (e8m0 0xff, e4m3 0x7f), as torch.amax makes it. The code of NaN is 0x7f, 0 for i8 and
// 7 (6) for e2m1.
//
// Sources: OCP Microscaling Formats (MX) 1.0; OCP 8-bit Floating Point 1.0; PTX ISA 9.7.9.21 (cvt);
// TransformerEngine, "Float8BlockScaling", "MXFP8" and "NVFP4" recipes; cuBLAS, "1D block scaling factors
// layout".
#pragma once

#include "warpwright/context.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Quantize {
    Tensor x;  // [rows, columns], bf16 or f16, last dimension dense
    QuantizeFormat format = kFp8Groups;
    Tensor codes;  // [rows, columns] u8, for e2m1 [rows, columns / 2]; last dimension dense
    // [ceil(rows / group_rows), ceil(columns / group_columns)], f32 or, where ScaleType is a code, u8; any
    // strides: DeepGEMM and cuBLAS want fp32 scales of 1 x 128 groups column by column.
    Tensor scales;
    Tensor global_scale;  // NVFP4: [1] f32, read on the device; null: 1. Not positive or not finite: as NaN
    // The layout that block-scaled tensor cores read: scales is dense u8, [round_up(rows, 128),
    // round_up(columns / group_columns, 4)], and scale (r, s) is byte
    //     ((r / 128) * ceil(groups / 4) + s / 4) * 512 + r % 32 * 16 + r % 128 / 32 * 4 + s % 4.
    // The padding is written, with zeros.
    bool swizzled = false;
    // One scale for the whole tensor is given and not computed (static and delayed scaling): scales is read.
    // Not positive or not finite: as NaN, all codes are NaN's.
    bool given_scale = false;
    // Where one scale for the whole tensor is computed (format 0 x 0): [512] f32, space for `amax`, which
    // reads x first (warpwright/ops/amax.h).
    Tensor amax_parts;
    float least_amax = 0;  // DeepGEMM: 1e-4; TransformerEngine: amax_epsilon
};

// Errors: shapes or types that disagree, groups that do not divide columns where a coded scale's must
// (caller); no row for the target (no_kernel).
Status prepare(Context& context, const Quantize& call, Prepared& prepared);
Status quantize(Context& context, Stream stream, const Quantize& call);

}  // namespace warpwright
