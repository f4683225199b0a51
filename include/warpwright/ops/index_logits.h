// SPDX-License-Identifier: Apache-2.0
// Scores of an indexer (DeepSeek-V3.2's lightning indexer), by which a query chooses the keys it attends to:
// logits[t, s] = sum over heads h of weights[t, h] max(0, q[t, h] . k[s]), of a paged cache of its keys,
// which all heads share. Causal masks are bottom-right: query i of q_len sees keys 0 .. kv_len - q_len + i.
// Of keys that a query does not see, nothing is written. Page-table entries from a length on are not
// followed.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct IndexLogits {
    // [q_tokens, heads, 128] bf16, sequences one after another. Or u8: codes of e4m3, whose scales are part
    // of the weights.
    Tensor q;
    Tensor weights;  // [q_tokens, heads] f32
    Tensor logits;   // [q_tokens, columns] f32; columns at least max_kv_len

    // [pages, page_size, 128] bf16; page_size a power of two. Or codes, with q of either type: DeepGEMM's
    // pages, [pages, page_size, 132] u8: 128 codes of each key, one after another, then each key's scale in
    // fp32, which multiplies its logits.
    Tensor cache;
    Tensor page_table;  // [sequences, max_pages] i32
    Tensor kv_lengths;  // [sequences] i32, tokens including the queries' own
    Tensor q_starts;    // [sequences + 1] i32, ascending; as mla's

    // Capacities: what the launch is sized for. Keys from max_kv_len on are not looked at.
    i64 max_q_len = 1;
    i64 max_kv_len = 0;  // 0: as many as a row of the page table holds
    bool causal = true;
};

Status prepare(Context& context, const IndexLogits& call, Prepared& prepared);
Status index_logits(Context& context, Stream stream, const IndexLogits& call);

}  // namespace warpwright
