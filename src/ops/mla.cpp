// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/mla.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/attention/mla/operation.h"
#include "ops/check_inputs.h"
#include "ops/match.h"
#include "ops/split_keys.h"

namespace warpwright {
namespace {

// A checked call: what choosing a row needs, and the arguments except for what the row decides.
struct Checked {
    MlaProblem problem;
    MlaArgs args{};
    bool empty = false;
};

Result<Checked> check(const Mla& call, bool batch_invariant) {
    const bool codes = call.kv_format != KvFormat::same, indexed = static_cast<bool>(call.indices);
    const bool records = !codes && call.cache.dtype == DType::u8;
    Matcher match("mla");
    match.tensor("q", call.q, {"q_tokens", "heads", "key_dim"}, {DType::bf16, DType::f16})
        .tensor("out", call.out, {"q_tokens", "heads", "value_dim"}, {call.q.dtype})
        .tensor("lse_base2", call.lse_base2, {"q_tokens", "heads"}, {DType::f32}, {.optional = true})
        .tensor("lse_base_e", call.lse_base_e, {"q_tokens", "heads"}, {DType::f32}, {.optional = true})
        .tensor("cache", call.cache, {"pages", "page_size", records ? "record_bytes" : "key_dim"},
                {records ? DType::u8 : kv_dtype(call.kv_format, call.q.dtype)})
        .tensor("k_scale", call.k_scale, {"scales"}, {DType::f32}, {.optional = true})
        .tensor("page_table", call.page_table, {"sequences", "max_pages"}, {DType::i32},
                {.optional = indexed})
        .tensor("kv_lengths", call.kv_lengths, {"sequences"}, {DType::i32}, {.optional = indexed})
        .tensor("indices", call.indices, {"q_tokens", "max_indices"}, {DType::i32}, {.optional = true})
        .tensor("index_lengths", call.index_lengths, {"q_tokens"}, {DType::i32}, {.optional = true})
        .tensor("q_starts", call.q_starts, {"sequences + 1"}, {DType::i32})
        .tensor("workspace", call.workspace, {"bytes"}, {DType::u8}, {.optional = true});
    WW_TRY(match.status());
    const i64 sequences = indexed ? match["sequences + 1"] - 1 : match["sequences"];
    const i64 q_tokens = match["q_tokens"], heads = match["heads"], max_indices = match["max_indices"];
    const i64 kv_capacity = match["max_pages"] * match["page_size"];
    const i64 num_slots = match["pages"] * match["page_size"];
    const Tensor& lse = call.lse_base_e ? call.lse_base_e : call.lse_base2;
    match
        .require(!indexed || (!call.page_table && !call.kv_lengths),
                 "indices exclude page_table and kv_lengths")
        .require(indexed || !call.index_lengths, "index_lengths are of indices, which are null")
        .require(!indexed || sequences >= 0, "q_starts must have at least one element")
        .require(indexed || match["sequences + 1"] == sequences + 1,
                 fmt::format("q_starts must have {} elements (page_table has {} sequences), got {}",
                             sequences + 1, sequences, match["sequences + 1"]))
        .require(
            !records || match["record_bytes"] == kMlaRecordBytes,
            fmt::format("a row of a u8 cache must have {} bytes (a record), or with kv_format {} {}, got {}",
                        kMlaRecordBytes, kv_format_name(KvFormat::fp8_e4m3), kMlaKeyDim,
                        records ? match["record_bytes"] : 0))
        .require(!codes || call.kv_format == KvFormat::fp8_e4m3,
                 fmt::format("kv_format must be same or {}, got {}", kv_format_name(KvFormat::fp8_e4m3),
                             kv_format_name(call.kv_format)))
        .require(!call.k_scale || codes, "k_scale is for kv_format fp8_e4m3, got same")
        .require(!call.k_scale || match["scales"] == 1,
                 fmt::format("k_scale must have 1 element, got {}", match["scales"]))
        .require(match["key_dim"] == kMlaKeyDim && match["value_dim"] == kMlaValueDim,
                 fmt::format("q and cache must have {} columns and out {}, got {} and {}", kMlaKeyDim,
                             kMlaValueDim, match["key_dim"], match["value_dim"]))
        .require(call.max_q_len >= 1, fmt::format("max_q_len must be at least 1, got {}", call.max_q_len))
        .require(indexed || (call.max_kv_len >= 0 && call.max_kv_len <= kv_capacity),
                 fmt::format("max_kv_len must be 0 to {} (what the pages of a sequence hold), got {}",
                             kv_capacity, call.max_kv_len))
        .require(call.scale >= 0 && std::isfinite(call.scale),
                 fmt::format("scale must be finite and not negative, got {}", call.scale))
        .require(!call.lse_base2 || !call.lse_base_e, "lse_base2 and lse_base_e exclude each other")
        .require(strides_fit(call.q) && strides_fit(call.out) && strides_fit(call.cache),
                 "strides must be below 2^31 elements")
        .require(sequences * std::abs(call.page_table.stride[0]) <= std::numeric_limits<i32>::max(),
                 "page_table must be below 2^31 elements")
        .require(q_tokens * std::max(std::abs(call.indices.stride[0]), max_indices) <=
                     std::numeric_limits<i32>::max(),
                 "indices must be below 2^31 elements")
        .require(num_slots <= std::numeric_limits<i32>::max(),
                 fmt::format("the cache must have below 2^31 rows, got {}", num_slots));
    WW_TRY(match.status());

    Checked checked;
    checked.empty = sequences == 0 || q_tokens == 0 || heads == 0;
    checked.problem = {.sequences = sequences,
                       .max_q_len = std::min(call.max_q_len, std::max<i64>(1, q_tokens)),
                       .max_kv_len = call.max_kv_len > 0 ? call.max_kv_len : kv_capacity,
                       .q_tokens = q_tokens,
                       .heads = heads,
                       .dtype = call.q.dtype,
                       .causal = call.causal,
                       .page_size = match["page_size"],
                       .alignment_bytes = alignment_of({&call.q, &call.out, &call.cache}, batch_invariant),
                       .kv_format = records ? KvFormat::fp8_e4m3 : call.kv_format,
                       .one_scale = codes};
    if (indexed) {
        checked.problem.sequences = q_tokens;
        checked.problem.max_q_len = 1;
        checked.problem.max_kv_len = std::max<i64>(1, max_indices);
        checked.problem.causal = false;
        checked.problem.indexed = true;
    }
    constexpr float kDeepSeekHeadDim = 192;
    const float scale = call.scale > 0 ? call.scale : 1 / std::sqrt(kDeepSeekHeadDim);
    const auto narrow = [](i64 value) { return static_cast<i32>(value); };
    checked.args = {.q = call.q.data,
                    .out = call.out.data,
                    .lse = static_cast<float*>(lse.data),
                    .cache = call.cache.data,
                    .q_starts = static_cast<const i32*>(call.q_starts.data),
                    .kv_lengths = static_cast<const i32*>(call.kv_lengths.data),
                    .page_table = static_cast<const i32*>(call.page_table.data),
                    .partial_out = nullptr,
                    .partial_lse = nullptr,
                    .q_token_stride = narrow(call.q.stride[0]),
                    .q_head_stride = narrow(call.q.stride[1]),
                    .out_token_stride = narrow(call.out.stride[0]),
                    .out_head_stride = narrow(call.out.stride[1]),
                    .lse_token_stride = narrow(lse.stride[0]),
                    .page_stride = narrow(call.cache.stride[0]),
                    .token_stride = narrow(call.cache.stride[1]),
                    .page_table_stride = narrow(call.page_table.stride[0]),
                    .sequences = narrow(sequences),
                    .heads = narrow(heads),
                    .q_tokens = narrow(q_tokens),
                    .max_q_len = narrow(checked.problem.max_q_len),
                    .num_splits = 1,
                    .page_shift = std::countr_zero(static_cast<u64>(match["page_size"])),
                    .causal = checked.problem.causal ? 1 : 0,
                    .scale_log2 = scale * kLog2E,
                    .lse_factor = call.lse_base_e ? kLn2 : 1,
                    .kv_format = checked.problem.kv_format,
                    .indices = static_cast<const i32*>(call.indices.data),
                    .index_lengths = static_cast<const i32*>(call.index_lengths.data),
                    .index_stride = narrow(call.indices.stride[0]),
                    .max_indices = narrow(max_indices),
                    .num_slots = narrow(num_slots),
                    .one_scale = codes ? 1 : 0,
                    .k_scale = static_cast<const float*>(call.k_scale.data)};
    return checked;
}

}  // namespace

Result<i64> mla_workspace_bytes(Context& context, const Mla& call) {
    WW_ASSIGN(const Checked checked, check(call, false));
    if (checked.empty) return i64{0};
    i64 most = 0;
    const TargetFacts& target = context.target().facts;
    for (const MlaRow& row : MlaOp::rows()) {
        if (MlaOp::why_not(row, target, checked.problem)) continue;
        most =
            std::max(most, partial_bytes(checked.problem, MlaOp::num_splits(row, target, checked.problem)));
    }
    return most;
}

Status prepare(Context& context, const Mla& call, Prepared& prepared) {
    WW_ASSIGN(const Checked checked, check(call, prepared.batch_invariant));
    if (checked.empty) return {};
    MlaProblem problem = checked.problem;
    const bool misplaced = reinterpret_cast<std::uintptr_t>(call.workspace.data) % 16 != 0;
    if (misplaced) return caller_error("mla: workspace must start at a multiple of 16 bytes");
    WW_TRY(check_key_inputs(context, prepared.inputs,
                            {.op = "mla",
                             .q_starts = call.q_starts,
                             .kv_lengths = call.kv_lengths,
                             .page_table = call.page_table,
                             .q_tokens = problem.q_tokens,
                             .pages = call.cache.shape[0],
                             .page_size = problem.page_size,
                             .max_q_len = call.indices ? problem.q_tokens : problem.max_q_len,
                             .max_kv_len = problem.max_kv_len,
                             .causal = problem.causal}));
    const i64 given_bytes = call.workspace ? call.workspace.shape[0] : 0;
    problem.max_splits = std::min(problem.max_splits, max_splits_in(problem, given_bytes));
    MlaArgs args = checked.args;
    // why: where the keys of a query are split depends on how many queries there are.
    if (prepared.batch_invariant) problem.max_splits = 1;
    WW_ASSIGN(const MlaRow* row, choose_in<MlaOp>(context, problem, prepared.batch_invariant));
    const i64 splits = MlaOp::num_splits(*row, context.target().facts, problem);
    args.num_splits = static_cast<i32>(splits);
    if (splits == 1) return prepare_step<MlaOp>(context, problem, args, prepared);

    const i64 out_floats = splits * problem.q_tokens * problem.heads * kMlaValueDim;
    args.partial_out = static_cast<float*>(call.workspace.data);
    args.partial_lse = args.partial_out + out_floats;
    args.lse_factor = 1;
    WW_TRY(prepare_step<MlaOp>(context, problem, args, prepared));
    return prepare_merge(context, args, kMlaValueDim, problem.dtype, nullptr, checked.args.lse_factor,
                         prepared);
}

Status mla(Context& context, Stream stream, const Mla& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
