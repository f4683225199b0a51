// SPDX-License-Identifier: Apache-2.0
#include <random>

#include "bench/make_cases.h"
#include "kernels/grouped_gemm/operation.h"
#include "kernels/quantized_experts/operation.h"
#include "ops/moe_plan.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/grouped_gemm.h"
#include "warpwright/ops/moe_combine.h"
#include "warpwright/ops/moe_experts.h"
#include "warpwright/ops/moe_permute.h"
#include "warpwright/ops/moe_route.h"

namespace warpwright::bench {
namespace {

Tensor matrix(Tensor vector, i64 rows, i64 columns) {
    vector.rank = 2;
    vector.shape = {rows, columns};
    vector.stride = {columns, 1};
    return vector;
}

// top_k different experts for each token, as random as a router's.
std::vector<i32> random_routing(i64 tokens, i64 experts, i64 top_k) {
    std::mt19937 random(1);
    std::vector<i32> ids;
    for (i64 token = 0; token < tokens; ++token) {
        const std::size_t begin = ids.size();
        while (ids.size() < begin + static_cast<std::size_t>(top_k)) {
            const auto id = static_cast<i32>(random() % static_cast<u32>(experts));
            if (std::find(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end(), id) == ids.end()) {
                ids.push_back(id);
            }
        }
    }
    return ids;
}

}  // namespace

Case moe_route_case(i64 tokens, i64 experts, i64 top_k, bool grouped) {
    const ExpertScore score = grouped ? ExpertScore::sigmoid : ExpertScore::softmax;
    FieldTexts set = fields({{"tokens", tokens}, {"experts", experts}, {"top_k", top_k}});
    set.emplace_back("dtype", dtype_name(DType::f32));
    set.emplace_back("score", expert_score_name(score));
    if (grouped) {
        set.emplace_back("bias", "true");
        set.emplace_back("num_groups", "8");
        set.emplace_back("top_groups", "4");
    }
    return {"moe_route",
            fmt::format("tokens={} experts={} top_k={} {} f32", tokens, experts, top_k,
                        grouped ? "sigmoid, bias, 4 of 8 groups" : "softmax"),
            set,
            4.0 * tokens * (experts + 2 * top_k),
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const auto slots = static_cast<std::size_t>(tokens * top_k);
                MoeRoute call{.logits = b.random(DType::f32, {tokens, experts}, 2),
                              .ids = matrix(b.integers(std::vector<i32>(slots, 0)), tokens, top_k),
                              .weights = b.zeros(DType::f32, {tokens, top_k}),
                              .score = score,
                              .renormalize = true};
                if (grouped) {
                    call.bias = b.random(DType::f32, {experts}, 0.1);
                    call.num_groups = 8;
                    call.top_groups = 4;
                    call.scale = 2.5;
                }
                return preparer(context, call);
            },
            "routing",
            "",
            Roof::none};
}

Case moe_permute_case(i64 tokens, i64 experts, i64 top_k, i64 alignment) {
    const i64 rows = moe_rows(tokens * top_k, experts, alignment);
    return {"moe_permute",
            fmt::format("tokens={} experts={} top_k={} contiguous, aligned to {}", tokens, experts, top_k,
                        alignment),
            fields({{"tokens", tokens},
                    {"experts", experts},
                    {"top_k", top_k},
                    {"rows", rows},
                    {"alignment", alignment},
                    {"space", 1}}),
            8.0 * (tokens * top_k + rows),
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const i64 chunks = (tokens * top_k + 1023) / 1024;
                const auto zeros = [&](i64 count) {
                    return b.integers(std::vector<i32>(static_cast<std::size_t>(count), 0));
                };
                const MoePermute call{
                    .ids = matrix(b.integers(random_routing(tokens, experts, top_k)), tokens, top_k),
                    .row_of_slot = matrix(zeros(tokens * top_k), tokens, top_k),
                    .token_of_row = zeros(rows),
                    .expert_rows = zeros(experts),
                    .expert_of_row = zeros(rows),
                    .alignment = alignment,
                    .chunk_counts = matrix(zeros(chunks * experts), chunks, experts)};
                return preparer(context, call);
            },
            "routing",
            "",
            Roof::none};
}

Case moe_combine_case(i64 tokens, i64 top_k, i64 width) {
    return {"moe_combine",
            fmt::format("tokens={} top_k={} width={} bf16", tokens, top_k, width),
            fields({{"tokens", tokens}, {"top_k", top_k}, {"width", width}}),
            2.0 * tokens * (top_k + 1) * width,
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const i64 slots = tokens * top_k;
                std::vector<i32> places(static_cast<std::size_t>(slots));
                for (i64 slot = 0; slot < slots; ++slot) {
                    // Every row once: its choices lie as far apart as experts do.
                    places[static_cast<std::size_t>(slot)] =
                        static_cast<i32>(slot % top_k * tokens + slot / top_k);
                }
                const MoeCombine call{.rows = b.random(kType, {slots, width}),
                                      .row_of_slot = matrix(b.integers(places), tokens, top_k),
                                      .weights = b.random(DType::f32, {tokens, top_k}),
                                      .out = b.zeros(kType, {tokens, width})};
                return preparer(context, call);
            },
            "routing",
            "",
            Roof::copy};
}

Case experts_product_case(i64 tokens, i64 hidden, i64 experts, i64 top_k, i64 width, bool down) {
    const MoeSizes sizes{tokens, top_k, experts, hidden, width};
    const GroupedGemmProblem problem = down ? moe_down_problem(sizes) : moe_up_problem(sizes);
    const double touched = expected_experts(tokens, top_k, experts);
    const double weights = static_cast<double>(hidden) * static_cast<double>(width) * (down ? 1 : 2);
    return {"grouped_gemm",
            fmt::format("tokens={} hidden={} experts={} top_k={} width={} {} bf16", tokens, hidden, experts,
                        top_k, width, down ? "down" : "gate_up"),
            field_texts(problem),
            2.0 * touched * weights,
            2.0 * static_cast<double>(tokens * top_k) * weights,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const MoePlan plan = moe_plan(sizes);
                const std::vector<i32> ids = random_routing(tokens, experts, top_k);
                GroupedGemm call{.b_is_constant = true,
                                 .group_rows = plan.alignment,
                                 .expected_groups = plan.expected_groups,
                                 .expected_m = plan.expected_m};
                const i64 n = down ? hidden : width, k = down ? width : hidden;
                call.b = b.random(kType, {experts, down ? n : 2 * n, k}, 0.02F);
                if (!down) {
                    call.b.shape[1] = n;
                    call.b_gate = call.b;
                    call.b.data = static_cast<std::byte*>(call.b.data) + n * k * 2;
                    call.activation = Activation::silu;
                }
                call.a = b.random(kType, {down ? plan.rows : tokens, k});
                call.d = b.zeros(kType, {plan.few && down ? tokens : plan.rows, n});
                if (plan.few) {
                    call.ids = matrix(b.integers(ids), tokens, top_k);
                    if (down) call.weights = b.random(DType::f32, {tokens, top_k});
                    call.ids_are_constant = down;
                    return preparer(context, call);
                }
                std::vector<i32> expert_of_row, token_of_row;
                for (i32 expert = 0; expert < experts; ++expert) {
                    for (std::size_t slot = 0; slot < ids.size(); ++slot) {
                        if (ids[slot] != expert) continue;
                        expert_of_row.push_back(expert);
                        token_of_row.push_back(static_cast<i32>(slot) / static_cast<i32>(top_k));
                    }
                    const auto aligned = static_cast<std::size_t>(plan.alignment);
                    expert_of_row.resize((expert_of_row.size() + aligned - 1) / aligned * aligned, -1);
                    token_of_row.resize(expert_of_row.size(), -1);
                }
                expert_of_row.resize(static_cast<std::size_t>(plan.rows), -1);
                token_of_row.resize(static_cast<std::size_t>(plan.rows), -1);
                call.group_of_row = b.integers(expert_of_row);
                if (!down) call.row_of_a = b.integers(token_of_row);
                return preparer(context, call);
            },
            "experts",
            "",
            Roof::read};
}

namespace {

// Router and routing of x, which `layer` takes; the experts' weights are its own.
Preparer whole_layer(Context& context, Buffers& b, MoeExperts layer, i64 experts, i64 top_k, i64 width) {
    const i64 tokens = layer.x.shape[0], hidden = layer.x.shape[1];
    const Tensor logits = b.zeros(DType::f32, {tokens, experts});
    const Gemm router{
        .a = layer.x, .b = b.random(kType, {experts, hidden}, 0.03F), .d = logits, .b_is_constant = true};
    const auto slots = static_cast<std::size_t>(tokens * top_k);
    const MoeRoute route{.logits = logits,
                         .ids = matrix(b.integers(std::vector<i32>(slots, 0)), tokens, top_k),
                         .weights = b.zeros(DType::f32, {tokens, top_k}),
                         .renormalize = true};
    const bool quantized = static_cast<bool>(layer.quantized_gate.data);
    const i64 bytes = moe_experts_workspace_bytes(tokens, top_k, experts, hidden, width, quantized);
    layer.ids = route.ids;
    layer.weights = route.weights;
    layer.out = b.zeros(kType, {tokens, hidden});
    layer.weights_are_constant = true;
    layer.workspace = b.zeros(DType::u8, {bytes});
    return [&context, router, route, layer](Prepared& prepared) {
        WW_TRY(prepare(context, router, prepared));
        WW_TRY(prepare(context, route, prepared));
        return prepare(context, layer, prepared);
    };
}

// That a layer must move, and its operations; `weight_bytes` of one expert.
double layer_bytes(i64 tokens, i64 hidden, i64 experts, i64 top_k, double weight_bytes) {
    return expected_experts(tokens, top_k, experts) * weight_bytes +
           2.0 * static_cast<double>(experts * hidden + 2 * tokens * hidden);
}
double layer_flops(i64 tokens, i64 hidden, i64 experts, i64 top_k, i64 width) {
    return 2.0 * static_cast<double>(tokens) *
           (static_cast<double>(top_k) * static_cast<double>(hidden * width * 3) +
            static_cast<double>(experts * hidden));
}

std::string layer_text(i64 tokens, i64 hidden, i64 experts, i64 top_k, i64 width) {
    return fmt::format("tokens={} hidden={} experts={} top_k={} width={} bf16", tokens, hidden, experts,
                       top_k, width);
}

}  // namespace

Case moe_case(i64 tokens, i64 hidden, i64 experts, i64 top_k, i64 width) {
    return {"moe",
            layer_text(tokens, hidden, experts, top_k, width),
            field_texts(moe_up_problem({tokens, top_k, experts, hidden, width})),
            layer_bytes(tokens, hidden, experts, top_k, 6.0 * static_cast<double>(hidden * width)),
            layer_flops(tokens, hidden, experts, top_k, width),
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                MoeExperts layer{.x = b.random(kType, {tokens, hidden})};
                layer.gate = b.random(kType, {experts, 2 * width, hidden}, 0.02F);
                layer.gate.shape[1] = width;
                layer.up = layer.gate;
                layer.up.data = static_cast<std::byte*>(layer.gate.data) + width * hidden * 2;
                layer.down = b.random(kType, {experts, hidden, width}, 0.03F);
                return whole_layer(context, b, layer, experts, top_k, width);
            },
            "moe",
            "torch._grouped_mm",
            Roof::read,
            "grouped_gemm"};
}

Case quantized_moe_case(WeightFormat format, i64 group, i64 tokens, i64 hidden, i64 experts, i64 top_k,
                        i64 width) {
    const MoeSizes sizes{.tokens = tokens,
                         .top_k = top_k,
                         .experts = experts,
                         .hidden = hidden,
                         .width = width,
                         .quantized = true,
                         .one_form = true};
    const QuantizedGemmProblem weight{
        .format = format, .group = group, .scale = facts_of(format).group != 0 ? DType::u8 : kType};
    const auto bytes_of = [&](i64 n, i64 k) {
        return static_cast<double>(packed_data_bytes(format, n, k) +
                                   packed_scales(n, k, group) * dtype_bytes(weight.scale));
    };
    const double expert_bytes = 2 * bytes_of(width, hidden) + bytes_of(hidden, width);
    const bool few = moe_plan(sizes).few;
    return {"moe",
            fmt::format("{} {} group={}", layer_text(tokens, hidden, experts, top_k, width),
                        facts_of(format).name, group),
            few ? field_texts(moe_choices_problem(sizes, false, weight))
                : field_texts(moe_quantized_problem(sizes, MoeProduct::gate, weight)),
            layer_bytes(tokens, hidden, experts, top_k, expert_bytes),
            layer_flops(tokens, hidden, experts, top_k, width),
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                MoeExperts layer{.x = b.random(kType, {tokens, hidden}, 0.01F)};
                layer.quantized_gate = random_weight(b, format, experts, width, hidden, group);
                layer.quantized_up = random_weight(b, format, experts, width, hidden, group);
                layer.quantized_down = random_weight(b, format, experts, hidden, width, group);
                return whole_layer(context, b, layer, experts, top_k, width);
            },
            "quantized moe",
            "torch._grouped_mm",
            Roof::read,
            few ? "quantized_experts" : "quantized_gemm"};
}

}  // namespace warpwright::bench
