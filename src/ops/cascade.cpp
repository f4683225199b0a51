// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/cascade.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/prepare.h"
#include "ops/match.h"
#include "warpwright/ops/merge_state.h"

namespace warpwright {
namespace {

constexpr i64 kAlignment = 16;

i64 aligned(i64 bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Where the levels' results lie in the workspace: outputs, log-sum-exps, then what attention itself needs,
// one level after another.
struct Layout {
    i64 out_bytes = 0, lse_bytes = 0;  // of a level
    i64 attention_begin = 0;
};

Layout layout_of(const Cascade& cascade) {
    const Tensor& q = cascade.call.q;
    Layout layout;
    layout.out_bytes = aligned(q.shape[0] * q.shape[1] * cascade.call.out.shape[2] * dtype_bytes(q.dtype));
    layout.lse_bytes = aligned(q.shape[0] * q.shape[1] * 4);
    const i64 levels = std::ssize(cascade.levels);
    if (levels > 1) layout.attention_begin = levels * (layout.out_bytes + layout.lse_bytes);
    return layout;
}

Status check(const Cascade& cascade) {
    const Attention& call = cascade.call;
    Matcher match("cascade");
    match.require(!cascade.levels.empty(), "there must be at least one level")
        .tensor("q", call.q, {"q_tokens", "heads", "head_dim"}, {DType::bf16, DType::f16})
        .tensor("out", call.out, {"out_tokens", "out_heads", "head_dim_v"}, {call.q.dtype})
        .tensor("workspace", call.workspace, {"bytes"}, {DType::u8}, {.dense = true, .optional = true})
        .require(alignment_of({&call.workspace}) >= kAlignment,
                 fmt::format("workspace must start at a multiple of {} bytes", kAlignment))
        .require(!call.lse_base2 || !call.lse_base_e, "lse_base2 and lse_base_e exclude each other")
        .require(call.window_left < 0 && call.window_right < 0 && call.chunk == 0 && !call.alibi_slopes,
                 "windows, chunks and slopes depend on positions, which levels do not have");
    return match.status();
}

// A level as a call of its own, with the outputs and the workspace of all.
Attention level_call(const Cascade& cascade, std::size_t index) {
    const CascadeLevel& level = cascade.levels[index];
    Attention call = cascade.call;
    call.q_starts = level.q_starts;
    call.kv_starts = level.kv_starts;
    call.page_table = level.page_table;
    call.kv_lengths = level.kv_lengths;
    call.max_q_len = level.max_q_len;
    call.max_kv_len = level.max_kv_len;
    if (index + 1 < cascade.levels.size()) {
        call.causal = false;
        call.sinks = call.mask = {};
    }
    return call;
}

Status of_level(std::size_t index, const Status& status) {
    if (status.ok()) return {};
    return {status.kind(), fmt::format("cascade: level {}: {}", index, status.message())};
}

}  // namespace

Result<i64> cascade_workspace_bytes(Context& context, const Cascade& cascade) {
    WW_TRY(check(cascade));
    i64 most = 0;
    for (std::size_t i = 0; i < cascade.levels.size(); ++i) {
        const Result<i64> bytes = attention_workspace_bytes(context, level_call(cascade, i));
        WW_TRY(of_level(i, bytes.status()));
        most = std::max(most, *bytes);
    }
    return layout_of(cascade).attention_begin + most;
}

Status prepare(Context& context, const Cascade& cascade, Prepared& prepared) {
    WW_TRY(check(cascade));
    const Tensor &q = cascade.call.q, &workspace = cascade.call.workspace;
    if (q.num_elements() == 0 || cascade.call.out.num_elements() == 0) return {};
    const Layout layout = layout_of(cascade);
    const i64 given = workspace ? workspace.shape[0] : 0, levels = std::ssize(cascade.levels);
    if (given < layout.attention_begin)
        return caller_error(fmt::format("cascade: workspace has {} bytes, but {} levels need {}", given,
                                        levels, layout.attention_begin));
    auto* const start = static_cast<std::byte*>(workspace.data);

    const i64 tokens = q.shape[0], heads = q.shape[1], head_dim_v = cascade.call.out.shape[2];
    const bool is_natural = static_cast<bool>(cascade.call.lse_base_e);
    MergeStates merge;
    merge.states = Tensor::dense(start, q.dtype, {levels, tokens, heads, head_dim_v});
    merge.states.stride[0] = layout.out_bytes / dtype_bytes(q.dtype);
    merge.states_lse = Tensor::dense(start + levels * layout.out_bytes, DType::f32, {levels, tokens, heads});
    merge.states_lse.stride[0] = layout.lse_bytes / 4;
    merge.out = cascade.call.out;
    merge.lse = is_natural ? cascade.call.lse_base_e : cascade.call.lse_base2;
    merge.base = is_natural ? LseBase::e : LseBase::two;
    for (i64 i = 0; i < levels; ++i) {
        const auto index = static_cast<std::size_t>(i);
        Attention call = level_call(cascade, index);
        if (levels > 1) {
            call.out = Tensor::dense(start + i * layout.out_bytes, q.dtype, {tokens, heads, head_dim_v});
            (is_natural ? call.lse_base_e : call.lse_base2) = Tensor::dense(
                start + levels * layout.out_bytes + i * layout.lse_bytes, DType::f32, {tokens, heads});
        }
        call.workspace = {};
        if (given > layout.attention_begin)
            call.workspace =
                Tensor::dense(start + layout.attention_begin, DType::u8, {given - layout.attention_begin});
        WW_TRY(of_level(index, prepare(context, call, prepared)));
    }
    return levels == 1 ? Status{} : prepare(context, merge, prepared);
}

Status cascade(Context& context, Stream stream, const Cascade& cascade) {
    return run_now(context, stream, cascade);
}

}  // namespace warpwright
