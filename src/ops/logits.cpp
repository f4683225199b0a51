// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/logits.h"

#include <fmt/format.h>

#include <cmath>

#include "dispatch/prepare.h"
#include "kernels/fused/logits/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Logits& call, Prepared& prepared) {
    const bool in_place = call.in.data == call.out.data;
    Matcher match("logits");
    match.tensor("in", call.in, {"rows", "vocabulary"}, {DType::f32})
        .tensor("out", call.out, {"rows", "vocabulary"}, {DType::f32})
        .require(!in_place || call.in.stride[0] == call.out.stride[0],
                 fmt::format("out begins where in does, so its stride must be {}, got {}", call.in.stride[0],
                             call.out.stride[0]))
        .require(call.softcap >= 0 && std::isfinite(call.softcap),
                 fmt::format("softcap must be finite and not negative, got {}", call.softcap));
    if (call.starts) {
        match.tensor("starts", call.starts, {"rows + 1"}, {DType::i32})
            .tensor("tokens", call.tokens, {"entries"}, {DType::i32})
            .tensor("repetition", call.repetition, {"entries"}, {DType::f32})
            .tensor("addend", call.addend, {"entries"}, {DType::f32})
            .tensor("bias", call.bias, {"entries"}, {DType::f32}, {.optional = true})
            .require(match["rows + 1"] == match["rows"] + 1,
                     fmt::format("starts must have rows + 1 = {} elements, got {}", match["rows"] + 1,
                                 match["rows + 1"]));
    } else {
        match.require(!call.tokens && !call.repetition && !call.addend && !call.bias,
                      "starts is null, but there are lists");
    }
    constexpr i64 kMost = i64{1} << 30;
    match.require(match["vocabulary"] <= kMost && match["entries"] <= kMost,
                  fmt::format("the vocabulary and the lists can have at most {} elements", kMost));
    WW_TRY(match.status());

    const LogitsProblem problem{
        .rows = match["rows"],
        .vocabulary = match["vocabulary"],
        .entries = match["entries"],
        .softcap = call.softcap,
        .in_place = in_place,
        .bias = static_cast<bool>(call.bias),
        .alignment_bytes = alignment_of({&call.in, &call.out}, prepared.batch_invariant)};
    if (problem.rows == 0 || problem.vocabulary == 0) return {};
    if (!is_dense(problem) && problem.entries == 0) return {};
    const LogitsArgs args{.in = static_cast<const float*>(call.in.data),
                          .out = static_cast<float*>(call.out.data),
                          .starts = problem.entries > 0 ? static_cast<const i32*>(call.starts.data) : nullptr,
                          .tokens = static_cast<const i32*>(call.tokens.data),
                          .repetition = static_cast<const float*>(call.repetition.data),
                          .addend = static_cast<const float*>(call.addend.data),
                          .bias = static_cast<const float*>(call.bias.data),
                          .in_stride = call.in.stride[0],
                          .out_stride = call.out.stride[0],
                          .rows = static_cast<i32>(problem.rows),
                          .vocabulary = static_cast<i32>(problem.vocabulary),
                          .entries = static_cast<i32>(problem.entries),
                          .dense = is_dense(problem) ? 1 : 0,
                          .softcap = call.softcap};
    return prepare_step<LogitsOp>(context, problem, args, prepared);
}

Status logits(Context& context, Stream stream, const Logits& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
