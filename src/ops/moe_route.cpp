// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_route.h"

#include <fmt/format.h>

#include <cmath>

#include "dispatch/prepare.h"
#include "kernels/moe/route/operation.h"
#include "ops/match.h"

namespace warpwright {
namespace {

// Whether experts enough can be chosen.
void check_groups(const MoeRoute& call, Matcher& match) {
    const i64 experts = match["experts"], top_k = match["top_k"], groups = call.num_groups;
    match.require(top_k <= kMaxTopK, fmt::format("top_k can be at most {}, got {}", kMaxTopK, top_k))
        .require(experts <= kMaxExperts,
                 fmt::format("there can be at most {} experts, got {}", kMaxExperts, experts))
        .require(groups >= 1 && groups <= kMaxExpertGroups && experts % groups == 0,
                 fmt::format("num_groups must be 1 to {} and divide {} experts, got {}", kMaxExpertGroups,
                             experts, groups))
        .require(call.top_groups >= 1 && call.top_groups <= groups,
                 fmt::format("top_groups must be 1 to num_groups = {}, got {}", groups, call.top_groups));
    if (!match.status().ok() || call.table) return;
    const i64 choosable = experts / groups * call.top_groups;
    match.require(top_k <= choosable,
                  fmt::format("top_k = {}, but only {} experts can be chosen", top_k, choosable));
}

}  // namespace

Status prepare(Context& context, const MoeRoute& call, Prepared& prepared) {
    Matcher match("moe_route");
    constexpr i64 kMostTokens = i64{1} << 30;
    match.tensor("logits", call.logits, {"tokens", "experts"}, {DType::bf16, DType::f16, DType::f32})
        .tensor("ids", call.ids, {"tokens", "top_k"}, {DType::i32}, {.dense = true})
        .tensor("weights", call.weights, {"tokens", "top_k"}, {DType::f32}, {.dense = true})
        .tensor("bias", call.bias, {"experts"}, {DType::f32}, {.optional = true})
        .tensor("table", call.table, {"rows", "top_k"}, {DType::i32}, {.dense = true, .optional = true})
        .tensor("token_ids", call.token_ids, {"tokens"}, {DType::i32}, {.optional = true})
        .tensor("nan_count", call.nan_count, {"1"}, {DType::i32}, {.optional = true})
        .require(match["tokens"] <= kMostTokens && match["rows"] <= kMostTokens,
                 fmt::format("there can be at most {} tokens and rows of the table", kMostTokens))
        .require(call.table || !call.token_ids, "token_ids without a table")
        .require(std::isfinite(call.scale), fmt::format("scale must be finite, got {}", call.scale));
    check_groups(call, match);
    WW_TRY(match.status());
    if (match["tokens"] == 0 || match["top_k"] == 0) return {};

    const MoeRouteProblem problem{.tokens = match["tokens"],
                                  .experts = match["experts"],
                                  .top_k = match["top_k"],
                                  .dtype = call.logits.dtype,
                                  .score = call.score,
                                  .bias = static_cast<bool>(call.bias),
                                  .num_groups = call.num_groups,
                                  .top_groups = call.top_groups,
                                  .table = static_cast<bool>(call.table)};
    const MoeRouteArgs args{.logits = call.logits.data,
                            .bias = static_cast<const float*>(call.bias.data),
                            .ids = static_cast<i32*>(call.ids.data),
                            .weights = static_cast<float*>(call.weights.data),
                            .table = static_cast<const i32*>(call.table.data),
                            .token_ids = static_cast<const i32*>(call.token_ids.data),
                            .nan_count = static_cast<i32*>(call.nan_count.data),
                            .logits_stride = call.logits.stride[0],
                            .tokens = static_cast<i32>(problem.tokens),
                            .experts = static_cast<i32>(problem.experts),
                            .top_k = static_cast<i32>(problem.top_k),
                            .table_rows = static_cast<i32>(match["rows"]),
                            .num_groups = static_cast<i32>(call.num_groups),
                            .top_groups = static_cast<i32>(call.top_groups),
                            .scale = call.scale,
                            .dtype = problem.dtype,
                            .score = call.score,
                            .renormalize = call.renormalize,
                            .by_pairs = call.by_pairs};
    return prepare_step<MoeRouteOp>(context, problem, args, prepared);
}

Status moe_route(Context& context, Stream stream, const MoeRoute& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
