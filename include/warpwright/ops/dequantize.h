// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales, of every format that `quantize` (warpwright/ops/quantize.h) makes:
//
//     out[r, c] = decode(codes[r, c]) x scale(r / group_rows, c / group_columns)
//
// in fp32, for NVFP4 with scale = e4m3 x global_scale, each product rounded; then once to the type of out. A
// code or a scale of NaN gives NaN; 0xff is e8m0's.
//
// Sources: OCP Microscaling Formats (MX) 1.0; OCP 8-bit Floating Point 1.0.
#pragma once

#include "warpwright/context.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Dequantize {
    Tensor codes;   // [rows, columns] u8, for e2m1 [rows, columns / 2]; last dimension dense
    Tensor scales;  // as Quantize::scales; [1, 1] for the whole tensor
    QuantizeFormat format = kFp8Groups;
    Tensor out;           // [rows, columns], bf16, f16 or f32, last dimension dense
    Tensor global_scale;  // NVFP4: [1] f32; null: 1
    bool swizzled = false;
};

// Errors: shapes or types that disagree, groups that do not divide columns where a coded scale's must
// (caller); no row for the target (no_kernel).
Status prepare(Context& context, const Dequantize& call, Prepared& prepared);
Status dequantize(Context& context, Stream stream, const Dequantize& call);

}  // namespace warpwright
