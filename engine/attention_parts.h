// SPDX-License-Identifier: Apache-2.0
// Attention of a pass in parts.
#pragma once

#include <vector>

#include "engine/forward.h"
#include "engine/tensor_views.h"

namespace warpwright {

// Sequences that decode beside prompts have a call of their own: what is best for one query and many keys is
// another row. Where rows are the same for all sizes there is nothing to gain.
template <class Call>
std::vector<Call> by_kind(const Call& whole, const ForwardShape& shape, bool batch_invariant) {
    if (shape.decoding == 0 || batch_invariant) return {whole};
    const i64 rest = shape.sequences - shape.decoding;
    Call decode = whole, prompts = whole;
    decode.q = rows_of(whole.q, 0, shape.decoding);
    decode.out = rows_of(whole.out, 0, shape.decoding);
    decode.page_table = rows_of(whole.page_table, 0, shape.decoding);
    decode.kv_lengths = rows_of(whole.kv_lengths, 0, shape.decoding);
    decode.q_starts = rows_of(whole.q_starts, 0, shape.decoding + 1);
    decode.max_q_len = 1;
    // Starts count from the first query of the pass: q stays whole.
    prompts.page_table = rows_of(whole.page_table, shape.decoding, rest);
    prompts.kv_lengths = rows_of(whole.kv_lengths, shape.decoding, rest);
    prompts.q_starts = rows_of(whole.q_starts, shape.decoding, rest + 1);
    return {decode, prompts};
}

}  // namespace warpwright
