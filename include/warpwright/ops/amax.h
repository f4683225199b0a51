// SPDX-License-Identifier: Apache-2.0
// The largest magnitudes of the parts of a matrix: the largest of `out` is max |x|, of which quantisation
// makes the scale of a whole tensor (warpwright/ops/quantize.h). NaN where x has a NaN, as torch.amax.
//
// Which elements belong to which part is the kernel's business; a part without elements has 0.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Amax {
    Tensor x;    // [rows, columns], bf16 or f16, last dimension dense
    Tensor out;  // [parts] f32; 512 parts keep every GPU busy
};

Status prepare(Context& context, const Amax& call, Prepared& prepared);
Status amax(Context& context, Stream stream, const Amax& call);

}  // namespace warpwright
