// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_combine.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/moe/combine/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const MoeCombine& call, Prepared& prepared) {
    constexpr i64 kMost = i64{1} << 30;
    const DType dtype = call.rows.dtype;
    Matcher match("moe_combine");
    match.tensor("rows", call.rows, {"rows", "width"}, {DType::bf16, DType::f16})
        .tensor("row_of_slot", call.row_of_slot, {"tokens", "top_k"}, {DType::i32}, {.dense = true})
        .tensor("weights", call.weights, {"tokens", "top_k"}, {DType::f32}, {.dense = true})
        .tensor("out", call.out, {"tokens", "width"}, {dtype})
        .tensor("base", call.base, {"tokens", "width"}, {dtype}, {.optional = true})
        .require(match["rows"] <= kMost && match["tokens"] <= kMost && match["width"] <= kMost,
                 fmt::format("sizes can be at most {}", kMost));
    WW_TRY(match.status());
    if (match["tokens"] == 0 || match["width"] == 0) return {};

    const MoeCombineProblem problem{
        .tokens = match["tokens"],
        .top_k = match["top_k"],
        .width = match["width"],
        .dtype = dtype,
        .base = static_cast<bool>(call.base),
        .alignment_bytes = alignment_of({&call.rows, &call.out, call.base ? &call.base : &call.out},
                                        prepared.batch_invariant)};
    const MoeCombineArgs args{.rows = call.rows.data,
                              .row_of_slot = static_cast<const i32*>(call.row_of_slot.data),
                              .weights = static_cast<const float*>(call.weights.data),
                              .base = call.base.data,
                              .out = call.out.data,
                              .rows_stride = call.rows.stride[0],
                              .base_stride = call.base.stride[0],
                              .out_stride = call.out.stride[0],
                              .tokens = static_cast<i32>(problem.tokens),
                              .top_k = static_cast<i32>(problem.top_k),
                              .width = static_cast<i32>(problem.width),
                              .num_rows = static_cast<i32>(match["rows"]),
                              .places_are_constant = call.places_are_constant};
    return prepare_step<MoeCombineOp>(context, problem, args, prepared);
}

Status moe_combine(Context& context, Stream stream, const MoeCombine& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
