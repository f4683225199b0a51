// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/attention/mask_bits/operation.h"
#include "kernels/attention/operation.h"
#include "ops/check_inputs.h"
#include "ops/kv_scales.h"
#include "ops/match.h"
#include "ops/split_keys.h"

namespace warpwright {
namespace {

// A checked call: what choosing a row needs, and the arguments except for what the row decides.
struct Checked {
    AttentionProblem problem;
    AttentionArgs args{};
    bool empty = false;
    i64 mask_columns = 0;  // of a mask of bytes, that are made bits
};

// Of nvfp4, whose codes have been matched: the columns that they stand for, and their blocks' scales.
void match_block_scales(Matcher& match, const Attention& call, bool paged) {
    if (call.kv_format != KvFormat::nvfp4) {
        match.require(!call.k_block_scales && !call.v_block_scales,
                      fmt::format("k_block_scales and v_block_scales are for kv_format nvfp4, got {}",
                                  kv_format_name(call.kv_format)));
        return;
    }
    const auto blocks = [&](const char* name, const Tensor& scales, const char* columns, const char* halves,
                            const char* blocks) {
        if (paged) {
            match.tensor(name, scales, {"pages", "page_size", "kv_heads", blocks}, {DType::u8});
        } else {
            match.tensor(name, scales, {"kv_tokens", "kv_heads", blocks}, {DType::u8});
        }
        match
            .require(match[columns] % kKvBlock == 0,
                     fmt::format("{} must be a multiple of {} for nvfp4, got {}", columns, kKvBlock,
                                 match[columns]))
            .require(match[halves] * 2 == match[columns],
                     fmt::format("nvfp4 has two codes in a byte: expected {} bytes for {} = {}, got {}",
                                 match[columns] / 2, columns, match[columns], match[halves]))
            .require(
                match[blocks] * kKvBlock == match[columns],
                fmt::format("{} must have a scale for {} columns, {} for {} = {}, got {}", name, kKvBlock,
                            match[columns] / kKvBlock, columns, match[columns], match[blocks]));
    };
    blocks("k_block_scales", call.k_block_scales, "head_dim", "head_dim / 2", "head_dim / 16");
    blocks("v_block_scales", call.v_block_scales, "head_dim_v", "head_dim_v / 2", "head_dim_v / 16");
    match.require(strides_fit(call.k_block_scales) && strides_fit(call.v_block_scales),
                  "strides must be below 2^31 elements");
}

KvBlockScales block_scales_of(const Tensor& scales, bool paged) {
    const int token = paged ? 1 : 0;
    const auto narrow = [](i64 value) { return static_cast<i32>(value); };
    return {static_cast<const u8*>(scales.data), paged ? narrow(scales.stride[0]) : 0,
            narrow(scales.stride[token]), narrow(scales.stride[token + 1])};
}

// What starts of rows are a multiple of: of scales, which are copied in words, all or no vectors.
i64 kv_alignment_of(const Attention& call, const Tensor& k, const Tensor& v, bool batch_invariant) {
    const i64 alignment = alignment_of({&call.q, &call.out, &k, &v}, batch_invariant);
    if (call.kv_format != KvFormat::nvfp4) return alignment;
    const i64 blocks = alignment_of({&call.k_block_scales, &call.v_block_scales}, batch_invariant);
    return blocks % 4 == 0 ? alignment : std::min<i64>(alignment, blocks);
}

// How many keys a list has on average, as far as the length of block_columns tells; a power of two, so that
// calls which differ in little are one problem.
i64 listed_keys(const Attention& call, i64 max_kv_len) {
    const Tensor& starts = call.block_starts;
    const i64 lists = std::max<i64>(1, starts.shape[0] * starts.shape[1] * (starts.shape[2] - 1));
    const i64 blocks = std::clamp<i64>(ceil_div(call.block_columns.shape[0], lists), 1,
                                       std::max<i64>(1, ceil_div(max_kv_len, call.block_keys)));
    return static_cast<i64>(std::bit_ceil(static_cast<u64>(blocks * call.block_keys)));
}

Result<Checked> check(const Attention& call, bool batch_invariant) {
    const bool paged = static_cast<bool>(call.k_pages), has_lists = static_cast<bool>(call.block_starts);
    const bool has_bytes = call.mask.dtype == DType::u8;  // of a mask
    Matcher match("attention");
    match.tensor("q", call.q, {"q_tokens", "heads", "head_dim"}, {DType::bf16, DType::f16})
        .tensor("out", call.out, {"q_tokens", "heads", "head_dim_v"}, {call.q.dtype})
        .tensor("lse_base2", call.lse_base2, {"q_tokens", "heads"}, {DType::f32}, {.optional = true})
        .tensor("lse_base_e", call.lse_base_e, {"q_tokens", "heads"}, {DType::f32}, {.optional = true})
        .tensor("sinks", call.sinks, {"heads"}, {DType::f32}, {.dense = true, .optional = true})
        .tensor("alibi_slopes", call.alibi_slopes, {"heads"}, {DType::f32}, {.dense = true, .optional = true})
        .tensor("mask", call.mask, {"q_tokens", has_bytes ? "mask_keys" : "mask_words"},
                {DType::i32, DType::u8}, {.optional = true})
        .tensor("block_starts", call.block_starts, {"sequences", "block_heads", "query_blocks + 1"},
                {DType::i32}, {.optional = true})
        .tensor("block_columns", call.block_columns, {"listed"}, {DType::i32},
                {.dense = true, .optional = true})
        .tensor("workspace", call.workspace, {"bytes"}, {DType::u8}, {.optional = true})
        .tensor("q_starts", call.q_starts, {"sequences + 1"}, {DType::i32});
    const Tensor& k = paged ? call.k_pages : call.k;
    const Tensor& v = paged ? call.v_pages : call.v;
    const DType type = kv_dtype(call.kv_format, call.q.dtype);
    const bool packed = call.kv_format == KvFormat::nvfp4;
    const char* const k_columns = packed ? "head_dim / 2" : "head_dim";
    const char* const v_columns = packed ? "head_dim_v / 2" : "head_dim_v";
    if (paged) {
        match.require(!call.k && !call.v, "k and k_pages exclude each other")
            .tensor("k_pages", k, {"pages", "page_size", "kv_heads", k_columns}, {type})
            .tensor("v_pages", v, {"pages", "page_size", "kv_heads", v_columns}, {type})
            .tensor("page_table", call.page_table, {"sequences", "max_pages"}, {DType::i32})
            .tensor("kv_lengths", call.kv_lengths, {"sequences"}, {DType::i32});
    } else {
        match.tensor("k", k, {"kv_tokens", "kv_heads", k_columns}, {type})
            .tensor("v", v, {"kv_tokens", "kv_heads", v_columns}, {type})
            .tensor("kv_starts", call.kv_starts, {"sequences + 1"}, {DType::i32});
    }
    match_kv_scales(match, call.kv_format, call.k_scale, call.v_scale);
    match_block_scales(match, call, paged);
    WW_TRY(match.status());
    const i64 sequences = match["sequences + 1"] - 1;
    const i64 kv_capacity = paged ? match["max_pages"] * match["page_size"] : match["kv_tokens"];
    const i64 heads = match["heads"], kv_heads = match["kv_heads"];
    const i64 head_dim = match["head_dim"], head_dim_v = match["head_dim_v"];
    const i64 max_q_len = std::min(call.max_q_len, std::max<i64>(1, match["q_tokens"]));
    const i64 mask_keys = call.mask_of_queries  ? std::min(call.max_q_len, match["q_tokens"])
                          : call.max_kv_len > 0 ? call.max_kv_len
                                                : kv_capacity;
    const Tensor& lse = call.lse_base_e ? call.lse_base_e : call.lse_base2;
    match.require(sequences >= 0, "q_starts must have sequences + 1 elements, got 0")
        .require(
            !has_lists || match["sequences"] == sequences,
            fmt::format("block_starts has {} sequences, but q_starts has {}", match["sequences"], sequences))
        .require(
            !paged || match["sequences"] == sequences,
            fmt::format("page_table has {} sequences, but q_starts has {}", match["sequences"], sequences))
        .require(kv_heads > 0 && heads % kv_heads == 0,
                 fmt::format("heads must be a multiple of kv_heads, got {} and {}", heads, kv_heads))
        .require(call.max_q_len >= 1, fmt::format("max_q_len must be at least 1, got {}", call.max_q_len))
        .require(call.max_kv_len >= 0 && call.max_kv_len <= kv_capacity,
                 fmt::format("max_kv_len must be 0 to {} (what {} hold), got {}", kv_capacity,
                             paged ? "the pages of a sequence" : "k and v", call.max_kv_len))
        .require(has_lists == static_cast<bool>(call.block_columns),
                 "block_starts and block_columns are given together")
        .require(!has_lists || match["block_heads"] == 1 || match["block_heads"] == kv_heads,
                 fmt::format("block_starts must have lists of 1 or kv_heads = {} heads, got {}", kv_heads,
                             match["block_heads"]))
        .require(!has_lists || (call.block_queries >= 16 && call.block_queries % 16 == 0),
                 fmt::format("block_queries must be a multiple of 16, got {}", call.block_queries))
        .require(!has_lists || (call.block_keys >= 1 && call.block_keys <= kMaxBlockKeys &&
                                std::has_single_bit(static_cast<u64>(call.block_keys))),
                 fmt::format("block_keys must be a power of two to 2^29, got {}", call.block_keys))
        .require(!has_lists || call.block_queries < 16 ||
                     (match["query_blocks + 1"] - 1) * call.block_queries >= max_q_len,
                 fmt::format("block_starts has {} blocks of {} queries, too few for {} (max_q_len)",
                             match["query_blocks + 1"] - 1, call.block_queries, max_q_len))
        .require(call.scale >= 0, fmt::format("scale must not be negative, got {}", call.scale))
        .require(call.window_left >= -1,
                 fmt::format("window_left must be -1 (all keys) or more, got {}", call.window_left))
        .require(call.window_right >= -1,
                 fmt::format("window_right must be -1 (all keys) or more, got {}", call.window_right))
        .require(call.chunk >= 0 && call.chunk <= std::numeric_limits<i32>::max(),
                 fmt::format("chunk must be 0 (all keys) to 2^31 - 1, got {}", call.chunk))
        .require(call.chunk == 0 || call.causal, "chunk is for causal calls only")
        .require(!call.lse_base2 || !call.lse_base_e, "lse_base2 and lse_base_e exclude each other")
        .require(!call.mask || !has_bytes || match["mask_keys"] >= mask_keys,
                 fmt::format("mask has {} keys in a row, too few for {} (max_{}_len)", match["mask_keys"],
                             mask_keys, call.mask_of_queries ? "q" : "kv"))
        .require(!call.mask || has_bytes || match["mask_words"] * 32 >= mask_keys,
                 fmt::format("mask has {} words of 32 keys in a row, too few for {} keys (max_{}_len)",
                             match["mask_words"], mask_keys, call.mask_of_queries ? "q" : "kv"))
        .require(call.softcap >= 0 && std::isfinite(call.softcap),
                 fmt::format("softcap must be finite and not negative, got {}", call.softcap))
        .require(strides_fit(call.q) && strides_fit(call.out) && strides_fit(k) && strides_fit(v),
                 "strides must be below 2^31 elements");
    WW_TRY(match.status());

    Checked checked;
    const i64 max_kv_len = call.max_kv_len > 0 ? call.max_kv_len : kv_capacity;
    if (call.mask && has_bytes) checked.mask_columns = std::max<i64>(1, mask_keys);
    checked.empty =
        sequences == 0 || match["q_tokens"] == 0 || heads == 0 || head_dim == 0 || head_dim_v == 0;
    checked.problem = {.sequences = sequences,
                       .max_q_len = max_q_len,
                       .max_kv_len = max_kv_len,
                       .q_tokens = match["q_tokens"],
                       .heads = heads,
                       .kv_heads = kv_heads,
                       .head_dim = head_dim,
                       .dtype = call.q.dtype,
                       .causal = call.causal,
                       .paged = paged,
                       .page_size = paged ? match["page_size"] : 1,
                       .alignment_bytes = kv_alignment_of(call, k, v, batch_invariant),
                       .window_left = call.window_left,
                       .softcap = call.softcap,
                       .kv_format = call.kv_format,
                       .window_right = call.window_right,
                       .chunk = call.chunk,
                       .sinks = static_cast<bool>(call.sinks),
                       .alibi = static_cast<bool>(call.alibi_slopes),
                       .mask = static_cast<bool>(call.mask),
                       .head_dim_v = head_dim_v == head_dim ? 0 : head_dim_v,
                       .block_queries = has_lists ? call.block_queries : 0,
                       .block_keys = has_lists ? call.block_keys : 0,
                       .listed_keys = has_lists ? listed_keys(call, max_kv_len) : 0};
    const float scale = call.scale > 0 ? call.scale : 1 / std::sqrt(static_cast<float>(head_dim));
    const auto narrow = [](i64 value) { return static_cast<i32>(value); };
    // A window, or a chunk, as long as the longest sequence is none; a chunk of one key is a window of none.
    const i64 most_keys = checked.problem.max_kv_len;
    const auto window = [&](i64 keys) { return keys >= 0 && keys < most_keys ? narrow(keys) : kNoWindow; };
    const i32 window_left = call.chunk == 1 ? 0 : window(call.window_left);
    const ChunkSize chunk = chunk_size(call.chunk < most_keys ? call.chunk : 0);
    const int token = paged ? 1 : 0;
    checked.args = {.q = call.q.data,
                    .out = call.out.data,
                    .lse = static_cast<float*>(lse.data),
                    .k = k.data,
                    .v = v.data,
                    .q_starts = static_cast<const i32*>(call.q_starts.data),
                    .kv_starts = paged ? nullptr : static_cast<const i32*>(call.kv_starts.data),
                    .kv_lengths = paged ? static_cast<const i32*>(call.kv_lengths.data) : nullptr,
                    .page_table = paged ? static_cast<const i32*>(call.page_table.data) : nullptr,
                    .partial_out = nullptr,
                    .partial_lse = nullptr,
                    .q_token_stride = narrow(call.q.stride[0]),
                    .q_head_stride = narrow(call.q.stride[1]),
                    .out_token_stride = narrow(call.out.stride[0]),
                    .out_head_stride = narrow(call.out.stride[1]),
                    .lse_token_stride = narrow(lse.stride[0]),
                    .k_page_stride = paged ? narrow(k.stride[0]) : 0,
                    .k_token_stride = narrow(k.stride[token]),
                    .k_head_stride = narrow(k.stride[token + 1]),
                    .v_page_stride = paged ? narrow(v.stride[0]) : 0,
                    .v_token_stride = narrow(v.stride[token]),
                    .v_head_stride = narrow(v.stride[token + 1]),
                    .page_table_stride = paged ? narrow(call.page_table.stride[0]) : 0,
                    .max_pages = paged ? narrow(match["max_pages"]) : 0,
                    .sequences = narrow(sequences),
                    .heads = narrow(heads),
                    .kv_heads = narrow(kv_heads),
                    .head_dim = narrow(head_dim),
                    .q_tokens = narrow(match["q_tokens"]),
                    .max_q_len = narrow(checked.problem.max_q_len),
                    .num_splits = 1,
                    .page_shift = paged ? std::countr_zero(static_cast<u64>(match["page_size"])) : 0,
                    .past_is_ready = call.past_is_ready ? 1 : 0,
                    .window_left = window_left,
                    .window_right = call.causal ? 0 : window(call.window_right),
                    .chunk = chunk,
                    .has_first = window_left != kNoWindow || chunk.size > 0 ? 1 : 0,
                    .tanh_scale = call.softcap > 0 ? scale / call.softcap : 0,
                    .scale_log2 = (call.softcap > 0 ? call.softcap : scale) * kLog2E,
                    .lse_factor = call.lse_base_e ? kLn2 : 1,
                    .sinks = static_cast<const float*>(call.sinks.data),
                    .alibi_slopes = static_cast<const float*>(call.alibi_slopes.data),
                    .mask = static_cast<const u32*>(call.mask.data),
                    .mask_stride = call.mask.stride[0],
                    .mask_words = narrow(match["mask_words"]),
                    .mask_of_queries = call.mask_of_queries ? 1 : 0,
                    .kv_format = checked.problem.kv_format,
                    .k_scale_stride = kv_scale_stride(call.k_scale),
                    .v_scale_stride = kv_scale_stride(call.v_scale),
                    .k_scale = static_cast<const float*>(call.k_scale.data),
                    .v_scale = static_cast<const float*>(call.v_scale.data),
                    .head_dim_v = narrow(head_dim_v),
                    .block_queries = narrow(checked.problem.block_queries),
                    .block_shift = has_lists ? std::countr_zero(static_cast<u64>(call.block_keys)) : 0,
                    .block_starts = static_cast<const i32*>(call.block_starts.data),
                    .block_sequence_stride = call.block_starts.stride[0],
                    .block_head_stride = match["block_heads"] > 1 ? call.block_starts.stride[1] : 0,
                    .block_columns = static_cast<const i32*>(call.block_columns.data)};
    if (packed) {
        checked.args.k_blocks = block_scales_of(call.k_block_scales, paged);
        checked.args.v_blocks = block_scales_of(call.v_block_scales, paged);
    }
    return checked;
}

// Where the bits of a mask of bytes are in the workspace: at its start.
i64 mask_bits_bytes(const Checked& checked) {
    return round_up(checked.problem.q_tokens * words_of(checked.mask_columns) * 4, 256);
}

// Bits of the mask, then the call with them.
Status prepare_with_bits(Context& context, const Attention& call, const Checked& checked,
                         Prepared& prepared) {
    const i64 columns = checked.mask_columns, rows = checked.problem.q_tokens;
    const i64 bytes = mask_bits_bytes(checked), given = call.workspace ? call.workspace.shape[0] : 0;
    if (given < bytes)
        return caller_error(
            fmt::format("attention: workspace has {} bytes, but a mask of bytes needs {}", given, bytes));
    const MaskBitsArgs args{.mask = static_cast<const u8*>(call.mask.data),
                            .bits = static_cast<u32*>(call.workspace.data),
                            .row_stride = call.mask.stride[0],
                            .rows = static_cast<i32>(rows),
                            .columns = static_cast<i32>(columns)};
    WW_TRY(prepare_step<MaskBitsOp>(context, {.rows = rows, .columns = columns}, args, prepared));
    Attention packed = call;
    packed.mask = Tensor::dense(call.workspace.data, DType::i32, {rows, words_of(columns)});
    packed.workspace = {};
    if (given > bytes)
        packed.workspace =
            Tensor::dense(static_cast<std::byte*>(call.workspace.data) + bytes, DType::u8, {given - bytes});
    return prepare(context, packed, prepared);
}

}  // namespace

Result<i64> attention_workspace_bytes(Context& context, const Attention& call) {
    WW_ASSIGN(const Checked checked, check(call, false));
    if (checked.empty) return i64{0};
    i64 most = 0;
    const TargetFacts& target = context.target().facts;
    for (const AttentionRow& row : AttentionOp::rows()) {
        if (row.clusters || AttentionOp::why_not(row, target, checked.problem)) continue;
        const i64 splits = AttentionOp::num_splits(row, target, checked.problem);
        most = std::max(most, partial_bytes(checked.problem, splits));
    }
    return most + (checked.mask_columns > 0 ? mask_bits_bytes(checked) : 0);
}

Status prepare(Context& context, const Attention& call, Prepared& prepared) {
    WW_ASSIGN(const Checked checked, check(call, prepared.batch_invariant));
    if (checked.empty) return {};
    AttentionProblem problem = checked.problem;
    const bool misplaced = reinterpret_cast<std::uintptr_t>(call.workspace.data) % 16 != 0;
    if (misplaced) return caller_error("attention: workspace must start at a multiple of 16 bytes");
    if (checked.mask_columns > 0) return prepare_with_bits(context, call, checked, prepared);
    WW_TRY(check_key_inputs(context, prepared.inputs,
                            {.op = "attention",
                             .q_starts = call.q_starts,
                             .kv_starts = call.kv_starts,
                             .kv_lengths = call.kv_lengths,
                             .page_table = call.page_table,
                             .q_tokens = problem.q_tokens,
                             .kv_tokens = call.k.shape[0],
                             .pages = call.k_pages.shape[0],
                             .page_size = problem.page_size,
                             .max_q_len = problem.max_q_len,
                             .max_kv_len = problem.max_kv_len,
                             .causal = problem.causal,
                             .window_left = problem.window_left,
                             .chunk = problem.chunk,
                             .block_starts = call.block_starts,
                             .block_columns = call.block_columns,
                             .block_keys = problem.block_keys}));
    const i64 given_bytes = call.workspace ? call.workspace.shape[0] : 0;
    problem.max_splits = std::min(problem.max_splits, max_splits_in(problem, given_bytes));
    AttentionArgs args = checked.args;
    // why: where the keys of a query are split depends on how many queries there are.
    if (prepared.batch_invariant) problem.max_splits = problem.max_cluster = 1;
    WW_ASSIGN(const AttentionRow* row, choose_in<AttentionOp>(context, problem, prepared.batch_invariant));
    const i64 splits = AttentionOp::num_splits(*row, context.target().facts, problem);
    args.num_splits = static_cast<i32>(splits);
    if (splits == 1 || row->clusters) return prepare_step<AttentionOp>(context, problem, args, prepared);

    const i64 lse_bytes = splits * problem.q_tokens * problem.heads * 4;
    const i64 out_bytes = partial_bytes(problem, splits) - lse_bytes;
    args.partial_out = static_cast<float*>(call.workspace.data);
    args.partial_lse = reinterpret_cast<float*>(static_cast<std::byte*>(call.workspace.data) + out_bytes);
    // Partial log-sum-exps are in base 2, and sinks are counted once.
    args.lse_factor = 1;
    args.sinks = nullptr;
    WW_TRY(prepare_step<AttentionOp>(context, problem, args, prepared));
    return prepare_merge(context, args, value_dim(problem), problem.dtype, checked.args.sinks,
                         checked.args.lse_factor, prepared);
}

Status attention(Context& context, Stream stream, const Attention& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
