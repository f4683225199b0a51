// SPDX-License-Identifier: Apache-2.0
// The k keys of the largest logits of each query, as a list that mla takes: ascending by position; -1 after
// the last where a query sees fewer. Of equal logits the first positions are chosen, so that the result is
// the same everywhere. NaN counts as -infinity, +infinity as the largest number.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct IndexTopk {
    Tensor logits;   // [q_tokens, columns] f32, as index_logits writes them; columns at least max_kv_len
    Tensor indices;  // [q_tokens, k] i32, written
    Tensor index_lengths;  // optional, [q_tokens] i32, written: how many of a list are keys
    Tensor kv_lengths;     // [sequences] i32, tokens including the queries' own
    Tensor q_starts;       // [sequences + 1] i32, ascending; as mla's

    // Optional, [sequences, max_pages] i32: the lists are of slots, page x page_size + offset, as mla wants
    // them. Without it they are of positions in the sequence.
    Tensor page_table;
    i64 page_size = 0;  // with page_table; a power of two

    // Capacities: what the launch is sized for. Keys from max_kv_len on are not looked at.
    i64 max_q_len = 1;
    i64 max_kv_len = 0;  // 0: the logits' columns
    bool causal = true;  // bottom-right, as index_logits'
};

Status prepare(Context& context, const IndexTopk& call, Prepared& prepared);
Status index_topk(Context& context, Stream stream, const IndexTopk& call);

}  // namespace warpwright
