// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/index_logits.h"

#include <fmt/format.h>

#include <bit>

#include "kernels/attention/index_logits/operation.h"
#include "ops/check_inputs.h"
#include "ops/match.h"
#include "ops/split_keys.h"

namespace warpwright {

Status prepare(Context& context, const IndexLogits& call, Prepared& prepared) {
    const bool codes = call.cache.dtype == DType::u8, coded_queries = call.q.dtype == DType::u8;
    Matcher match("index_logits");
    match.tensor("q", call.q, {"q_tokens", "heads", "dim"}, {DType::bf16, DType::u8})
        .tensor("weights", call.weights, {"q_tokens", "heads"}, {DType::f32})
        .tensor("logits", call.logits, {"q_tokens", "columns"}, {DType::f32})
        .tensor("cache", call.cache, {"pages", "page_size", codes ? "record_bytes" : "dim"},
                {DType::bf16, DType::u8})
        .tensor("page_table", call.page_table, {"sequences", "max_pages"}, {DType::i32})
        .tensor("kv_lengths", call.kv_lengths, {"sequences"}, {DType::i32})
        .tensor("q_starts", call.q_starts, {"sequences + 1"}, {DType::i32});
    WW_TRY(match.status());
    const i64 sequences = match["sequences"], q_tokens = match["q_tokens"], heads = match["heads"];
    const i64 page_size = match["page_size"], kv_capacity = match["max_pages"] * page_size;
    const i64 max_kv_len = call.max_kv_len > 0 ? call.max_kv_len : kv_capacity;
    match
        .require(match["sequences + 1"] == sequences + 1,
                 fmt::format("q_starts must have {} elements (page_table has {} sequences), got {}",
                             sequences + 1, sequences, match["sequences + 1"]))
        .require(codes || !coded_queries, "q of codes needs a cache of codes")
        .require(match["dim"] == kIndexDim,
                 fmt::format("q must have {} columns, got {}", kIndexDim, match["dim"]))
        .require(!codes || match["record_bytes"] == kIndexRecordBytes,
                 fmt::format("a key of the cache must have {} bytes, got {}", kIndexRecordBytes,
                             codes ? match["record_bytes"] : 0))
        .require(!codes || page_size <= 1 || call.cache.stride[1] == kIndexRecordBytes,
                 fmt::format("a page of codes must be without gaps, got a stride of {} bytes",
                             call.cache.stride[1]))
        .require(call.max_q_len >= 1, fmt::format("max_q_len must be at least 1, got {}", call.max_q_len))
        .require(call.max_kv_len >= 0 && call.max_kv_len <= kv_capacity,
                 fmt::format("max_kv_len must be 0 to {} (what the pages of a sequence hold), got {}",
                             kv_capacity, call.max_kv_len))
        .require(max_kv_len <= match["columns"],
                 fmt::format("logits must have at least {} columns (max_kv_len), got {}", max_kv_len,
                             match["columns"]))
        .require(strides_fit(call.q) && strides_fit(call.weights) && strides_fit(call.cache),
                 "strides must be below 2^31 elements")
        .require(sequences * std::abs(call.page_table.stride[0]) <= std::numeric_limits<i32>::max(),
                 "page_table must be below 2^31 elements");
    WW_TRY(match.status());
    if (sequences == 0 || q_tokens == 0 || heads == 0 || max_kv_len == 0) return {};

    WW_TRY(check_key_inputs(context, prepared.inputs,
                            {.op = "index_logits",
                             .q_starts = call.q_starts,
                             .kv_lengths = call.kv_lengths,
                             .page_table = call.page_table,
                             .q_tokens = q_tokens,
                             .pages = call.cache.shape[0],
                             .page_size = page_size,
                             .max_q_len = call.max_q_len,
                             .max_kv_len = kv_capacity,
                             .causal = call.causal}));
    Tensor aligned = call.cache;  // of codes only the pages need be: a key's lie between those of others
    if (codes) aligned.rank = 2;
    const IndexLogitsProblem problem{
        .sequences = sequences,
        .max_q_len = std::min(call.max_q_len, q_tokens),
        .max_kv_len = max_kv_len,
        .q_tokens = q_tokens,
        .heads = heads,
        .causal = call.causal,
        .page_size = page_size,
        .alignment_bytes = alignment_of({&call.q, &aligned}, prepared.batch_invariant),
        .kv_format = codes ? KvFormat::fp8_e4m3 : KvFormat::same,
        .coded_queries = coded_queries};
    const auto narrow = [](i64 value) { return static_cast<i32>(value); };
    const IndexLogitsArgs args{.q = call.q.data,
                               .weights = static_cast<const float*>(call.weights.data),
                               .logits = static_cast<float*>(call.logits.data),
                               .cache = call.cache.data,
                               .q_starts = static_cast<const i32*>(call.q_starts.data),
                               .kv_lengths = static_cast<const i32*>(call.kv_lengths.data),
                               .page_table = static_cast<const i32*>(call.page_table.data),
                               .logits_stride = call.logits.stride[0],
                               .q_token_stride = narrow(call.q.stride[0]),
                               .q_head_stride = narrow(call.q.stride[1]),
                               .weights_stride = narrow(call.weights.stride[0]),
                               .page_stride = narrow(call.cache.stride[0]),
                               .token_stride = narrow(call.cache.stride[1]),
                               .page_table_stride = narrow(call.page_table.stride[0]),
                               .sequences = narrow(sequences),
                               .heads = narrow(heads),
                               .max_q_len = narrow(problem.max_q_len),
                               .max_kv_len = narrow(max_kv_len),
                               .page_shift = std::countr_zero(static_cast<u64>(page_size)),
                               .causal = call.causal ? 1 : 0,
                               .kv_format = problem.kv_format,
                               .coded_queries = coded_queries};
    return prepare_step<IndexLogitsOp>(context, problem, args, prepared);
}

Status index_logits(Context& context, Stream stream, const IndexLogits& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
