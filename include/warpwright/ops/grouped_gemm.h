// SPDX-License-Identifier: Apache-2.0
// Products of rows with the weights of the group each is in: the experts of a mixture. fp32 accumulation.
//   v = sum_k A[i,k] B[g,n,k] + bias[g,n]                            of row i of A and its group g
//   gated:  u = sum_k A[i,k] B_gate[g,n,k] + gate_bias[g,n];   D = activation(alpha u') / alpha * (v' +
//   up_offset)
//           where u' = min(u, limit), v' = v limited to [-limit, limit]: of gpt-oss, and of all others
//           without a limit, with alpha 1 and up_offset 0
//   else:   D = activation(v) + residual
// Groups are said in one of three ways, by lists that the kernel reads from the device's memory:
//   group_of_row, rows_of_group   warpwright/grouping.h. Rows that do not exist are not written.
//   ids       an expert for each choice of each token: choice j of token t is slot t * top_k + j. D has a row
//   for
//             each slot, A one for each token or each slot. Slots whose id does not exist are not written,
//             nor those whose token has chosen the same group before. For few tokens: see kMostSlots.
//   ids and weights   D has a row for each token: residual[t] + sum_j weights[t,j] v of slot (t, j), added up
//   in
//             fp32 in an order that does not vary. Without a gate or an activation.
#pragma once

#include <limits>

#include "warpwright/context.h"
#include "warpwright/grouping.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct GroupedGemm {
    Tensor a;       // [rows, k], bf16 or f16, last dimension dense; masked, without row_of_a: [groups, m, k]
    Tensor b;       // [groups, n, k], like a
    Tensor b_gate;  // optional, like b, with its strides: may be other rows of one tensor
    Tensor d;       // [m, n] like a, or f32; masked: [groups, m, n]
    Tensor bias;    // optional, [groups, n] like a
    Tensor gate_bias;  // optional, with b_gate: like bias, with its strides
    Tensor residual;   // optional, like d; may be d; not gated
    Activation activation = Activation::none;
    float limit = std::numeric_limits<float>::infinity();
    float alpha = 1;
    float up_offset = 0;
    bool b_is_constant = false;  // as in warpwright/ops/gemm.h, of b and b_gate

    Tensor group_of_row;          // contiguous: [m] i32
    Tensor rows_of_group;         // masked: [groups] i32
    i64 group_rows = kGroupRows;  // contiguous: what a group's first row is a multiple of
    // Optional, [m] i32, masked [groups, m], dense: the row of a for each row of d that exists; a number that
    // is no row's is taken for row 0.
    Tensor row_of_a;
    i64 expected_groups = 0;  // how many groups are expected to have rows, for the choice of a row; 0: all
    i64 expected_m = 0;       // and how many rows one of those; 0: as many as there is place for

    Tensor ids;      // [tokens, top_k] i32, dense
    Tensor weights;  // optional, [tokens, top_k] f32, dense
    // The launch before this one does not write ids and weights, and waits for its predecessor before it
    // releases this one, as products do. Then they are read while it runs.
    bool ids_are_constant = false;
    bool lists_are_constant = false;  // the same of group_of_row, rows_of_group and row_of_a
};

// Errors: shapes or types that disagree (caller); no row (no_kernel). No rows, or no columns, is no error and
// prepares nothing.
Status prepare(Context& context, const GroupedGemm& call, Prepared& prepared);
Status grouped_gemm(Context& context, Stream stream, const GroupedGemm& call);

}  // namespace warpwright
