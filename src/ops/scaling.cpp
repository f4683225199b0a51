// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/scaling.h"

#include <fmt/format.h>

#include <cmath>

#include "dispatch/prepare.h"
#include "kernels/fused/scaling/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Scaling& call, Prepared& prepared) {
    Matcher match("scaling");
    match.tensor("amax_history", call.amax_history, {"length", "tensors"}, {DType::f32})
        .tensor("scale", call.scale, {"tensors"}, {DType::f32})
        .tensor("scale_inv", call.scale_inv, {"tensors"}, {DType::f32});
    WW_TRY(match.status());
    constexpr i64 kMost = i64{1} << 30;
    constexpr int kMostMargin = 64;
    match.require(match["length"] > 0, "amax_history has no rows")
        .require(match["length"] < kMost && match["tensors"] < kMost,
                 fmt::format("amax_history is [{}, {}], at most 2^30 of each can be", match["length"],
                             match["tensors"]))
        .require(std::abs(call.margin) <= kMostMargin,
                 fmt::format("margin must be from -64 to 64, got {}", call.margin));
    WW_TRY(match.status());
    if (match["tensors"] == 0) return {};

    const ScalingProblem problem{
        .length = match["length"], .tensors = match["tensors"], .largest_of_all = call.largest_of_all};
    const ScalingArgs args{.history = static_cast<float*>(call.amax_history.data),
                           .scale = static_cast<float*>(call.scale.data),
                           .scale_inv = static_cast<float*>(call.scale_inv.data),
                           .history_stride = call.amax_history.stride[0],
                           .scaled_max = std::ldexp(facts_of(call.code).max, -call.margin),
                           .length = static_cast<i32>(problem.length),
                           .tensors = static_cast<i32>(problem.tensors),
                           .largest_of_all = call.largest_of_all};
    return prepare_step<ScalingOp>(context, problem, args, prepared);
}

Status scaling(Context& context, Stream stream, const Scaling& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
