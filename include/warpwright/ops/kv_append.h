// SPDX-License-Identifier: Apache-2.0
// Writes new keys and values into their pages: token t of sequence s = sequences[t] at position p =
// positions[t] goes to page page_table[s, p / page_size], slot p % page_size. FlashInfer's
// append_paged_kv_cache. A token with a negative position is padding and is not written.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct KvAppend {
    Tensor k, v;              // [tokens, kv_heads, head_dim], bf16 or f16
    Tensor sequences;         // [tokens] i32
    Tensor positions;         // [tokens] i32
    Tensor page_table;        // [sequences, max_pages] i32
    Tensor k_pages, v_pages;  // [pages, page_size, kv_heads, head_dim]; page_size a power of two
};

Status prepare(Context& context, const KvAppend& call, Prepared& prepared);
Status kv_append(Context& context, Stream stream, const KvAppend& call);

}  // namespace warpwright
