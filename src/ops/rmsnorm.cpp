// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rmsnorm.h"

#include "dispatch/prepare.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const RmsNorm& call, Prepared& prepared) {
    Matcher match("rmsnorm");
    match.tensor("x", call.x, {"tokens", "hidden"}, {DType::bf16, DType::f16})
        .tensor("weight", call.weight, {"hidden"}, {call.x.dtype})
        .tensor("out", call.out, {"tokens", "hidden"}, {call.x.dtype})
        .tensor("residual", call.residual, {"tokens", "hidden"}, {call.x.dtype}, {.optional = true});
    WW_TRY(match.status());
    if (match["tokens"] == 0) return {};

    const RmsNormProblem problem{
        .tokens = match["tokens"],
        .hidden = match["hidden"],
        .dtype = call.x.dtype,
        .residual = static_cast<bool>(call.residual),
        .alignment_bytes = alignment_of({&call.x, &call.weight, &call.out, &call.residual})};
    const RmsNormArgs args{.x = call.x.data,
                           .residual = call.residual.data,
                           .weight = call.weight.data,
                           .out = call.out.data,
                           .x_stride = call.x.stride[0],
                           .residual_stride = call.residual.stride[0],
                           .out_stride = call.out.stride[0],
                           .tokens = static_cast<i32>(problem.tokens),
                           .hidden = static_cast<i32>(problem.hidden),
                           .epsilon = call.epsilon};
    return prepare_step<RmsNormOp>(context, problem, args, prepared);
}

Status rmsnorm(Context& context, Stream stream, const RmsNorm& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
