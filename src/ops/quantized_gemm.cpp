// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantized_gemm.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/order/operation.h"
#include "ops/group_tensors.h"
#include "ops/match.h"
#include "ops/product_args.h"
#include "ops/quantized_weight.h"

namespace warpwright {

void match_weight(Matcher& match, const QuantizedWeight& b) {
    const WeightFormatFacts facts = facts_of(b.format);
    match
        .require(b.n >= 0 && b.k >= 1,
                 fmt::format("b: k must be at least 1 and n 0, got {} and {}", b.k, b.n))
        .require(b.groups >= 1, fmt::format("b.groups must be at least 1, got {}", b.groups))
        .require(b.group >= 0,
                 fmt::format("b.group must be positive, or 0 for the whole row, got {}", b.group))
        .require(facts.group == 0 || b.group == facts.group,
                 fmt::format("b.group: {} has groups of {}, got {}", facts.name, facts.group, b.group))
        .require(b.group <= 0 || b.k % b.group == 0,
                 fmt::format("b.group: {} does not divide k = {}", b.group, b.k))
        .require(!b.zeros || is_integer(b.format), fmt::format("b.zeros: {} has no zero points", facts.name));
    if (!match.status().ok()) return;
    const std::string bytes = std::to_string(b.groups * packed_data_bytes(b.format, b.n, b.k));
    const std::string scales = std::to_string(b.groups * packed_scales(b.n, b.k, b.group));
    const std::string k = std::to_string(b.groups * b.k), groups = std::to_string(b.groups);
    const auto sized = [&](const char* name, const Tensor& tensor, const std::string& size,
                           std::initializer_list<DType> types, bool optional = false) {
        match.tensor(name, tensor, {name}, types, {.dense = true, .optional = optional});
        if (!tensor || tensor.rank != 1) return;
        match.require(std::to_string(tensor.shape[0]) == size,
                      fmt::format("{} must have {} elements, got {}", name, size, tensor.shape[0]));
    };
    sized("b.data", b.data, bytes, {DType::u8});
    if (facts.group != 0) {
        sized("b.scales", b.scales, scales, {DType::u8});
    } else {
        sized("b.scales", b.scales, scales, {DType::bf16, DType::f16, DType::f32});
    }
    sized("b.zeros", b.zeros, scales, {DType::u8}, true);
    sized("b.order", b.order, k, {DType::i32}, true);
    sized("b.global_scales", b.global_scales, groups, {DType::f32}, true);
    match.require(alignment_of({&b.data, &b.scales, &b.zeros}) >= 16,
                  "b: data, scales and zeros must start at multiples of 16 bytes");
}

i64 group_of_scales(const QuantizedWeight& b) {
    return b.group == b.k && b.k >= kPackedK ? 0 : b.group;
}

void set_weight(QuantizedGemmArgs& args, const QuantizedWeight& b) {
    const i64 group = group_of_scales(b);
    const i32 groups_a_step = group > 0 && group < kPackedK ? static_cast<i32>(kPackedK / group) : 1;
    args.gemm.b = b.data.data;
    args.scales = b.scales.data;
    args.zeros = b.zeros.data;
    args.order = static_cast<const i32*>(b.order.data);
    args.global_scales = static_cast<const float*>(b.global_scales.data);
    args.global_scale = b.global_scale;
    args.scale_stride = packed_scales(b.n, b.k, group);
    args.scale_bytes = dtype_bytes(b.scales.dtype);
    args.scale_step_bytes = groups_a_step * kPackedRows * args.scale_bytes;
    args.num_groups = static_cast<i32>(packed_groups(b.k, group));
    args.group_shift = group_shift_of(group);
    args.halves = facts_of(b.format).group == 0 && group == 32;
    args.scale = b.scales.dtype;
    args.form = scale_form(b.scales.dtype);
}

namespace {

// The launch that brings a's columns in order, and the product as it is without one.
Status prepare_ordered(Context& context, const QuantizedGemm& call, Prepared& prepared) {
    const bool masked = static_cast<bool>(call.rows_of_group),
               contiguous = static_cast<bool>(call.group_of_row);
    const Tensor one = of_group(call.a, masked);
    const i64 m = one.shape[0], k = one.shape[1], rows = masked ? call.b.groups * m : m;
    const i64 bytes = rows * k * dtype_bytes(call.a.dtype);
    Matcher match("quantized_gemm");
    match.tensor("workspace", call.workspace, {"bytes"}, {DType::u8}, {.dense = true})
        .require(match["bytes"] >= bytes,
                 fmt::format("workspace must have {} bytes, got {}", bytes, match["bytes"]))
        .require(alignment_of({&call.workspace}) >= 16, "workspace must start at a multiple of 16 bytes");
    WW_TRY(match.status());
    const GatherColumnsArgs args{.x = call.a.data,
                                 .out = call.workspace.data,
                                 .order = static_cast<const i32*>(call.b.order.data),
                                 .group_of_row = static_cast<const i32*>(call.group_of_row.data),
                                 .rows_of_group = static_cast<const i32*>(call.rows_of_group.data),
                                 .x_stride = one.stride[0],
                                 .x_group_stride = group_stride(call.a, masked),
                                 .rows = static_cast<i32>(rows),
                                 .group_rows = static_cast<i32>(m),
                                 .columns = static_cast<i32>(k)};
    const Grouping grouping = contiguous ? Grouping::contiguous : masked ? Grouping::masked : Grouping::none;
    WW_TRY(prepare_step<GatherColumnsOp>(context, {.rows = rows, .columns = k, .grouping = grouping}, args,
                                         prepared));
    QuantizedGemm ordered = call;
    ordered.a = masked ? Tensor::dense(call.workspace.data, call.a.dtype, {call.b.groups, m, k})
                       : Tensor::dense(call.workspace.data, call.a.dtype, {m, k});
    ordered.b.order = {};
    ordered.workspace = {};
    return prepare(context, ordered, prepared);
}

}  // namespace

Status prepare(Context& context, const QuantizedGemm& call, Prepared& prepared) {
    Matcher match("quantized_gemm");
    const QuantizedWeight& b = call.b;
    const bool contiguous = static_cast<bool>(call.group_of_row);
    const bool masked = static_cast<bool>(call.rows_of_group), grouped = contiguous || masked;
    match.require(!contiguous || !masked, "group_of_row and rows_of_group exclude each other");
    match_matrix(match, "a", call.a, masked, "m", "k", {DType::bf16, DType::f16});
    const bool has_codes = call.d.dtype == DType::u8;
    match_matrix(match, "d", call.d, masked, "m", "n", {call.a.dtype, DType::f32, DType::u8});
    match_matrix(match, "gate", call.gate, masked, "m", "n", {call.a.dtype}, true);
    match_matrix(match, "residual", call.residual, masked, "m", "n",
                 {has_codes ? call.a.dtype : call.d.dtype}, true);
    match_codes(match, call, has_codes);
    match.require(!has_codes || !grouped, "codes of d are not made of groups of rows");
    if (grouped) {
        match.tensor("bias", call.bias, {"groups", "n"}, {call.a.dtype}, {.optional = true});
    } else {
        match.tensor("bias", call.bias, {"n"}, {call.a.dtype}, {.optional = true});
    }
    match.tensor("group_of_row", call.group_of_row, {"m"}, {DType::i32}, {.optional = true})
        .tensor("rows_of_group", call.rows_of_group, {"groups"}, {DType::i32}, {.optional = true})
        .require(
            match["k"] == b.k && match["n"] == b.n,
            fmt::format("b: n and k are {} and {}, but d has {} and a {}", b.n, b.k, match["n"], match["k"]))
        .require(grouped || b.groups == 1, fmt::format("b.groups: {} without groups of rows", b.groups))
        .require(match["groups"] == 0 || match["groups"] == b.groups,
                 fmt::format("b.groups: expected {}, got {}", match["groups"], b.groups))
        .require(call.expected_groups >= 0 && call.expected_m >= 0,
                 fmt::format("expected_groups and expected_m must be 0 or more, got {} and {}",
                             call.expected_groups, call.expected_m));
    match_weight(match, b);
    WW_TRY(match.status());
    const i64 m = match["m"], n = match["n"], k = match["k"];
    if (m == 0 || n == 0) return {};
    require_product_sizes(match, m, n, k);
    WW_TRY(match.status());
    if (b.order && call.workspace) return prepare_ordered(context, call, prepared);

    const i64 group = group_of_scales(b);
    const Grouping grouping = contiguous ? Grouping::contiguous : masked ? Grouping::masked : Grouping::none;
    const QuantizedGemmProblem problem{.m = m,
                                       .n = n,
                                       .k = k,
                                       .dtype = call.a.dtype,
                                       .out = call.d.dtype,
                                       .format = b.format,
                                       .group = group,
                                       .scale = b.scales.dtype,
                                       .zeros = static_cast<bool>(b.zeros),
                                       .order = static_cast<bool>(b.order),
                                       .bias = static_cast<bool>(call.bias),
                                       .gate = static_cast<bool>(call.gate),
                                       .residual = static_cast<bool>(call.residual),
                                       .activation = call.activation,
                                       .grouping = grouping,
                                       .groups = b.groups,
                                       .expected_groups = grouped ? call.expected_groups : 0,
                                       .expected_m = grouped ? call.expected_m : 0,
                                       .alignment_bytes = alignment_of({&call.a}, prepared.batch_invariant)};
    const QuantizedGemm one{.a = of_group(call.a, masked),
                            .b = {},
                            .d = of_group(call.d, masked),
                            .bias = of_group(call.bias, grouped),
                            .gate = of_group(call.gate, masked),
                            .residual = of_group(call.residual, masked),
                            .activation = call.activation,
                            .b_is_constant = call.b_is_constant};
    GemmArgs gemm = product_args(one, m, n, k, context.target().facts.num_sms);
    gemm.out_aligned = alignment_of({&call.d, &call.bias, &call.gate, &call.residual}) >= 16;
    set_codes(gemm, call);
    QuantizedGemmArgs args{.gemm = gemm,
                           .groups = {.of_row = static_cast<const i32*>(call.group_of_row.data),
                                      .num_rows = static_cast<const i32*>(call.rows_of_group.data),
                                      .a_stride = group_stride(call.a, masked),
                                      .b_stride = packed_data_bytes(b.format, n, k),
                                      .d_stride = group_stride(call.d, masked),
                                      .bias_stride = group_stride(call.bias, grouped),
                                      .gate_stride = group_stride(call.gate, masked),
                                      .residual_stride = group_stride(call.residual, masked),
                                      .groups = static_cast<i32>(b.groups),
                                      .kind = grouping}};
    set_weight(args, b);
    return prepare_step<QuantizedGemmOp>(context, problem, args, prepared);
}

Status quantized_gemm(Context& context, Stream stream, const QuantizedGemm& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
