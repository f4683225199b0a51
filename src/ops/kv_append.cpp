// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/kv_append.h"

#include <bit>

#include "dispatch/prepare.h"
#include "kernels/fused/kv_append/operation.h"
#include "ops/check_inputs.h"
#include "ops/kv_scales.h"
#include "ops/kv_strides.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const KvAppend& call, Prepared& prepared) {
    const DType type = kv_dtype(call.kv_format, call.k.dtype);
    Matcher match("kv_append");
    match.tensor("k", call.k, {"tokens", "kv_heads", "head_dim"}, {DType::bf16, DType::f16})
        .tensor("v", call.v, {"tokens", "kv_heads", "head_dim"}, {call.k.dtype}, {.optional = true})
        .tensor("sequences", call.sequences, {"tokens"}, {DType::i32})
        .tensor("positions", call.positions, {"tokens"}, {DType::i32})
        .tensor("page_table", call.page_table, {"sequences", "max_pages"}, {DType::i32})
        .tensor("k_pages", call.k_pages, {"pages", "page_size", "kv_heads", "head_dim"}, {type})
        .tensor("v_pages", call.v_pages, {"pages", "page_size", "kv_heads", "head_dim"}, {type},
                {.optional = true})
        .require(static_cast<bool>(call.v) == static_cast<bool>(call.v_pages),
                 "v and v_pages: expected both, or neither")
        .require(call.v || !call.v_scale, "v_scale: expected v too");
    match_written_format(match, call.kv_format);
    match_kv_scales(match, call.kv_format, call.k_scale, call.v_scale);
    WW_TRY(match.status());
    if (match["tokens"] == 0) return {};
    WW_TRY(check_slot_inputs(context, prepared.inputs, slots_of("kv_append", call)));

    const KvAppendProblem problem{
        .tokens = match["tokens"],
        .kv_heads = match["kv_heads"],
        .head_dim = match["head_dim"],
        .page_size = match["page_size"],
        .dtype = call.k.dtype,
        .alignment_bytes =
            alignment_of({&call.k, &call.v, &call.k_pages, &call.v_pages}, prepared.batch_invariant),
        .kv_format = call.kv_format,
        .values = static_cast<bool>(call.v)};
    const KvAppendArgs args{.k = call.k.data,
                            .v = call.v.data,
                            .k_pages = call.k_pages.data,
                            .v_pages = call.v_pages.data,
                            .sequences = static_cast<const i32*>(call.sequences.data),
                            .positions = static_cast<const i32*>(call.positions.data),
                            .page_table = static_cast<const i32*>(call.page_table.data),
                            .k_stride = kv_strides_of(call.k),
                            .v_stride = kv_strides_of(call.v),
                            .k_page_stride = kv_page_strides_of(call.k_pages),
                            .v_page_stride = kv_page_strides_of(call.v_pages),
                            .page_table_stride = call.page_table.stride[0],
                            .tokens = static_cast<i32>(problem.tokens),
                            .kv_heads = static_cast<i32>(problem.kv_heads),
                            .head_dim = static_cast<i32>(problem.head_dim),
                            .page_shift = std::countr_zero(static_cast<u64>(problem.page_size)),
                            .dtype = problem.dtype,
                            .kv_format = problem.kv_format,
                            .k_scale_stride = kv_scale_stride(call.k_scale),
                            .v_scale_stride = kv_scale_stride(call.v_scale),
                            .k_scale = static_cast<const float*>(call.k_scale.data),
                            .v_scale = static_cast<const float*>(call.v_scale.data)};
    return prepare_step<KvAppendOp>(context, problem, args, prepared);
}

Status kv_append(Context& context, Stream stream, const KvAppend& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
