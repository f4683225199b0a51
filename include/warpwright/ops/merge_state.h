// SPDX-License-Identifier: Apache-2.0
// Attention's results over disjoint sets of keys, combined into the result over all of them: with l_s the
// log-sum-exp of state s, in base B, and l = log_B(sum B^l_s),
//
//     out = sum B^(l_s - l) out_s        lse = l
//
// in fp32, in the order of the states, rounded once. A state without keys for a (token, head) has an infinite
// log-sum-exp (-infinity is this library's and FlashInfer's, +infinity FlashAttention 2's and FlashMLA's);
// what it has as output is not read. Where no state has keys, out is zeros and lse -infinity.
#pragma once

#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

enum class LseBase : u8 { two, e };  // of the logarithm: FlashInfer's; PyTorch's and FlashAttention's

// Two states. `out` may be a or b, and `lse` its log-sum-exps, with the same strides.
struct MergeState {
    Tensor a, a_lse;              // [tokens, heads, head_dim], bf16, f16 or f32; [tokens, heads] f32
    Tensor b, b_lse;              // like a and a_lse
    Tensor out;                   // like a
    Tensor lse;                   // optional, [tokens, heads] f32
    LseBase base = LseBase::two;  // of all log-sum-exps
};

// Any number of them. FlashInfer's v and s, [tokens, states, ...], are views of these with other strides.
struct MergeStates {
    Tensor states, states_lse;  // [states, tokens, heads, head_dim]; [states, tokens, heads] f32
    Tensor out;                 // [tokens, heads, head_dim], of the states' type
    Tensor lse;                 // optional, [tokens, heads] f32
    LseBase base = LseBase::two;
};

// Errors: shapes or types that disagree, no state at all (caller).
Status prepare(Context& context, const MergeState& call, Prepared& prepared);
Status prepare(Context& context, const MergeStates& call, Prepared& prepared);
Status merge_state(Context& context, Stream stream, const MergeState& call);
Status merge_states(Context& context, Stream stream, const MergeStates& call);

}  // namespace warpwright
