// SPDX-License-Identifier: Apache-2.0
// out[t] = scale * table[ids[t]]: token embeddings, and the gathering of rows in general. An id outside the
// table gives a row of zeros.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Embedding {
    Tensor ids;    // [tokens] i32
    Tensor table;  // [rows, width], bf16, f16 or f32, last dimension dense
    Tensor out;    // [tokens, width], like table
    // Multiplied in fp32 and rounded once; 1 moves the bytes as they are. Gemma scales by sqrt(hidden) in the
    // model's type: its caller rounds the scale to that type first.
    float scale = 1;
};

Status prepare(Context& context, const Embedding& call, Prepared& prepared);
Status embedding(Context& context, Stream stream, const Embedding& call);

}  // namespace warpwright
