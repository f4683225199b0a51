// SPDX-License-Identifier: Apache-2.0
// out[t] = table[ids[t]]: token embeddings, and the gathering of rows in general. An id outside the table
// gives a row of zeros.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Embedding {
    Tensor ids;    // [tokens] i32
    Tensor table;  // [rows, width], bf16, f16 or f32, last dimension dense
    Tensor out;    // [tokens, width], like table
};

Status prepare(Context& context, const Embedding& call, Prepared& prepared);
Status embedding(Context& context, Stream stream, const Embedding& call);

}  // namespace warpwright
