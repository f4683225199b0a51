// SPDX-License-Identifier: Apache-2.0
// Attention over keys that sequences share, level by level: keys of a level are read once for all sequences
// that have them, and the levels' results are combined by their log-sum-exps (ops/merge_state.h). A system
// prompt of 8k tokens under 64 conversations is one sequence of the first level and 64 of the last.
//
// Each level says which queries see which keys: a "sequence" of a level is the queries of all sequences that
// share its keys, which follow one another in q. The last level has the sequences' own keys, their queries'
// among them, and may be causal; on the others every query sees every key.
//
// A composition of operations, with nothing of its own on the device. Partial results are rounded to q's type
// before they are merged. FlashInfer: MultiLevelCascadeAttention.
#pragma once

#include <vector>

#include "warpwright/ops/attention.h"

namespace warpwright {

struct CascadeLevel {
    Tensor q_starts;    // [sequences of the level + 1] i32, ascending, from 0 to q_tokens
    Tensor kv_starts;   // of ragged keys: the level's part of k and v, ascending
    Tensor page_table;  // or of paged ones: [sequences of the level, max_pages]
    Tensor kv_lengths;  // [sequences of the level]
    i64 max_q_len = 1;  // capacities of the level
    i64 max_kv_len = 0;
};

struct Cascade {
    // What all levels have in common: q, out, a log-sum-exp, keys and values, their format and scales, scale,
    // softcap; past_is_ready is promised of every level. causal and mask are the last level's; sinks are
    // counted once. Its own starts, lengths, table and capacities are not used, and there can be no window,
    // chunk or slopes.
    // call.workspace: [cascade_workspace_bytes] u8, at a multiple of 16 bytes; with less there are fewer
    // splits, but the levels' results must have room. One level: as Attention's.
    Attention call;
    std::vector<CascadeLevel> levels;  // one or more, the most shared first
};

Result<i64> cascade_workspace_bytes(Context& context, const Cascade& cascade);

// Errors: those of attention, no level, a window, chunk or slopes, a workspace that is too small (caller).
// No tokens is no error and prepares nothing.
Status prepare(Context& context, const Cascade& cascade, Prepared& prepared);
Status cascade(Context& context, Stream stream, const Cascade& cascade);

}  // namespace warpwright
