// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rmsnorm.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "dispatch/prepare.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "ops/match.h"
#include "ops/quantized_output.h"

namespace warpwright {

Status prepare(Context& context, const RmsNorm& call, Prepared& prepared) {
    Matcher match("rmsnorm");
    const bool per_head = call.x.rank == 3;
    const char* hidden = per_head ? "head_dim" : "hidden";
    if (per_head) {
        match.require(!call.residual, "residual must be null where heads are normalised")
            .require(!call.quantized.codes, "codes must be null where heads are normalised")
            .tensor("x", call.x, {"tokens", "heads", hidden}, {DType::bf16, DType::f16})
            .tensor("weight", call.weight, {hidden}, {call.x.dtype})
            .tensor("out", call.out, {"tokens", "heads", hidden}, {call.x.dtype});
    } else {
        match.tensor("x", call.x, {"tokens", hidden}, {DType::bf16, DType::f16})
            .tensor("weight", call.weight, {hidden}, {call.x.dtype})
            .tensor("out", call.out, {"tokens", hidden}, {call.x.dtype}, {.optional = true})
            .tensor("residual", call.residual, {"tokens", hidden}, {call.x.dtype}, {.optional = true});
    }
    match.tensor("bias", call.bias, {hidden}, {call.x.dtype}, {.optional = true})
        .require(!call.bias || !call.residual, "residual must be null where there is a bias")
        .require(!call.bias || !call.quantized.codes, "codes must be null where there is a bias");
    WW_TRY(match.status());
    const i64 heads = per_head ? match["heads"] : 1;
    constexpr i64 kMaxRows = std::numeric_limits<i32>::max();
    match.require(
        match["tokens"] * heads <= kMaxRows,
        fmt::format("x has {} rows to normalise, at most {} can be", match["tokens"] * heads, kMaxRows));
    WW_TRY(match.status());
    if (match["tokens"] == 0 || heads == 0) return {};

    RmsNormProblem problem{
        .tokens = match["tokens"],
        .hidden = match[hidden],
        .dtype = call.x.dtype,
        .residual = static_cast<bool>(call.residual),
        .alignment_bytes = alignment_of({&call.x, &call.weight, &call.out, &call.residual, &call.bias},
                                        prepared.batch_invariant),
        .heads = heads,
        .weight_offset = call.weight_offset,
        .bias = static_cast<bool>(call.bias)};
    RmsNormArgs args{.x = call.x.data,
                     .residual = call.residual.data,
                     .weight = call.weight.data,
                     .out = call.out.data,
                     .x_stride = call.x.stride[0],
                     .x_head_stride = per_head ? call.x.stride[1] : 0,
                     .residual_stride = call.residual.stride[0],
                     .out_stride = call.out.stride[0],
                     .out_head_stride = per_head ? call.out.stride[1] : 0,
                     .tokens = static_cast<i32>(problem.tokens),
                     .heads = static_cast<i32>(heads),
                     .hidden = static_cast<i32>(problem.hidden),
                     .epsilon = call.epsilon,
                     .weight_offset = call.weight_offset,
                     .quantized = {},
                     .bias = call.bias.data};
    WW_TRY(match_quantized("rmsnorm", call.quantized, call.x.dtype, problem.tokens, problem.hidden,
                           static_cast<bool>(call.out), problem.quantized, args.quantized));
    if (call.quantized.codes) {
        problem.alignment_bytes =
            std::min(problem.alignment_bytes, alignment_of_codes(call.quantized, prepared.batch_invariant));
    }
    return prepare_step<RmsNormOp>(context, problem, args, prepared);
}

Status rmsnorm(Context& context, Stream stream, const RmsNorm& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
