// SPDX-License-Identifier: Apache-2.0
#include <random>

#include "bench/make_cases.h"
#include "warpwright/ops/moe_combine.h"
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

}  // namespace warpwright::bench
