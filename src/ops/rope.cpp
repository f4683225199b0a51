// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rope.h"

#include <fmt/format.h>

#include <bit>

#include "dispatch/prepare.h"
#include "kernels/fused/rope/operation.h"
#include "ops/check_inputs.h"
#include "ops/kv_scales.h"
#include "ops/kv_strides.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Rope& call, Prepared& prepared) {
    Matcher match("rope");
    match.tensor("q", call.q, {"tokens", "heads", "head_dim"}, {DType::bf16, DType::f16})
        .tensor("k", call.k, {"tokens", "kv_heads", "head_dim"}, {call.q.dtype})
        .tensor("positions", call.positions, {"tokens"}, {DType::i32})
        .tensor("frequency", call.frequency, {"pairs"}, {DType::f32})
        .tensor("q_out", call.q_out, {"tokens", "heads", "rotary_dim"}, {call.q.dtype}, {.optional = true});
    const bool appends = static_cast<bool>(call.k_pages);
    const DType type = kv_dtype(call.kv_format, call.k.dtype);
    if (appends) {
        match.tensor("v", call.v, {"tokens", "kv_heads", "value_dim"}, {call.k.dtype})
            .tensor("sequences", call.sequences, {"tokens"}, {DType::i32})
            .tensor("page_table", call.page_table, {"sequences", "max_pages"}, {DType::i32})
            .tensor("k_pages", call.k_pages, {"pages", "page_size", "kv_heads", "head_dim"}, {type})
            .tensor("v_pages", call.v_pages, {"pages", "page_size", "kv_heads", "value_dim"}, {type});
    }
    match_written_format(match, call.kv_format);
    match_kv_scales(match, call.kv_format, call.k_scale, call.v_scale);
    match.require(appends || !(call.v || call.sequences || call.page_table || call.v_pages),
                  "v, sequences, page_table and v_pages: expected k_pages too");
    match.require(appends || call.kv_format == KvFormat::same,
                  fmt::format("kv_format {}: expected k_pages too", kv_format_name(call.kv_format)));
    match.require(2 * match["pairs"] <= match["head_dim"],
                  fmt::format("frequency has {} pairs, head_dim {} holds at most {}", match["pairs"],
                              match["head_dim"], match["head_dim"] / 2));
    match.require(!call.q_out || match["rotary_dim"] == 2 * match["pairs"],
                  fmt::format("q_out must have {} columns, those that turn, got {}", 2 * match["pairs"],
                              match["rotary_dim"]));
    WW_TRY(match.status());
    if (match["tokens"] == 0 || (match["pairs"] == 0 && !appends)) return {};
    if (appends) WW_TRY(check_slot_inputs(context, prepared.inputs, slots_of("rope", call)));

    const RopeProblem problem{
        .tokens = match["tokens"],
        .heads = match["heads"],
        .kv_heads = match["kv_heads"],
        .head_dim = match["head_dim"],
        .rotary_dim = 2 * match["pairs"],
        .interleaved = call.interleaved,
        .page_size = match["page_size"],
        .dtype = call.q.dtype,
        .alignment_bytes = alignment_of(
            {&call.q, &call.k, &call.v, &call.k_pages, &call.v_pages, &call.q_out}, prepared.batch_invariant),
        .kv_format = call.kv_format,
        .value_dim = match["value_dim"] == match["head_dim"] ? 0 : match["value_dim"],
        .q_out = static_cast<bool>(call.q_out)};
    const Tensor& q_out = call.q_out ? call.q_out : call.q;
    RopePages pages{};
    if (appends) {
        pages = {.v = call.v.data,
                 .k_pages = call.k_pages.data,
                 .v_pages = call.v_pages.data,
                 .sequences = static_cast<const i32*>(call.sequences.data),
                 .page_table = static_cast<const i32*>(call.page_table.data),
                 .v_stride = kv_strides_of(call.v),
                 .k_page_stride = kv_page_strides_of(call.k_pages),
                 .v_page_stride = kv_page_strides_of(call.v_pages),
                 .page_table_stride = call.page_table.stride[0],
                 .head_dim = static_cast<i32>(problem.head_dim),
                 .value_dim = static_cast<i32>(match["value_dim"]),
                 .page_shift = std::countr_zero(static_cast<u64>(problem.page_size)),
                 .kv_format = call.kv_format,
                 .k_scale_stride = kv_scale_stride(call.k_scale),
                 .v_scale_stride = kv_scale_stride(call.v_scale),
                 .k_scale = static_cast<const float*>(call.k_scale.data),
                 .v_scale = static_cast<const float*>(call.v_scale.data)};
    }
    const RopeArgs args{.q = call.q.data,
                        .q_out = q_out.data,
                        .k = call.k.data,
                        .positions = static_cast<const i32*>(call.positions.data),
                        .frequency = static_cast<const float*>(call.frequency.data),
                        .q_token_stride = call.q.stride[0],
                        .q_head_stride = call.q.stride[1],
                        .q_out_token_stride = q_out.stride[0],
                        .q_out_head_stride = q_out.stride[1],
                        .k_token_stride = call.k.stride[0],
                        .k_head_stride = call.k.stride[1],
                        .pages = pages,
                        .tokens = static_cast<i32>(problem.tokens),
                        .heads = static_cast<i32>(problem.heads),
                        .kv_heads = static_cast<i32>(problem.kv_heads),
                        .pairs = static_cast<i32>(match["pairs"]),
                        .magnitude = call.magnitude,
                        .interleaved = call.interleaved,
                        .positions_are_ready = call.positions_are_ready};
    return prepare_step<RopeOp>(context, problem, args, prepared);
}

Status rope(Context& context, Stream stream, const Rope& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
