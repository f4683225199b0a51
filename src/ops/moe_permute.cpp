// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_permute.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/moe/count/operation.h"
#include "kernels/moe/permute/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const MoePermute& call, Prepared& prepared) {
    const bool masked = !call.expert_of_row;
    constexpr i64 kMost = i64{1} << 30;
    Matcher match("moe_permute");
    match.tensor("ids", call.ids, {"tokens", "top_k"}, {DType::i32}, {.dense = true})
        .tensor("expert_map", call.expert_map, {"all experts"}, {DType::i32}, {.optional = true})
        .tensor("row_of_slot", call.row_of_slot, {"tokens", "top_k"}, {DType::i32}, {.dense = true})
        .tensor("token_of_row", call.token_of_row, {"rows"}, {DType::i32})
        .tensor("expert_rows", call.expert_rows, {"experts"}, {DType::i32})
        .tensor("expert_of_row", call.expert_of_row, {"rows"}, {DType::i32}, {.optional = true})
        .tensor("chunk_counts", call.chunk_counts, {"chunks", "experts"}, {DType::i32},
                {.dense = true, .optional = true});
    const i64 slots = match["tokens"] * match["top_k"], rows = match["rows"], experts = match["experts"];
    match
        .require(experts >= 1 && experts <= kMaxExperts,
                 fmt::format("there can be 1 to {} experts, got {}", kMaxExperts, experts))
        .require(slots <= kMost && rows <= kMost,
                 fmt::format("there can be at most {} slots and rows", kMost))
        .require(!call.chunk_counts || match["chunks"] == ceil_div(slots, kChunkSlots),
                 fmt::format("{} slots are {} chunks, chunk_counts has {}", slots,
                             ceil_div(slots, kChunkSlots), match["chunks"]))
        .require(call.alignment >= 1 && call.alignment <= 1024,
                 fmt::format("alignment must be 1 to 1024, got {}", call.alignment));
    WW_TRY(match.status());
    if (masked) {
        match.require(rows % experts == 0,
                      fmt::format("masked: {} experts do not divide {} rows", experts, rows));
    } else {
        const i64 enough = moe_rows(slots, experts, call.alignment);
        match.require(rows >= enough,
                      fmt::format("contiguous: {} slots of {} experts, aligned to {}, need {} rows, got {}",
                                  slots, experts, call.alignment, enough, rows));
    }
    WW_TRY(match.status());

    const MoePermuteProblem problem{.tokens = match["tokens"],
                                    .top_k = match["top_k"],
                                    .experts = experts,
                                    .rows = rows,
                                    .masked = masked,
                                    .alignment = masked ? 1 : call.alignment,
                                    .mapped = static_cast<bool>(call.expert_map),
                                    .space = static_cast<bool>(call.chunk_counts)};
    const MoePermuteArgs args{.ids = static_cast<const i32*>(call.ids.data),
                              .expert_map = static_cast<const i32*>(call.expert_map.data),
                              .row_of_slot = static_cast<i32*>(call.row_of_slot.data),
                              .token_of_row = static_cast<i32*>(call.token_of_row.data),
                              .expert_rows = static_cast<i32*>(call.expert_rows.data),
                              .expert_of_row = static_cast<i32*>(call.expert_of_row.data),
                              .chunk_counts = static_cast<i32*>(call.chunk_counts.data),
                              .slots = static_cast<i32>(slots),
                              .top_k = static_cast<i32>(problem.top_k),
                              .experts = static_cast<i32>(experts),
                              .map_size = static_cast<i32>(match["all experts"]),
                              .rows = static_cast<i32>(rows),
                              .alignment = static_cast<i32>(problem.alignment)};
    WW_ASSIGN(const MoePermuteRow* row, choose_in<MoePermuteOp>(context, problem, prepared.batch_invariant));
    if (is_counted(*row)) {
        const MoeCountProblem count{.slots = slots, .experts = experts, .mapped = problem.mapped};
        WW_TRY(prepare_step<MoeCountOp>(context, count, args, prepared));
    }
    return prepare_step<MoePermuteOp>(context, problem, args, prepared);
}

Status moe_permute(Context& context, Stream stream, const MoePermute& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
