// SPDX-License-Identifier: Apache-2.0
// The result of another operation as codes and scales, beside its 16 bits or in place of them: what
// `quantize` makes of a [tokens, width] result without writing and reading it in between.
//
// Codes and scales are, bit for bit, those that `quantize` (warpwright/ops/quantize.h) makes of the 16-bit
// result, whether that is stored or not: a fused call and two calls give the same numbers. (TransformerEngine
// and vLLM round once, from fp32; the difference is at most one code, where a 16-bit number lies next to the
// middle between two codes.)
#pragma once

#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct QuantizedOutput {
    QuantizeFormat format =
        kFp8Groups;       // scales of one row (1 x n), or of the whole tensor where it is given
    Tensor codes;         // as in Quantize; null: no quantised output
    Tensor scales;        // as in Quantize
    Tensor global_scale;  // as in Quantize
    bool swizzled = false;
    bool given_scale = false;
    float least_amax = 0;
    // Optional, [1] f32, not negative: raised to the largest magnitude of the 16-bit result, NaN where it has
    // one. Delayed scaling keeps its history of these; whoever reads it sets it to 0 again.
    Tensor amax;
};

}  // namespace warpwright
