// SPDX-License-Identifier: Apache-2.0
// The experts of a mixture, from routed tokens to their output:
//   out[t] = base[t] + sum_j weights[t,j] E(ids[t,j], x[t])
//   E(e, x) = down[e] (activation(gate[e] x) * (up[e] x)) + biases, as warpwright/ops/grouped_gemm.h gates
// A composition of operations, with nothing of its own on the device: for few tokens two products that read
// the chosen experts' weights, the second of which adds up; for more, moe_permute, two products of groups,
// the first of which gathers its rows of x, and moe_combine. Quantised weights: two such products for
// few tokens, and moe_combine; else moe_permute, a copy of the rows of x (embedding), three of
// quantized_gemm, the second of which gates (with a limit, alpha or up_offset gated_activation does), and
// moe_combine. What comes between is rounded to x's type. Nothing goes through
// the host.
#pragma once

#include <limits>

#include "warpwright/context.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct MoeExperts {
    Tensor x;         // [tokens, hidden], bf16 or f16
    Tensor ids;       // [tokens, top_k] i32, dense: as moe_route makes them; -1: none
    Tensor weights;   // [tokens, top_k] f32, dense
    Tensor gate, up;  // [experts, width, hidden], with the same strides: may share a tensor
    Tensor down;      // [experts, hidden, width]
    // All three instead of gate, up and down: groups = experts. Of a token's choices no two may be the same
    // expert; others may be left out.
    QuantizedWeight quantized_gate, quantized_up;  // n = width, k = hidden
    QuantizedWeight quantized_down;                // n = hidden, k = width
    Tensor gate_bias, up_bias;  // optional, [experts, width], both or none, with the same strides
    Tensor down_bias;           // optional, [experts, hidden]
    Tensor out;                 // [tokens, hidden]
    Tensor base;                // optional, like out; may be out
    Activation activation = Activation::silu;
    float limit = std::numeric_limits<float>::infinity();  // as in warpwright/ops/grouped_gemm.h
    float alpha = 1;
    float up_offset = 0;
    bool weights_are_constant = false;  // of all experts: as b_is_constant of warpwright/ops/gemm.h
    // [moe_experts_workspace_bytes] u8, at a multiple of 16 bytes. Quantised weights: places between experts'
    // rows are read, and used for nothing, before anything is written there.
    Tensor workspace;
};

// Of the same sizes, or of fewer tokens. limited: with a limit, alpha or up_offset.
i64 moe_experts_workspace_bytes(i64 tokens, i64 top_k, i64 experts, i64 hidden, i64 width,
                                bool quantized = false, bool limited = false);

// Experts that are expected to have tokens, of random choices: experts (1 - (1 - top_k / experts)^tokens).
double expected_experts(i64 tokens, i64 top_k, i64 experts);

// Errors: shapes or types that disagree, a workspace that is too small (caller); no row (no_kernel). No
// tokens is no error and prepares nothing.
Status prepare(Context& context, const MoeExperts& call, Prepared& prepared);
Status moe_experts(Context& context, Stream stream, const MoeExperts& call);

}  // namespace warpwright
