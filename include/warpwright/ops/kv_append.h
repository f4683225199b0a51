// SPDX-License-Identifier: Apache-2.0
// Writes new keys and values into their pages: token t of sequence s = sequences[t] at position p =
// positions[t] goes to page page_table[s, p / page_size], slot p % page_size. FlashInfer's
// append_paged_kv_cache. A token with a negative position is padding and is not written. Latent rows, which
// are keys and values at once (ops/mla.h), are keys alone, of one head of 576.
//
// Where kv_format says so, pages get codes of 8 bits, which are defined to the bit on every device:
//     code = round(x / scale)          the division in fp32, both rounded to nearest even
// What is too large, infinity too, becomes the largest finite code, NaN 0x7f (cvt.rn.satfinite of PTX ISA
// 9.7.9.21). A scale that is not positive and finite counts as NaN.
#pragma once

#include "warpwright/context.h"
#include "warpwright/kv_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct KvAppend {
    Tensor k, v;              // [tokens, kv_heads, head_dim], bf16 or f16; v optional, with v_pages
    Tensor sequences;         // [tokens] i32
    Tensor positions;         // [tokens] i32
    Tensor page_table;        // [sequences, max_pages] i32
    Tensor k_pages, v_pages;  // [pages, page_size, kv_heads, head_dim], of k's type, or u8 for codes;
                              // page_size a power of two
    KvFormat kv_format = KvFormat::same;  // of the pages
    Tensor k_scale, v_scale;              // of codes: [1] f32, or [kv_heads], read on the device; null: 1
};

Status prepare(Context& context, const KvAppend& call, Prepared& prepared);
Status kv_append(Context& context, Stream stream, const KvAppend& call);

}  // namespace warpwright
