// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "dispatch/prepare.h"
#include "kernels/grouped_gemm/rows.h"
#include "kernels/moe/permute/problem.h"
#include "kernels/quantized_experts/rows.h"
#include "ops/match.h"
#include "ops/moe_plan.h"
#include "ops/quantized_experts.h"
#include "warpwright/ops/embedding.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/grouped_gemm.h"
#include "warpwright/ops/moe_combine.h"
#include "warpwright/ops/moe_permute.h"

namespace warpwright {
namespace {

constexpr i64 kFewTokens = 8;  // a group of mma's columns
constexpr i64 kFewEach = 6;  // packed weights are read once for eight tokens of an expert, as most have then

// Where the parts of the workspace begin; each at a multiple of 16 bytes.
struct Workspace {
    std::byte* base;
    i64 used = 0;

    Tensor take(DType type, std::initializer_list<i64> shape) {
        Tensor tensor = Tensor::dense(nullptr, type, shape);
        const i64 bytes = (tensor.num_elements() * dtype_bytes(type) + 15) / 16 * 16;
        // Not null where only sizes are asked for: a null tensor is none.
        tensor.data = base + used;
        used += bytes;
        return tensor;
    }
};

struct Parts {
    Tensor activations;  // [rows, width]; of quantised experts the gate's first
    Tensor ups;          // [rows, width], of limited ones that are permuted
    Tensor results;      // [rows, hidden]; none where down adds up; of quantised experts x's rows first
    Tensor row_of_slot, token_of_row, expert_rows, expert_of_row, chunk_counts;
};

Parts parts_of(Workspace& space, const MoePlan& plan, const MoeSizes& sizes) {
    Parts parts;
    parts.activations = space.take(sizes.dtype, {plan.rows, sizes.width});
    if (sizes.limited && !plan.few) parts.ups = space.take(sizes.dtype, {plan.rows, sizes.width});
    if (plan.sums) return parts;
    const i64 slots = sizes.tokens * sizes.top_k;
    parts.results = space.take(sizes.dtype, {plan.rows, sizes.hidden});
    parts.row_of_slot = space.take(DType::i32, {sizes.tokens, sizes.top_k});
    if (plan.few) return parts;
    parts.token_of_row = space.take(DType::i32, {plan.rows});
    parts.expert_rows = space.take(DType::i32, {sizes.experts});
    if (!plan.masked) parts.expert_of_row = space.take(DType::i32, {plan.rows});
    if (moe_has_chunks(sizes))
        parts.chunk_counts = space.take(DType::i32, {(slots + kChunkSlots - 1) / kChunkSlots, sizes.experts});
    return parts;
}

// The products' common part.
GroupedGemm grouped(const MoeExperts& call, const MoePlan& plan) {
    GroupedGemm product;
    product.b_is_constant = call.weights_are_constant;
    product.group_rows = plan.alignment;
    product.expected_groups = plan.expected_groups;
    product.expected_m = plan.expected_m;
    return product;
}

Status prepare_products(Context& context, const MoeExperts& call, const MoePlan& plan, const Parts& parts,
                        Prepared& prepared) {
    GroupedGemm up = grouped(call, plan), down = grouped(call, plan);
    up.a = call.x;
    up.b = call.up;
    up.b_gate = call.gate;
    up.bias = call.up_bias;
    up.gate_bias = call.gate_bias;
    up.d = down.a = parts.activations;
    up.activation = call.activation;
    up.limit = call.limit, up.alpha = call.alpha, up.up_offset = call.up_offset;
    down.b = call.down;
    down.bias = call.down_bias;
    if (plan.few) {
        up.ids = down.ids = call.ids;
        down.weights = call.weights;
        // Its predecessor waits for the router before it lets this one start.
        down.ids_are_constant = true;
        down.d = call.out;
        down.residual = call.base;
    } else {
        up.group_of_row = down.group_of_row = parts.expert_of_row;
        up.row_of_a = parts.token_of_row;
        down.lists_are_constant = true;  // as ids above
        down.d = parts.results;
    }
    WW_TRY(prepare(context, up, prepared));
    return prepare(context, down, prepared);
}

Status named(const char* product, const Status& status) {
    if (status.ok()) return status;
    return {status.kind(), fmt::format("moe_experts: {}: {}", product, status.message())};
}

// [rows, columns] as products of groups take them.
Tensor by_groups(const Tensor& rows, const MoePlan& plan, i64 experts) {
    return plan.masked ? Tensor::dense(rows.data, rows.dtype, {experts, plan.rows / experts, rows.shape[1]})
                       : rows;
}

// Few tokens: rows of choices, for moe_combine.
Status prepare_choices(Context& context, const MoeExperts& call, const MoePlan& plan, const Parts& parts,
                       Prepared& prepared) {
    const QuantizedExperts up{.a = call.x,
                              .b = call.quantized_up,
                              .b_gate = call.quantized_gate,
                              .d = parts.activations,
                              .bias = call.up_bias,
                              .gate_bias = call.gate_bias,
                              .ids = call.ids,
                              .row_of_slot = parts.row_of_slot,
                              .activation = call.activation,
                              .limit = call.limit,
                              .alpha = call.alpha,
                              .up_offset = call.up_offset,
                              .b_is_constant = call.weights_are_constant,
                              .expected_groups = plan.expected_groups};
    const QuantizedExperts down{.a = parts.activations,
                                .b = call.quantized_down,
                                .d = parts.results,
                                .bias = call.down_bias,
                                .ids = call.ids,
                                .b_is_constant = call.weights_are_constant,
                                .ids_are_constant = true,  // as of prepare_products
                                .expected_groups = plan.expected_groups};
    WW_TRY(named("gate and up", prepare(context, up, prepared)));
    return named("down", prepare(context, down, prepared));
}

Status prepare_quantized(Context& context, const MoeExperts& call, const MoePlan& plan, const Parts& parts,
                         Prepared& prepared) {
    const i64 experts = call.quantized_gate.groups;
    WW_TRY(prepare(context, Embedding{.ids = parts.token_of_row, .table = call.x, .out = parts.results},
                   prepared));
    QuantizedGemm gate{.a = by_groups(parts.results, plan, experts),
                       .b = call.quantized_gate,
                       .d = by_groups(parts.activations, plan, experts),
                       .bias = call.gate_bias,
                       .b_is_constant = call.weights_are_constant,
                       .group_of_row = parts.expert_of_row,
                       .expected_groups = plan.expected_groups,
                       .expected_m = plan.expected_m};
    if (plan.masked) gate.rows_of_group = parts.expert_rows;
    QuantizedGemm up = gate, down = gate;
    up.b = call.quantized_up;
    up.bias = call.up_bias;
    if (parts.ups) {
        up.d = by_groups(parts.ups, plan, experts);
    } else {
        up.gate = gate.d;
        up.activation = call.activation;
    }
    down.a = gate.d, down.d = gate.a;
    down.b = call.quantized_down;
    down.bias = call.down_bias;
    for (const auto& [name, product] : {std::pair{"gate", &gate}, {"up", &up}, {"down", &down}}) {
        if (product == &down && parts.ups) {
            WW_TRY(prepare(context,
                           GatedActivation{.gate = parts.activations,
                                           .up = parts.ups,
                                           .out = parts.activations,
                                           .activation = call.activation,
                                           .limit = call.limit,
                                           .alpha = call.alpha,
                                           .up_offset = call.up_offset},
                           prepared));
        }
        WW_TRY(named(name, prepare(context, *product, prepared)));
    }
    return {};
}

// Codes as the numbers that they stand for, so that sizes are matched alike.
Tensor numbers_of(const QuantizedWeight& weight, DType type) {
    return Tensor::dense(weight.data.data, type, {weight.groups, weight.n, weight.k});
}

// What dense rows of 16-bit elements start at multiples of, as the operations see it.
i64 row_alignment(i64 width, const MoeSizes& s) {
    const u64 bits = static_cast<u64>(16 | 2 * width | s.alignment_bytes);
    return i64{1} << std::countr_zero(bits);
}

}  // namespace

double expected_experts(i64 tokens, i64 top_k, i64 experts) {
    const auto all = static_cast<double>(experts);
    return all *
           (1 - std::pow(1 - std::min(1.0, static_cast<double>(top_k) / all), static_cast<double>(tokens)));
}

MoePlan moe_plan(const MoeSizes& s) {
    MoePlan plan;
    const i64 slots = s.tokens * s.top_k;
    const double touched = std::max(1.0, expected_experts(s.tokens, s.top_k, s.experts));
    const double each = static_cast<double>(slots) / touched;
    plan.expected_groups = static_cast<i64>(std::lround(touched));
    plan.expected_m = static_cast<i64>(std::ceil(each));
    plan.rows = slots;
    // What reads rows in vectors has no row without alignment; the permuted way has.
    const bool aligned = row_alignment(s.hidden, s) == 16 && row_alignment(s.width, s) == 16;
    const bool choices = aligned && !s.batch_invariant;
    plan.few = s.quantized
                   ? choices && s.one_form && slots <= kMostChoices && each <= kFewEach
                   : choices && s.tokens <= kFewTokens && slots <= kMostSlots && s.experts <= kMostSlotGroups;
    plan.sums = plan.few && !s.quantized;
    if (plan.few) return plan;
    if (s.quantized) {
        plan.alignment = kGroupRows;
        plan.rows = moe_rows(slots, s.experts, plan.alignment);
        plan.masked = !s.batch_invariant && s.experts * s.tokens <= plan.rows;
        if (plan.masked) plan.rows = s.experts * s.tokens;
        return plan;
    }
    plan.alignment = s.batch_invariant ? 64 : each <= 12 ? 16 : each <= 24 ? 32 : each <= 48 ? 64 : 128;
    plan.rows = moe_rows(slots, s.experts, plan.alignment);
    return plan;
}

bool moe_has_chunks(const MoeSizes& sizes) {
    return sizes.tokens * sizes.top_k > kChunkSlots;
}

GroupedGemmProblem moe_up_problem(const MoeSizes& s) {
    const MoePlan plan = moe_plan(s);
    return {.m = plan.few ? s.tokens : plan.rows,
            .n = s.width,
            .k = s.hidden,
            .dtype = s.dtype,
            .out = s.dtype,
            .by = plan.few ? RowsBy::slots : RowsBy::rows,
            .grouping = Grouping::contiguous,
            .groups = s.experts,
            .top_k = plan.few ? s.top_k : 0,
            .group_rows = plan.few ? kGroupRows : plan.alignment,
            .expected_groups = plan.expected_groups,
            .expected_m = plan.expected_m,
            .gather = !plan.few,
            .gated = true,
            .bias = s.bias,
            .activation = s.activation,
            .alignment_bytes = row_alignment(s.hidden, s)};
}

GroupedGemmProblem moe_down_problem(const MoeSizes& s) {
    GroupedGemmProblem problem = moe_up_problem(s);
    std::swap(problem.n, problem.k);
    if (problem.by == RowsBy::slots) problem.by = RowsBy::sums;
    problem.gather = problem.gated = false;
    problem.activation = Activation::none;
    problem.alignment_bytes = row_alignment(s.width, s);
    return problem;
}

EmbeddingProblem moe_gather_problem(const MoeSizes& s) {
    return {.tokens = moe_plan(s).rows,
            .width = s.hidden,
            .dtype = s.dtype,
            .alignment_bytes = row_alignment(s.hidden, s)};
}

QuantizedGemmProblem moe_quantized_problem(const MoeSizes& s, MoeProduct product,
                                           const QuantizedGemmProblem& weight) {
    const MoePlan plan = moe_plan(s);
    const bool is_up = product == MoeProduct::up && !s.limited;
    const auto [n, k] =
        product == MoeProduct::down ? std::pair{s.hidden, s.width} : std::pair{s.width, s.hidden};
    return {.m = plan.masked ? s.tokens : plan.rows,
            .n = n,
            .k = k,
            .dtype = s.dtype,
            .out = s.dtype,
            .format = weight.format,
            .group = weight.group,
            .scale = weight.scale,
            .zeros = weight.zeros,
            .order = weight.order,
            .bias = s.bias,
            .gate = is_up,
            .activation = is_up ? s.activation : Activation::none,
            .grouping = plan.masked ? Grouping::masked : Grouping::contiguous,
            .groups = s.experts,
            .expected_groups = plan.expected_groups,
            .expected_m = plan.expected_m,
            .alignment_bytes = row_alignment(k, {})};
}

QuantizedExpertsProblem moe_choices_problem(const MoeSizes& s, bool down,
                                            const QuantizedGemmProblem& weight) {
    const MoePlan plan = moe_plan(s);
    const i64 n = down ? s.hidden : s.width, k = down ? s.width : s.hidden;
    return {.m = s.tokens,
            .n = n,
            .k = k,
            .dtype = s.dtype,
            .format = weight.format,
            .group = weight.group,
            .scale = weight.scale,
            .zeros = weight.zeros,
            .groups = s.experts,
            .top_k = s.top_k,
            .expected_groups = plan.expected_groups,
            .gated = !down,
            .bias = s.bias,
            .activation = down ? Activation::none : s.activation,
            .alignment_bytes = row_alignment(k, {})};
}

GatedActivationProblem moe_gate_problem(const MoeSizes& s) {
    return {.tokens = moe_plan(s).rows,
            .width = s.width,
            .dtype = s.dtype,
            .activation = s.activation,
            .alignment_bytes = row_alignment(s.width, s)};
}

i64 moe_experts_workspace_bytes(i64 tokens, i64 top_k, i64 experts, i64 hidden, i64 width, bool quantized,
                                bool limited) {
    if (tokens <= 0 || experts <= 0) return 0;
    MoeSizes sizes{.tokens = tokens,
                   .top_k = top_k,
                   .experts = experts,
                   .hidden = hidden,
                   .width = width,
                   .quantized = quantized,
                   .limited = quantized && limited};
    i64 most = 0;
    for (const bool batch_invariant : {false, true}) {
        for (const bool one_form : {false, true}) {
            Workspace space{nullptr};
            sizes.batch_invariant = batch_invariant;
            sizes.one_form = one_form;
            parts_of(space, moe_plan(sizes), sizes);
            most = std::max(most, space.used);
        }
    }
    return most;
}

Status prepare(Context& context, const MoeExperts& call, Prepared& prepared) {
    Matcher match("moe_experts");
    const DType type = call.x.dtype;
    const bool quantized = call.quantized_gate.data || call.quantized_up.data || call.quantized_down.data;
    match.require(!quantized || (!call.gate && !call.up && !call.down),
                  "gate, up and down are given as numbers and as codes");
    const Tensor gate = quantized ? numbers_of(call.quantized_gate, type) : call.gate;
    const Tensor up = quantized ? numbers_of(call.quantized_up, type) : call.up;
    const Tensor down = quantized ? numbers_of(call.quantized_down, type) : call.down;
    match.tensor("x", call.x, {"tokens", "hidden"}, {DType::bf16, DType::f16})
        .tensor("ids", call.ids, {"tokens", "top_k"}, {DType::i32}, {.dense = true})
        .tensor("weights", call.weights, {"tokens", "top_k"}, {DType::f32}, {.dense = true})
        .tensor("gate", gate, {"experts", "width", "hidden"}, {type})
        .tensor("up", up, {"experts", "width", "hidden"}, {type})
        .tensor("down", down, {"experts", "hidden", "width"}, {type})
        .tensor("gate_bias", call.gate_bias, {"experts", "width"}, {type}, {.optional = true})
        .tensor("up_bias", call.up_bias, {"experts", "width"}, {type}, {.optional = true})
        .tensor("down_bias", call.down_bias, {"experts", "hidden"}, {type}, {.optional = true})
        .tensor("out", call.out, {"tokens", "hidden"}, {type})
        .tensor("base", call.base, {"tokens", "hidden"}, {type}, {.optional = true});
    WW_TRY(match.status());
    const MoeSizes sizes{
        .tokens = match["tokens"],
        .top_k = match["top_k"],
        .experts = match["experts"],
        .hidden = match["hidden"],
        .width = match["width"],
        .dtype = type,
        .batch_invariant = prepared.batch_invariant,
        .alignment_bytes = alignment_of({&call.x, &gate, &up, &down}, prepared.batch_invariant),
        .quantized = quantized,
        .one_form =
            quantized && same_form(call.quantized_gate, call.quantized_up) && !call.quantized_down.order,
        .limited = quantized && (std::isfinite(call.limit) || call.alpha != 1 || call.up_offset != 0)};
    if (sizes.tokens == 0 || sizes.hidden == 0) return {};
    match.require(sizes.experts >= 1 && sizes.top_k >= 1 && sizes.width >= 1,
                  fmt::format("experts, top_k and width must be at least 1, got {}, {} and {}", sizes.experts,
                              sizes.top_k, sizes.width));
    WW_TRY(match.status());
    const MoePlan plan = moe_plan(sizes);
    Workspace space{static_cast<std::byte*>(call.workspace.data)};
    const Parts parts = parts_of(space, plan, sizes);
    match.tensor("workspace", call.workspace, {"bytes"}, {DType::u8}, {.dense = true})
        .require(match["bytes"] >= space.used,
                 fmt::format("workspace: expected {} bytes, got {}", space.used, match["bytes"]))
        .require(alignment_of({&call.workspace}) >= 16, "workspace must start at a multiple of 16 bytes");
    WW_TRY(match.status());

    if (!plan.few) {
        WW_TRY(prepare(context,
                       MoePermute{.ids = call.ids,
                                  .expert_map = {},
                                  .row_of_slot = parts.row_of_slot,
                                  .token_of_row = parts.token_of_row,
                                  .expert_rows = parts.expert_rows,
                                  .expert_of_row = parts.expert_of_row,
                                  .alignment = plan.alignment,
                                  .chunk_counts = parts.chunk_counts},
                       prepared));
    }
    WW_TRY(!quantized ? prepare_products(context, call, plan, parts, prepared)
           : plan.few ? prepare_choices(context, call, plan, parts, prepared)
                      : prepare_quantized(context, call, plan, parts, prepared));
    if (plan.sums) return {};
    return prepare(context,
                   MoeCombine{.rows = parts.results,
                              .row_of_slot = parts.row_of_slot,
                              .weights = call.weights,
                              .out = call.out,
                              .base = call.base,
                              .places_are_constant = true},  // as ids of prepare_products
                   prepared);
}

Status moe_experts(Context& context, Stream stream, const MoeExperts& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
