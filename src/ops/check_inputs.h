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
    const Tensor& q_starts;  // [sequences + 1]
    const Tensor& kv_starts;
    const Tensor& kv_lengths;
    const Tensor& page_table;  // [sequences, max_pages]
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
    const Tensor& block_starts;
    const Tensor& block_columns;
    i64 block_keys = 0;
};
Status check_key_inputs(Context& context, Stream stream, const KeyInputs& inputs);

// Where new keys and values go.
struct SlotInputs {
    const char* op;
    const Tensor& sequences;   // [tokens]
    const Tensor& positions;   // [tokens]; negative: not written
    const Tensor& page_table;  // [sequences, max_pages]
    i64 pages = 0;
    i64 page_size = 1;
};
Status check_slot_inputs(Context& context, Stream stream, const SlotInputs& inputs);

}  // namespace warpwright
