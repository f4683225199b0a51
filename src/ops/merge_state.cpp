// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/merge_state.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/attention/merge_state/operation.h"
#include "ops/match.h"

namespace warpwright {
namespace {

// Of tensors with or without a dimension of states before the others.
MergeStateSource source_of(const Tensor& out, const Tensor& lse) {
    const int first = out.rank - 3;
    return {.out = out.data,
            .lse = static_cast<const float*>(lse.data),
            .state_stride = first > 0 ? out.stride[0] : 0,
            .token_stride = out.stride[first],
            .head_stride = out.stride[first + 1],
            .lse_state_stride = first > 0 ? lse.stride[0] : 0,
            .lse_token_stride = lse.stride[first],
            .lse_head_stride = lse.stride[first + 1]};
}

// Tensors that match.
Status prepare_merge(Context& context, const Matcher& match, i64 states, const MergeStateSource& first,
                     const MergeStateSource& others, std::initializer_list<const Tensor*> outs,
                     const Tensor& out, const Tensor& lse, LseBase base, Prepared& prepared) {
    constexpr i64 kMost = i64{1} << 30;
    const i64 tokens = match["tokens"], heads = match["heads"], head_dim = match["head_dim"];
    if (heads > 0 && tokens > kMost / heads)
        return caller_error(
            fmt::format("merge_state: tokens x heads can be at most {}, got {} x {}", kMost, tokens, heads));
    if (head_dim > kMost || states > kMost)
        return caller_error(fmt::format("merge_state: sizes can be at most {}", kMost));
    if (tokens == 0 || heads == 0 || head_dim == 0) return {};
    const MergeStateProblem problem{.tokens = tokens,
                                    .heads = heads,
                                    .head_dim = head_dim,
                                    .states = states,
                                    .dtype = out.dtype,
                                    .alignment_bytes = alignment_of(outs, prepared.batch_invariant)};
    constexpr float kLog2E = 1.4426950408889634f;
    const MergeStateArgs args{.first = first,
                              .others = others,
                              .out = out.data,
                              .lse = static_cast<float*>(lse.data),
                              .out_token_stride = out.stride[0],
                              .out_head_stride = out.stride[1],
                              .lse_token_stride = lse.stride[0],
                              .lse_head_stride = lse.stride[1],
                              .rows = tokens * heads,
                              .to_log2 = base == LseBase::e ? kLog2E : 1,
                              .heads = static_cast<i32>(heads),
                              .head_dim = static_cast<i32>(head_dim),
                              .states = static_cast<i32>(states)};
    return prepare_step<MergeStateOp>(context, problem, args, prepared);
}

}  // namespace

Status prepare(Context& context, const MergeState& call, Prepared& prepared) {
    Matcher match("merge_state");
    match.tensor("a", call.a, {"tokens", "heads", "head_dim"}, {DType::bf16, DType::f16, DType::f32})
        .tensor("a_lse", call.a_lse, {"tokens", "heads"}, {DType::f32})
        .tensor("b", call.b, {"tokens", "heads", "head_dim"}, {call.a.dtype})
        .tensor("b_lse", call.b_lse, {"tokens", "heads"}, {DType::f32})
        .tensor("out", call.out, {"tokens", "heads", "head_dim"}, {call.a.dtype})
        .tensor("lse", call.lse, {"tokens", "heads"}, {DType::f32}, {.optional = true});
    WW_TRY(match.status());
    return prepare_merge(context, match, 2, source_of(call.a, call.a_lse), source_of(call.b, call.b_lse),
                         {&call.a, &call.b, &call.out}, call.out, call.lse, call.base, prepared);
}

Status prepare(Context& context, const MergeStates& call, Prepared& prepared) {
    Matcher match("merge_states");
    match
        .tensor("states", call.states, {"states", "tokens", "heads", "head_dim"},
                {DType::bf16, DType::f16, DType::f32})
        .tensor("states_lse", call.states_lse, {"states", "tokens", "heads"}, {DType::f32})
        .tensor("out", call.out, {"tokens", "heads", "head_dim"}, {call.states.dtype})
        .tensor("lse", call.lse, {"tokens", "heads"}, {DType::f32}, {.optional = true});
    WW_TRY(match.status());
    match.require(match["states"] > 0, "there must be at least one state");
    WW_TRY(match.status());
    const MergeStateSource first = source_of(call.states, call.states_lse);
    MergeStateSource others = first;
    others.out =
        static_cast<const std::byte*>(first.out) + first.state_stride * dtype_bytes(call.states.dtype);
    others.lse = first.lse + first.lse_state_stride;
    return prepare_merge(context, match, match["states"], first, others, {&call.states, &call.out}, call.out,
                         call.lse, call.base, prepared);
}

Status merge_state(Context& context, Stream stream, const MergeState& call) {
    return run_now(context, stream, call);
}

Status merge_states(Context& context, Stream stream, const MergeStates& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
