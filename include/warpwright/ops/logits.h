// SPDX-License-Identifier: Apache-2.0
// What is done to logits before a token is drawn from them. Per element, in this order:
//   x = softcap tanh(x / softcap)                    Gemma's final softcap; 0: off
//   and for the tokens that a row lists:
//   x = x + bias                                     logit bias, if it is to come first
//   x = x > 0 ? x / repetition : x repetition        Hugging Face's and vLLM's repetition penalty; 1: none
//   x = x + addend                                   - presence - frequency count, and a bias that comes last
// vLLM adds a logit bias before its penalties (`bias`); one after them is part of `addend`. -infinity bans a
// token. The lists are ragged and read from device memory when the launch runs: one prepared launch (or
// captured graph) serves changing adjustments.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Logits {
    Tensor in;          // [rows, vocabulary] f32
    Tensor out;         // like in; may be in, and then without a softcap only the listed tokens are touched
    float softcap = 0;  // 0: off

    // Optional, together: row r adjusts entries starts[r] up to starts[r + 1] of the lists. A token stands at
    // most once in a row's list; one outside the vocabulary is skipped.
    Tensor starts;      // [rows + 1] i32, ascending; the last one is at most `entries`
    Tensor tokens;      // [entries] i32; entries are a capacity, those behind the last start are not read
    Tensor repetition;  // [entries] f32, positive
    Tensor addend;      // [entries] f32
    Tensor bias;        // [entries] f32; null: none
};

// Errors: shapes or types that disagree (caller). Nothing to do is no error and prepares nothing.
Status prepare(Context& context, const Logits& call, Prepared& prepared);
Status logits(Context& context, Stream stream, const Logits& call);

}  // namespace warpwright
