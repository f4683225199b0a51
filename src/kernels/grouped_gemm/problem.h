// SPDX-License-Identifier: Apache-2.0
// Products of groups of rows with weights of their own: what a mixture of experts multiplies. The definition
// is in warpwright/ops/grouped_gemm.h.
#pragma once

#include "kernels/gemm/groups.h"
#include "tile/gate_args.h"

namespace warpwright {

// Which rows are multiplied with which group's weights.
//   rows   lists of warpwright/grouping.h
//   slots  an expert for each choice of each token, ids [m, top_k]: D has a row for each choice
//   sums   the same, and D a row for each token: the weighted sum of its choices
enum class RowsBy : u8 { rows, slots, sums };

constexpr const char* enum_text(RowsBy by) {
    switch (by) {
        case RowsBy::rows: return "rows";
        case RowsBy::slots: return "slots";
        case RowsBy::sums: return "sums";
    }
    return "?";
}

struct GroupedGemmProblem {
    i64 m = 128;  // rows of D, masked: of each group; slots and sums: tokens
    i64 n = 1024;
    i64 k = 4096;
    DType dtype = DType::bf16;  // of a, b, bias
    DType out = DType::bf16;    // of d and residual: dtype or f32
    RowsBy by = RowsBy::rows;
    Grouping grouping = Grouping::contiguous;  // of rows
    i64 groups = 8;
    i64 top_k = 0;            // of slots and sums
    i64 group_rows = 128;     // contiguous: what a group's first row is a multiple of
    i64 expected_groups = 0;  // that have rows; 0: all, or as many as random choices hit
    i64 expected_m = 0;       // rows of one that has any; 0: all places, or as many as there are on average
    bool gather = false;      // rows of A by a list
    bool gated = false;       // a second weight, whose activated product is multiplied with
    bool bias = false;
    bool residual = false;
    Activation activation = Activation::none;
    i64 alignment_bytes = 16;  // what every row's start in a and b is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("m", self.m);
        v("n", self.n);
        v("k", self.k);
        v("dtype", self.dtype);
        v("out", self.out);
        v("by", self.by);
        v("grouping", self.grouping);
        v("groups", self.groups);
        v("top_k", self.top_k);
        v("group_rows", self.group_rows);
        v("expected_groups", self.expected_groups);
        v("expected_m", self.expected_m);
        v("gather", self.gather);
        v("gated", self.gated);
        v("bias", self.bias);
        v("residual", self.residual);
        v("activation", self.activation);
        v("alignment_bytes", self.alignment_bytes);
    }
    // As gemm's. What is by tokens' choices has rows for few tokens alone.
    constexpr GroupedGemmProblem canonical() const {
        GroupedGemmProblem problem = *this;
        problem.m = by == RowsBy::rows ? 128 : 16;
        problem.expected_m = problem.expected_groups = 0;
        return problem;
    }
};

struct GroupedGemmArgs {
    GemmArgs gemm;  // gate: null
    GroupArgs groups;
    const void* b_gate;     // like b, or null
    const void* gate_bias;  // like bias
    const i32* row_of_a;    // of each row of D, or null: the same
    const i32* ids;         // slots and sums: [m, top_k]
    const float* weights;   // sums: [m, top_k]
    GateArgs gate;
    i32 rows_of_a;  // that row_of_a may name
    i32 top_k;      // of slots and sums
    i32 group_rows;
    bool a_of_slots;  // slots and sums: A has a row for each choice, not for each token
    bool ids_are_constant;
    bool lists_are_constant;  // of groups, and row_of_a
};

}  // namespace warpwright
