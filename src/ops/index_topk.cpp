// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/index_topk.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "dispatch/prepare.h"
#include "kernels/attention/index_topk/operation.h"
#include "ops/check_inputs.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const IndexTopk& call, Prepared& prepared) {
    Matcher match("index_topk");
    match.tensor("logits", call.logits, {"q_tokens", "columns"}, {DType::f32})
        .tensor("indices", call.indices, {"q_tokens", "k"}, {DType::i32})
        .tensor("index_lengths", call.index_lengths, {"q_tokens"}, {DType::i32}, {.optional = true})
        .tensor("kv_lengths", call.kv_lengths, {"sequences"}, {DType::i32})
        .tensor("q_starts", call.q_starts, {"sequences + 1"}, {DType::i32})
        .tensor("page_table", call.page_table, {"sequences", "max_pages"}, {DType::i32}, {.optional = true});
    WW_TRY(match.status());
    const i64 sequences = match["sequences"], q_tokens = match["q_tokens"], k = match["k"];
    const i64 max_kv_len = call.max_kv_len > 0 ? call.max_kv_len : match["columns"];
    const i64 page_size = call.page_table ? call.page_size : 0;
    const i64 kv_capacity = match["max_pages"] * page_size;
    match
        .require(match["sequences + 1"] == sequences + 1,
                 fmt::format("q_starts must have {} elements (kv_lengths has {} sequences), got {}",
                             sequences + 1, sequences, match["sequences + 1"]))
        .require(k >= 1, "indices must have at least one column")
        .require(call.max_q_len >= 1, fmt::format("max_q_len must be at least 1, got {}", call.max_q_len))
        .require(call.max_kv_len >= 0 && max_kv_len <= match["columns"],
                 fmt::format("max_kv_len must be 0 to {} (the columns of logits), got {}", match["columns"],
                             call.max_kv_len))
        .require(!call.page_table || page_size >= 1,
                 fmt::format("page_size must be at least 1, got {}", page_size))
        .require(!call.page_table || kv_capacity >= max_kv_len,
                 fmt::format("page_table must hold {} tokens of a sequence (max_kv_len), got {}", max_kv_len,
                             kv_capacity))
        .require(sequences * std::abs(call.page_table.stride[0]) <= std::numeric_limits<i32>::max(),
                 "page_table must be below 2^31 elements");
    WW_TRY(match.status());
    if (sequences == 0 || q_tokens == 0) return {};

    WW_TRY(check_key_inputs(context, prepared.inputs,
                            {.op = "index_topk",
                             .q_starts = call.q_starts,
                             .kv_lengths = call.kv_lengths,
                             .page_table = call.page_table,
                             .q_tokens = q_tokens,
                             .pages = -1,
                             .page_size = std::max<i64>(1, page_size),
                             .max_q_len = call.max_q_len,
                             .max_kv_len = call.page_table ? kv_capacity : std::numeric_limits<i32>::max(),
                             .causal = call.causal}));
    const IndexTopkProblem problem{.sequences = sequences,
                                   .max_q_len = std::min(call.max_q_len, q_tokens),
                                   .max_kv_len = max_kv_len,
                                   .q_tokens = q_tokens,
                                   .k = k,
                                   .causal = call.causal,
                                   .page_size = page_size};
    const auto narrow = [](i64 value) { return static_cast<i32>(value); };
    const IndexTopkArgs args{.logits = static_cast<const float*>(call.logits.data),
                             .indices = static_cast<i32*>(call.indices.data),
                             .index_lengths = static_cast<i32*>(call.index_lengths.data),
                             .q_starts = static_cast<const i32*>(call.q_starts.data),
                             .kv_lengths = static_cast<const i32*>(call.kv_lengths.data),
                             .page_table = static_cast<const i32*>(call.page_table.data),
                             .logits_stride = call.logits.stride[0],
                             .indices_stride = call.indices.stride[0],
                             .page_table_stride = narrow(call.page_table.stride[0]),
                             .sequences = narrow(sequences),
                             .max_q_len = narrow(problem.max_q_len),
                             .max_kv_len = narrow(max_kv_len),
                             .k = narrow(k),
                             .page_shift = page_size > 0 ? std::countr_zero(static_cast<u64>(page_size)) : 0,
                             .causal = call.causal ? 1 : 0};
    return prepare_step<IndexTopkOp>(context, problem, args, prepared);
}

Status index_topk(Context& context, Stream stream, const IndexTopk& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
