// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention (DeepSeek-V2, V3, R1) in its absorbed form, over a paged cache of latent rows:
// out = softmax(scale q c^T + mask) c[0..511], per sequence and head. A row c of the cache is 512 numbers
// that keys and values are made of, then 64 of the rotated key; the query is multiplied by the key's
// projection before, and the output by the value's after. All heads read the same rows. Causal masks are
// bottom-right: query i of q_len sees keys 0 .. kv_len - q_len + i. A query that sees no key gives zeros, and
// -infinity as log-sum-exp. Page-table entries from a length on are not followed.
//
// Or sparse (DeepSeek-V3.2): every query attends to the rows of a list of its own, which index_topk makes,
// and to no other. A list names slots of the cache, page x page_size + offset, as FlashMLA's does: one
// look-up for a key, and the launch asks for no sequence, so that lists of any origin will do. The list is
// the mask.
#pragma once

#include "warpwright/context.h"
#include "warpwright/kv_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Mla {
    Tensor q;           // [q_tokens, heads, 576], bf16 or f16; sequences one after another
    Tensor out;         // [q_tokens, heads, 512], of q's type
    Tensor lse_base2;   // optional, [q_tokens, heads] f32: log2 of the sum of 2^(scores log2 e) (FlashInfer's
                        // base)
    Tensor lse_base_e;  // instead of it: the natural logarithm (FlashMLA's)

    // [pages, page_size, 576], of q's type; page_size a power of two. With kv_format fp8_e4m3 the same in u8:
    // codes, all of one scale (vLLM's fp8). Or, with kv_format same, [pages, page_size, 656] u8, FlashMLA's
    // records: 512 codes of e4m3, 4 scales in fp32, each of 128 of them, 64 numbers of q's type; a number is
    // code x scale, rounded to q's type.
    Tensor cache;
    KvFormat kv_format = KvFormat::same;
    // What codes are multiplied by, read on the device: [1] f32, positive and finite; null: 1. It multiplies
    // scores, and outputs, so that codes are multiplied with queries and weights as the numbers they are,
    // without rounding. Another scale makes outputs unspecified, and so do codes of NaN for all that see
    // them.
    Tensor k_scale;
    Tensor page_table;  // [sequences, max_pages] i32
    Tensor kv_lengths;  // [sequences] i32, tokens including the queries' own

    // In place of page_table and kv_lengths, [q_tokens, max_indices] i32: lists of slots, in any order. -1,
    // or any other number that is no slot, is no key; one that is there twice counts twice.
    Tensor indices;
    Tensor index_lengths;  // optional, [q_tokens] i32: entries of a list from there on are not read

    // [sequences + 1] i32, ascending; the last one is q_tokens. Queries before the first one are another
    // call's: neither they nor their outputs are touched.
    Tensor q_starts;

    // Capacities: what the launch is sized for. Lengths are read from device memory when it runs, so that one
    // prepared launch (or captured graph) serves growing sequences. With lists neither counts, nor does
    // causal.
    i64 max_q_len = 1;
    i64 max_kv_len = 0;  // 0: as many as a row of the page table holds
    float scale = 0;  // of scores: 1 / sqrt(192) in DeepSeek's models (128 + 64 before absorption), by which
                      // 0 goes, times what their YaRN asks for
    bool causal = true;

    // Where few sequences would leave the GPU idle, their keys are split and partial results go here.
    // mla_workspace_bytes says how much is of use; with less, or none, there are fewer splits. Not shared
    // between streams; no content assumed.
    Tensor workspace;  // [bytes] u8
};

// An upper bound for every row on this target that could be chosen for these capacities.
Result<i64> mla_workspace_bytes(Context& context, const Mla& call);

Status prepare(Context& context, const Mla& call, Prepared& prepared);
Status mla(Context& context, Stream stream, const Mla& call);

}  // namespace warpwright
