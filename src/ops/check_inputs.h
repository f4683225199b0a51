// SPDX-License-Identifier: Apache-2.0
// What a context that checks inputs does before an operation is prepared: reads the integers that kernels
// will follow, and refuses what would lead them out of a tensor.
#pragma once

#include <vector>

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

// Where the keys of an operation of attention are. Tensors that are not given are not looked at.
struct KeyInputs {
    const char* op;
    Tensor q_starts{};  // [sequences + 1]
    Tensor kv_starts{};
    Tensor kv_lengths{};
    Tensor page_table{};  // [sequences, max_pages]
    i64 q_tokens = 0;
    i64 kv_tokens = 0;  // of kv_starts
    i64 pages = 0;      // of page_table; -1: unknown
    i64 page_size = 1;
    i64 max_q_len = 1;
    i64 max_kv_len = 0;
    bool causal = false;
    i64 window_left = -1;  // as attention's; keys before it are not followed
    i64 chunk = 0;
    // Lists of blocks of keys: nothing else is followed.
    Tensor block_starts{};
    Tensor block_columns{};
    i64 block_keys = 0;
};
Status check_key_inputs(Context& context, Stream stream, const KeyInputs& inputs);

// Where new keys and values go.
struct SlotInputs {
    const char* op;
    Tensor sequences;   // [tokens]
    Tensor positions;   // [tokens]; negative: not written
    Tensor page_table;  // [sequences, max_pages]
    i64 pages = 0;
    i64 page_size = 1;
};
Status check_slot_inputs(Context& context, Stream stream, const SlotInputs& inputs);

// Of kv_append, or of rope where it appends.
template <class Call>
SlotInputs slots_of(const char* op, const Call& call) {
    return {.op = op,
            .sequences = call.sequences,
            .positions = call.positions,
            .page_table = call.page_table,
            .pages = call.k_pages.shape[0],
            .page_size = call.k_pages.shape[1]};
}

}  // namespace warpwright
