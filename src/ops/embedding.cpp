// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/embedding.h"

#include "dispatch/prepare.h"
#include "kernels/fused/embedding/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Embedding& call, Prepared& prepared) {
    Matcher match("embedding");
    match.tensor("ids", call.ids, {"tokens"}, {DType::i32})
        .tensor("table", call.table, {"rows", "width"}, {DType::bf16, DType::f16, DType::f32})
        .tensor("out", call.out, {"tokens", "width"}, {call.table.dtype});
    WW_TRY(match.status());
    if (match["tokens"] == 0 || match["width"] == 0) return {};

    const i64 element_bytes = dtype_bytes(call.table.dtype);
    const EmbeddingProblem problem{
        .tokens = match["tokens"],
        .width = match["width"],
        .dtype = call.table.dtype,
        .alignment_bytes = alignment_of({&call.table, &call.out}, prepared.batch_invariant),
        .scale = call.scale};
    const EmbeddingArgs args{.ids = static_cast<const i32*>(call.ids.data),
                             .table = call.table.data,
                             .out = call.out.data,
                             .table_stride_bytes = call.table.stride[0] * element_bytes,
                             .out_stride_bytes = call.out.stride[0] * element_bytes,
                             .width_bytes = problem.width * element_bytes,
                             .num_rows = static_cast<i32>(match["rows"]),
                             .tokens = static_cast<i32>(problem.tokens),
                             .dtype = problem.dtype,
                             .scale = problem.scale};
    return prepare_step<EmbeddingOp>(context, problem, args, prepared);
}

Status embedding(Context& context, Stream stream, const Embedding& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
