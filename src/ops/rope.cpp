// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rope.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/fused/rope/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Rope& call, Prepared& prepared) {
    Matcher match("rope");
    match.tensor("q", call.q, {"tokens", "heads", "head_dim"}, {DType::bf16, DType::f16})
        .tensor("k", call.k, {"tokens", "kv_heads", "head_dim"}, {call.q.dtype})
        .tensor("positions", call.positions, {"tokens"}, {DType::i32})
        .tensor("frequency", call.frequency, {"pairs"}, {DType::f32});
    match.require(2 * match["pairs"] <= match["head_dim"],
                  fmt::format("frequency has {} pairs, head_dim {} holds at most {}", match["pairs"],
                              match["head_dim"], match["head_dim"] / 2));
    WW_TRY(match.status());
    if (match["tokens"] == 0 || match["pairs"] == 0) return {};

    const RopeProblem problem{.tokens = match["tokens"],
                              .heads = match["heads"],
                              .kv_heads = match["kv_heads"],
                              .head_dim = match["head_dim"],
                              .rotary_dim = 2 * match["pairs"],
                              .interleaved = call.interleaved,
                              .dtype = call.q.dtype,
                              .alignment_bytes = alignment_of({&call.q, &call.k}, prepared.batch_invariant)};
    const RopeArgs args{.q = call.q.data,
                        .k = call.k.data,
                        .positions = static_cast<const i32*>(call.positions.data),
                        .frequency = static_cast<const float*>(call.frequency.data),
                        .q_token_stride = call.q.stride[0],
                        .q_head_stride = call.q.stride[1],
                        .k_token_stride = call.k.stride[0],
                        .k_head_stride = call.k.stride[1],
                        .tokens = static_cast<i32>(problem.tokens),
                        .heads = static_cast<i32>(problem.heads),
                        .kv_heads = static_cast<i32>(problem.kv_heads),
                        .pairs = static_cast<i32>(match["pairs"]),
                        .magnitude = call.magnitude,
                        .interleaved = call.interleaved};
    return prepare_step<RopeOp>(context, problem, args, prepared);
}

Status rope(Context& context, Stream stream, const Rope& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
