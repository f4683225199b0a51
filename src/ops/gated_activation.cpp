// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/gated_activation.h"

#include <algorithm>
#include <cmath>

#include "dispatch/prepare.h"
#include "kernels/fused/gated_activation/operation.h"
#include "ops/match.h"
#include "ops/quantized_output.h"

namespace warpwright {

Status prepare(Context& context, const GatedActivation& call, Prepared& prepared) {
    Matcher match("gated_activation");
    match.tensor("gate", call.gate, {"tokens", "width"}, {DType::bf16, DType::f16})
        .tensor("up", call.up, {"tokens", "width"}, {call.gate.dtype})
        .tensor("out", call.out, {"tokens", "width"}, {call.gate.dtype}, {.optional = true});
    const bool limited = std::isfinite(call.limit) || call.alpha != 1 || call.up_offset != 0;
    match
        .require(
            call.limit > 0 && std::isfinite(call.alpha) && call.alpha != 0 && std::isfinite(call.up_offset),
            "limit must be positive, alpha finite and not 0, up_offset finite")
        .require(!limited || !call.quantized.codes, "limit, alpha and up_offset do not go with codes");
    WW_TRY(match.status());
    if (match["tokens"] == 0 || match["width"] == 0) return {};

    GatedActivationProblem problem{
        .tokens = match["tokens"],
        .width = match["width"],
        .dtype = call.gate.dtype,
        .activation = call.activation,
        .alignment_bytes = alignment_of({&call.gate, &call.up, &call.out}, prepared.batch_invariant)};
    GatedActivationArgs args{.gate = call.gate.data,
                             .up = call.up.data,
                             .out = call.out.data,
                             .gate_stride = call.gate.stride[0],
                             .up_stride = call.up.stride[0],
                             .out_stride = call.out.stride[0],
                             .tokens = static_cast<i32>(problem.tokens),
                             .width = static_cast<i32>(problem.width),
                             .activation = call.activation,
                             .limited = limited,
                             .gate_by = {call.limit, call.alpha, call.up_offset}};
    WW_TRY(match_quantized("gated_activation", call.quantized, call.gate.dtype, problem.tokens, problem.width,
                           static_cast<bool>(call.out), problem.quantized, args.quantized));
    if (call.quantized.codes) {
        problem.alignment_bytes =
            std::min(problem.alignment_bytes, alignment_of_codes(call.quantized, prepared.batch_invariant));
    }
    return prepare_step<GatedActivationOp>(context, problem, args, prepared);
}

Status gated_activation(Context& context, Stream stream, const GatedActivation& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
