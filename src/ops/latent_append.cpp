// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/latent_append.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "dispatch/prepare.h"
#include "kernels/fused/latent_append/operation.h"
#include "ops/check_inputs.h"
#include "ops/match.h"
#include "ops/split_keys.h"

namespace warpwright {

Status prepare(Context& context, const LatentAppend& call, Prepared& prepared) {
    Matcher match("latent_append");
    match.tensor("x", call.x, {"tokens", "columns"}, {DType::bf16, DType::f16})
        .tensor("sequences", call.sequences, {"tokens"}, {DType::i32})
        .tensor("positions", call.positions, {"tokens"}, {DType::i32})
        .tensor("page_table", call.page_table, {"sequences", "max_pages"}, {DType::i32})
        .tensor("pages", call.pages, {"pages", "page_size", "record_bytes"}, {DType::u8});
    WW_TRY(match.status());
    const i64 page_size = match["page_size"];
    const LatentPages pages = match["columns"] == kIndexDim ? LatentPages::index_keys : LatentPages::records;
    const bool records = pages == LatentPages::records;
    match
        .require(match["columns"] == columns_of(pages),
                 fmt::format("x must have {} columns (latent rows) or {} (keys of an indexer), got {}",
                             kMlaKeyDim, kIndexDim, match["columns"]))
        .require(match["record_bytes"] == record_bytes_of(pages),
                 fmt::format("a token of the pages must have {} bytes, as x has {} columns, got {}",
                             record_bytes_of(pages), columns_of(pages), match["record_bytes"]))
        .require(records || page_size <= 1 || call.pages.stride[1] == kIndexRecordBytes,
                 fmt::format("a page of keys must be without gaps, got a stride of {} bytes",
                             call.pages.stride[1]))
        .require(dtype_of(call.scale) == DType::f32,
                 fmt::format("scale must be f32 or power_of_two, got {}", scale_type_name(call.scale)))
        .require(call.least_amax >= 0 && std::isfinite(call.least_amax),
                 fmt::format("least_amax must be finite and not negative, got {}", call.least_amax))
        .require(strides_fit(call.pages), "strides must be below 2^31 elements");
    WW_TRY(match.status());
    if (match["tokens"] == 0) return {};
    WW_TRY(check_slot_inputs(context, prepared.inputs,
                             {.op = "latent_append",
                              .sequences = call.sequences,
                              .positions = call.positions,
                              .page_table = call.page_table,
                              .pages = match["pages"],
                              .page_size = page_size}));

    Tensor aligned = call.pages;  // of keys only the pages need be: a key's codes lie between those of others
    if (!records) aligned.rank = 2;
    const LatentAppendProblem problem{
        .tokens = match["tokens"],
        .pages = pages,
        .page_size = page_size,
        .dtype = call.x.dtype,
        .scale = call.scale,
        .alignment_bytes = alignment_of({&call.x, &aligned}, prepared.batch_invariant)};
    const auto narrow = [](i64 value) { return static_cast<i32>(value); };
    const i32 token_stride = records ? narrow(call.pages.stride[1]) : kIndexDim;
    const LatentAppendArgs args{.x = call.x.data,
                                .pages = static_cast<u8*>(call.pages.data),
                                .sequences = static_cast<const i32*>(call.sequences.data),
                                .positions = static_cast<const i32*>(call.positions.data),
                                .page_table = static_cast<const i32*>(call.page_table.data),
                                .x_stride = call.x.stride[0],
                                .page_stride = call.pages.stride[0],
                                .page_table_stride = call.page_table.stride[0],
                                .scales_at = records ? kMlaScalesAt : page_size * kIndexDim,
                                .token_stride = token_stride,
                                .scale_stride = records ? token_stride : 4,
                                .kept_at = records ? kMlaRopeAt : 0,
                                .tokens = narrow(problem.tokens),
                                .columns = columns_of(pages),
                                .coded_columns = coded_columns_of(pages),
                                .groups = groups_of(pages),
                                .page_shift = std::countr_zero(static_cast<u64>(page_size)),
                                .least_amax = std::abs(call.least_amax),
                                .dtype = problem.dtype,
                                .scale = problem.scale};
    return prepare_step<LatentAppendOp>(context, problem, args, prepared);
}

Status latent_append(Context& context, Stream stream, const LatentAppend& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
