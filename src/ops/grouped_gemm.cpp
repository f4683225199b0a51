// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/grouped_gemm.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/grouped_gemm/operation.h"
#include "ops/group_tensors.h"
#include "ops/match.h"
#include "ops/product_args.h"

namespace warpwright {
namespace {

bool same_strides(const Tensor& a, const Tensor& b) {
    bool same = a.rank == b.rank;
    for (int i = 0; same && i < a.rank; ++i) same = a.shape[i] <= 1 || a.stride[i] == b.stride[i];
    return same;
}

// Kernels count a tile's bytes from its first row, and those of rows by a list from the first of all, in 32
// bits.
constexpr i64 kMostBytes = i64{1} << 32;
constexpr i64 kMostTileRows = 256;

void require_near_rows(Matcher& match, const GroupedGemm& call, const Tensor& a, bool gather) {
    const i64 rows = gather ? a.shape[0] : kMostTileRows;
    match
        .require(rows * a.stride[0] * 2 < kMostBytes,
                 fmt::format("a: {} rows of {} elements are 4 GiB or more", rows, a.stride[0]))
        .require(kMostTileRows * call.b.stride[1] * 2 < kMostBytes,
                 fmt::format("b: {} rows of {} elements are 4 GiB or more", kMostTileRows, call.b.stride[1]));
}

}  // namespace

Status prepare(Context& context, const GroupedGemm& call, Prepared& prepared) {
    Matcher match("grouped_gemm");
    const bool contiguous = static_cast<bool>(call.group_of_row),
               masked = static_cast<bool>(call.rows_of_group);
    const bool by_ids = static_cast<bool>(call.ids), sums = static_cast<bool>(call.weights);
    const bool gated = static_cast<bool>(call.b_gate), gather = static_cast<bool>(call.row_of_a);
    match.require(contiguous + masked + by_ids == 1, "give one of group_of_row, rows_of_group and ids");
    const DType type = call.a.dtype;
    const bool a_groups = masked && !gather;
    match.tensor("b", call.b, {"groups", "n", "k"}, {DType::bf16, DType::f16})
        .tensor("b_gate", call.b_gate, {"groups", "n", "k"}, {type}, {.optional = true})
        .tensor("bias", call.bias, {"groups", "n"}, {type}, {.optional = true})
        .tensor("gate_bias", call.gate_bias, {"groups", "n"}, {type}, {.optional = true})
        .tensor("group_of_row", call.group_of_row, {"m"}, {DType::i32}, {.optional = true})
        .tensor("rows_of_group", call.rows_of_group, {"groups"}, {DType::i32}, {.optional = true})
        .tensor("ids", call.ids, {"m", "top_k"}, {DType::i32}, {.dense = true, .optional = true})
        .tensor("weights", call.weights, {"m", "top_k"}, {DType::f32}, {.dense = true, .optional = true});
    const i64 slots = match["m"] * match["top_k"];
    const bool a_of_slots = by_ids && match["top_k"] > 1 && call.a.rank == 2 && call.a.shape[0] == slots;
    match_matrix(match, "a", call.a, a_groups,
                 gather       ? "rows_of_a"
                 : a_of_slots ? "slots"
                              : "m",
                 "k", {call.b.dtype});
    const char* rows_of_d = by_ids && !sums ? "slots" : "m";
    match_matrix(match, "d", call.d, masked, rows_of_d, "n", {type, DType::f32});
    match_matrix(match, "residual", call.residual, masked, rows_of_d, "n", {call.d.dtype}, true);
    if (gather) {
        masked ? match.tensor("row_of_a", call.row_of_a, {"groups", "m"}, {DType::i32}, {.dense = true})
               : match.tensor("row_of_a", call.row_of_a, {"m"}, {DType::i32}, {.dense = true});
    }
    match
        .require(!by_ids || sums || !call.d || call.d.rank != 2 || call.d.shape[0] == slots,
                 fmt::format("d must have a row for each of {} slots", slots))
        .require(!sums || by_ids, "weights go with ids")
        .require(!sums || (!gated && call.activation == Activation::none),
                 "weights exclude b_gate and an activation")
        .require(!by_ids || !gather, "row_of_a goes with group_of_row or rows_of_group")
        .require(!gated || !call.residual, "b_gate excludes residual")
        .require(gated || !call.gate_bias, "gate_bias goes with b_gate")
        .require(!gated || same_strides(call.b, call.b_gate), "b_gate must have the strides of b")
        .require(!gated || static_cast<bool>(call.bias) == static_cast<bool>(call.gate_bias),
                 "bias and gate_bias go together")
        .require(!call.gate_bias || same_strides(call.bias, call.gate_bias),
                 "gate_bias must have the strides of bias");
    require_gate_limits(match, call, gated);
    match.require(!call.b || match["k"] > 0, "k must be at least 1, got 0")
        .require(call.group_rows > 0, fmt::format("group_rows must be positive, got {}", call.group_rows))
        .require(call.expected_m >= 0 && call.expected_groups >= 0,
                 fmt::format("expected_m and expected_groups must be 0 or more, got {} and {}",
                             call.expected_m, call.expected_groups));
    WW_TRY(match.status());
    const i64 m = match["m"], n = match["n"], k = match["k"], groups = match["groups"];
    if (m == 0 || n == 0 || (by_ids && slots == 0)) return {};
    // Without groups nothing exists, and sums are but what they are on top of.
    if (groups == 0) {
        return match.require(!sums, "groups must be at least 1 with weights, got 0").status();
    }
    const Tensor a = of_group(call.a, a_groups);
    require_product_sizes(match, m, n, k);
    require_near_rows(match, call, a, gather);
    match.require(!gather || a.shape[0] > 0, "a has no rows, of which row_of_a could name one");
    WW_TRY(match.status());

    const GroupedGemmProblem problem{
        .m = m,
        .n = n,
        .k = k,
        .dtype = type,
        .out = call.d.dtype,
        .by = sums     ? RowsBy::sums
              : by_ids ? RowsBy::slots
                       : RowsBy::rows,
        .grouping = masked ? Grouping::masked : Grouping::contiguous,
        .groups = groups,
        .top_k = match["top_k"],
        .group_rows = contiguous ? call.group_rows : kGroupRows,
        .expected_groups = call.expected_groups,
        .expected_m = call.expected_m,
        .gather = gather,
        .gated = gated,
        .bias = static_cast<bool>(call.bias),
        .residual = static_cast<bool>(call.residual),
        .activation = call.activation,
        .alignment_bytes =
            alignment_of({&call.a, &call.b, gated ? &call.b_gate : &call.b}, prepared.batch_invariant)};
    struct One {
        Tensor a, d, bias, gate, residual;
        Activation activation;
        bool b_is_constant;
    };
    const One one{a,
                  of_group(call.d, masked),
                  of_group(call.bias, true),
                  {},
                  of_group(call.residual, masked),
                  call.activation,
                  call.b_is_constant};
    GemmArgs gemm = product_args(one, m, n, k, context.target().facts.num_sms);
    gemm.b = call.b.data;
    gemm.b_stride = call.b.stride[1];
    gemm.out_aligned = alignment_of({&call.d, &call.bias, &call.residual}) >= 16;
    const GroupedGemmArgs args{.gemm = gemm,
                               .groups = {.of_row = static_cast<const i32*>(call.group_of_row.data),
                                          .num_rows = static_cast<const i32*>(call.rows_of_group.data),
                                          .a_stride = group_stride(call.a, a_groups),
                                          .b_stride = call.b.stride[0],
                                          .d_stride = group_stride(call.d, masked),
                                          .bias_stride = group_stride(call.bias, true),
                                          .gate_stride = 0,
                                          .residual_stride = group_stride(call.residual, masked),
                                          .groups = static_cast<i32>(groups),
                                          .kind = by_ids ? Grouping::none : problem.grouping},
                               .b_gate = call.b_gate.data,
                               .gate_bias = call.gate_bias.data,
                               .row_of_a = static_cast<const i32*>(call.row_of_a.data),
                               .ids = static_cast<const i32*>(call.ids.data),
                               .weights = static_cast<const float*>(call.weights.data),
                               .gate = {call.limit, call.alpha, call.up_offset},
                               .rows_of_a = static_cast<i32>(a.shape[0]),
                               .top_k = static_cast<i32>(problem.top_k),
                               .group_rows = static_cast<i32>(problem.group_rows),
                               .a_of_slots = a_of_slots,
                               .ids_are_constant = call.ids_are_constant,
                               .lists_are_constant = call.lists_are_constant};
    return prepare_step<GroupedGemmOp>(context, problem, args, prepared);
}

Status grouped_gemm(Context& context, Stream stream, const GroupedGemm& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
