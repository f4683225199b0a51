// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/sample.h"

#include "dispatch/prepare.h"
#include "kernels/fused/sample/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Sample& call, Prepared& prepared) {
    Matcher match("sample");
    match.tensor("logits", call.logits, {"rows", "vocabulary"}, {DType::f32, DType::bf16, DType::f16})
        .tensor("temperature", call.temperature, {"rows"}, {DType::f32})
        .tensor("top_k", call.top_k, {"rows"}, {DType::i32})
        .tensor("top_p", call.top_p, {"rows"}, {DType::f32})
        .tensor("min_p", call.min_p, {"rows"}, {DType::f32})
        .tensor("seeds", call.seeds, {"rows", "seed halves"}, {DType::i32})
        .tensor("steps", call.steps, {"rows"}, {DType::i32})
        .tensor("tokens", call.tokens, {"rows"}, {DType::i32});
    match.require(match["seed halves"] == 2,
                  "seeds: dimension 1 must be 2, got " + std::to_string(match["seed halves"]));
    match.require(match["rows"] == 0 || match["vocabulary"] > 0, "logits: the vocabulary is empty");
    WW_TRY(match.status());
    if (match["rows"] == 0) return {};

    const SampleProblem problem{.rows = match["rows"],
                                .vocabulary = match["vocabulary"],
                                .dtype = call.logits.dtype,
                                .alignment_bytes = alignment_of({&call.logits}, prepared.batch_invariant)};
    const SampleArgs args{.logits = call.logits.data,
                          .temperature = static_cast<const float*>(call.temperature.data),
                          .top_k = static_cast<const i32*>(call.top_k.data),
                          .top_p = static_cast<const float*>(call.top_p.data),
                          .min_p = static_cast<const float*>(call.min_p.data),
                          .seeds = static_cast<const i32*>(call.seeds.data),
                          .steps = static_cast<const i32*>(call.steps.data),
                          .tokens = static_cast<i32*>(call.tokens.data),
                          .logits_stride = call.logits.stride[0],
                          .seeds_stride = call.seeds.stride[0],
                          .rows = static_cast<i32>(problem.rows),
                          .vocabulary = static_cast<i32>(problem.vocabulary)};
    return prepare_step<SampleOp>(context, problem, args, prepared);
}

Status sample(Context& context, Stream stream, const Sample& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
