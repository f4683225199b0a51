// SPDX-License-Identifier: Apache-2.0
// Operations: a call's struct to the C++ call, then what every operation has, prepare and run.
#include <fmt/format.h>

#include "c/arguments.h"
#include "c/calls.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/cascade.h"
#include "warpwright/ops/embedding.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/index_logits.h"
#include "warpwright/ops/index_topk.h"
#include "warpwright/ops/kv_append.h"
#include "warpwright/ops/latent_append.h"
#include "warpwright/ops/logits.h"
#include "warpwright/ops/merge_state.h"
#include "warpwright/ops/mla.h"
#include "warpwright/ops/rmsnorm.h"
#include "warpwright/ops/rope.h"
#include "warpwright/ops/sample.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

KvFormat kv_format(int32_t value, Arguments& arg) {
    return arg.choice("kv_format", value, KvFormat::nvfp4, "WW_KV_SAME to WW_KV_NVFP4");
}

// convert() is overloaded by the struct.

Result<Gemm> convert(const ww_gemm& c, const Device& device) {
    Arguments arg("gemm", device);
    const Gemm call{.a = arg("a", c.a),
                    .b = arg("b", c.b),
                    .d = arg("d", c.d),
                    .bias = arg("bias", c.bias),
                    .gate = arg("gate", c.gate),
                    .residual = arg("residual", c.residual),
                    .activation = arg.activation(c.activation),
                    .b_is_constant = c.b_is_constant != 0,
                    .d_scale = arg("d_scale", c.d_scale),
                    .d_code = arg.code("d_code", c.d_code),
                    .d_amax = arg("d_amax", c.d_amax)};
    WW_TRY(arg.status());
    return call;
}

Result<Attention> convert(const ww_attention& c, const Device& device, const char* op = "attention") {
    Arguments arg(op, device);
    Attention call{.q = arg("q", c.q),
                   .out = arg("out", c.out),
                   .lse_base2 = arg("lse_base2", c.lse_base2),
                   .lse_base_e = arg("lse_base_e", c.lse_base_e),
                   .k = arg("k", c.k),
                   .v = arg("v", c.v),
                   .kv_starts = arg("kv_starts", c.kv_starts),
                   .k_pages = arg("k_pages", c.k_pages),
                   .v_pages = arg("v_pages", c.v_pages),
                   .page_table = arg("page_table", c.page_table),
                   .kv_lengths = arg("kv_lengths", c.kv_lengths),
                   .kv_format = kv_format(c.kv_format, arg),
                   .k_scale = arg("k_scale", c.k_scale),
                   .v_scale = arg("v_scale", c.v_scale),
                   .k_block_scales = arg("k_block_scales", c.k_block_scales),
                   .v_block_scales = arg("v_block_scales", c.v_block_scales),
                   .q_starts = arg("q_starts", c.q_starts),
                   .max_q_len = c.max_q_len,
                   .max_kv_len = c.max_kv_len,
                   .scale = c.scale,
                   .causal = c.causal != 0,
                   .window_left = c.window_tokens - 1,
                   .window_right = c.window_right_tokens - 1,
                   .chunk = c.chunk_tokens,
                   .softcap = c.softcap,
                   .sinks = arg("sinks", c.sinks),
                   .alibi_slopes = arg("alibi_slopes", c.alibi_slopes),
                   .mask = arg("mask", c.mask),
                   .mask_of_queries = c.mask_of_queries != 0,
                   .block_starts = arg("block_starts", c.block_starts),
                   .block_columns = arg("block_columns", c.block_columns),
                   .block_queries = c.block_queries,
                   .block_keys = c.block_keys,
                   .past_is_ready = c.past_is_ready != 0,
                   .workspace = arg("workspace", c.workspace)};
    WW_TRY(arg.status());
    if (c.window_tokens < 0) {
        return caller_error(
            fmt::format("{}: window_tokens: expected 0 (all keys) or more, got {}", op, c.window_tokens));
    }
    if (c.window_right_tokens < 0) {
        return caller_error(fmt::format("{}: window_right_tokens: expected 0 (all keys) or more, got {}", op,
                                        c.window_right_tokens));
    }
    if (call.max_q_len == 0) call.max_q_len = std::max<i64>(1, call.q.shape[0]);
    return call;
}

Result<Cascade> convert(const ww_cascade& c, const Device& device) {
    WW_ASSIGN(const ww_attention common, read_struct("cascade: call", c.call));
    Cascade cascade;
    WW_ASSIGN(cascade.call, convert(common, device, "cascade"));
    Arguments arg("cascade", device);
    if (c.num_levels < 0 || (c.num_levels > 0 && c.levels == nullptr))
        arg.fail(fmt::format("levels: expected {} of them, got none", c.num_levels));
    WW_TRY(arg.status());
    for (int64_t i = 0; i < c.num_levels; ++i) {
        const ww_cascade_level& level = c.levels[i];
        cascade.levels.push_back(
            {.q_starts = arg("q_starts", level.q_starts),
             .kv_starts = arg("kv_starts", level.kv_starts),
             .page_table = arg("page_table", level.page_table),
             .kv_lengths = arg("kv_lengths", level.kv_lengths),
             .max_q_len = or_default(level.max_q_len, std::max<i64>(1, cascade.call.q.shape[0])),
             .max_kv_len = level.max_kv_len});
    }
    WW_TRY(arg.status());
    return cascade;
}

Result<Mla> convert(const ww_mla& c, const Device& device) {
    Arguments arg("mla", device);
    Mla call{.q = arg("q", c.q),
             .out = arg("out", c.out),
             .lse_base2 = arg("lse_base2", c.lse_base2),
             .lse_base_e = arg("lse_base_e", c.lse_base_e),
             .cache = arg("cache", c.cache),
             .kv_format = kv_format(c.kv_format, arg),
             .k_scale = arg("k_scale", c.k_scale),
             .page_table = arg("page_table", c.page_table),
             .kv_lengths = arg("kv_lengths", c.kv_lengths),
             .indices = arg("indices", c.indices),
             .index_lengths = arg("index_lengths", c.index_lengths),
             .q_starts = arg("q_starts", c.q_starts),
             .max_q_len = c.max_q_len,
             .max_kv_len = c.max_kv_len,
             .scale = c.scale,
             .causal = c.causal != 0,
             .workspace = arg("workspace", c.workspace)};
    WW_TRY(arg.status());
    if (call.max_q_len == 0) call.max_q_len = std::max<i64>(1, call.q.shape[0]);
    return call;
}

Result<IndexLogits> convert(const ww_index_logits& c, const Device& device) {
    Arguments arg("index_logits", device);
    const IndexLogits call{.q = arg("q", c.q),
                           .weights = arg("weights", c.weights),
                           .logits = arg("logits", c.logits),
                           .cache = arg("cache", c.cache),
                           .page_table = arg("page_table", c.page_table),
                           .kv_lengths = arg("kv_lengths", c.kv_lengths),
                           .q_starts = arg("q_starts", c.q_starts),
                           .max_q_len = or_default(c.max_q_len, std::max<i64>(1, c.q.shape[0])),
                           .max_kv_len = c.max_kv_len,
                           .causal = c.causal != 0};
    WW_TRY(arg.status());
    return call;
}

Result<IndexTopk> convert(const ww_index_topk& c, const Device& device) {
    Arguments arg("index_topk", device);
    const IndexTopk call{.logits = arg("logits", c.logits),
                         .indices = arg("indices", c.indices),
                         .index_lengths = arg("index_lengths", c.index_lengths),
                         .kv_lengths = arg("kv_lengths", c.kv_lengths),
                         .q_starts = arg("q_starts", c.q_starts),
                         .page_table = arg("page_table", c.page_table),
                         .page_size = c.page_size,
                         .max_q_len = or_default(c.max_q_len, std::max<i64>(1, c.logits.shape[0])),
                         .max_kv_len = c.max_kv_len,
                         .causal = c.causal != 0};
    WW_TRY(arg.status());
    return call;
}

LseBase lse_base(int32_t value, Arguments& arg) {
    return arg.choice("base", value, LseBase::e, "WW_LSE_BASE_TWO or WW_LSE_BASE_E");
}

Result<MergeState> convert(const ww_merge_state& c, const Device& device) {
    Arguments arg("merge_state", device);
    const MergeState call{.a = arg("a", c.a),
                          .a_lse = arg("a_lse", c.a_lse),
                          .b = arg("b", c.b),
                          .b_lse = arg("b_lse", c.b_lse),
                          .out = arg("out", c.out),
                          .lse = arg("lse", c.lse),
                          .base = lse_base(c.base, arg)};
    WW_TRY(arg.status());
    return call;
}

Result<MergeStates> convert(const ww_merge_states& c, const Device& device) {
    Arguments arg("merge_state", device);
    const MergeStates call{.states = arg("states", c.states),
                           .states_lse = arg("states_lse", c.states_lse),
                           .out = arg("out", c.out),
                           .lse = arg("lse", c.lse),
                           .base = lse_base(c.base, arg)};
    WW_TRY(arg.status());
    return call;
}

Result<RmsNorm> convert(const ww_rmsnorm& c, const Device& device) {
    Arguments arg("rmsnorm", device);
    const RmsNorm call{.x = arg("x", c.x),
                       .weight = arg("weight", c.weight),
                       .out = arg("out", c.out),
                       .residual = arg("residual", c.residual),
                       .epsilon = or_default(c.epsilon, RmsNorm{}.epsilon),
                       .weight_offset = c.weight_offset,
                       .quantized = arg.quantized(c.quantized),
                       .bias = arg("bias", c.bias)};
    WW_TRY(arg.status());
    return call;
}

Result<Rope> convert(const ww_rope& c, const Device& device) {
    Arguments arg("rope", device);
    const Rope call{.q = arg("q", c.q),
                    .k = arg("k", c.k),
                    .positions = arg("positions", c.positions),
                    .frequency = arg("frequency", c.frequency),
                    .magnitude = or_default(c.magnitude, 1),
                    .interleaved = c.interleaved != 0,
                    .q_out = arg("q_out", c.q_out),
                    .v = arg("v", c.v),
                    .sequences = arg("sequences", c.sequences),
                    .page_table = arg("page_table", c.page_table),
                    .k_pages = arg("k_pages", c.k_pages),
                    .v_pages = arg("v_pages", c.v_pages),
                    .kv_format = kv_format(c.kv_format, arg),
                    .k_scale = arg("k_scale", c.k_scale),
                    .v_scale = arg("v_scale", c.v_scale),
                    .positions_are_ready = c.positions_are_ready != 0};
    WW_TRY(arg.status());
    return call;
}

Result<GatedActivation> convert(const ww_gated_activation& c, const Device& device) {
    Arguments arg("gated_activation", device);
    const GatedActivation call{.gate = arg("gate", c.gate),
                               .up = arg("up", c.up),
                               .out = arg("out", c.out),
                               .activation = arg.activation(c.activation),
                               .quantized = arg.quantized(c.quantized),
                               .limit = or_default(c.limit, GatedActivation{}.limit),
                               .alpha = or_default(c.alpha, 1),
                               .up_offset = c.up_offset};
    WW_TRY(arg.status());
    return call;
}

Result<Embedding> convert(const ww_embedding& c, const Device& device) {
    Arguments arg("embedding", device);
    const Embedding call{.ids = arg("ids", c.ids),
                         .table = arg("table", c.table),
                         .out = arg("out", c.out),
                         .scale = or_default(c.scale, 1)};
    WW_TRY(arg.status());
    return call;
}

Result<KvAppend> convert(const ww_kv_append& c, const Device& device) {
    Arguments arg("kv_append", device);
    const KvAppend call{.k = arg("k", c.k),
                        .v = arg("v", c.v),
                        .sequences = arg("sequences", c.sequences),
                        .positions = arg("positions", c.positions),
                        .page_table = arg("page_table", c.page_table),
                        .k_pages = arg("k_pages", c.k_pages),
                        .v_pages = arg("v_pages", c.v_pages),
                        .kv_format = kv_format(c.kv_format, arg),
                        .k_scale = arg("k_scale", c.k_scale),
                        .v_scale = arg("v_scale", c.v_scale)};
    WW_TRY(arg.status());
    return call;
}

Result<LatentAppend> convert(const ww_latent_append& c, const Device& device) {
    Arguments arg("latent_append", device);
    const LatentAppend call{.x = arg("x", c.x),
                            .sequences = arg("sequences", c.sequences),
                            .positions = arg("positions", c.positions),
                            .page_table = arg("page_table", c.page_table),
                            .pages = arg("pages", c.pages),
                            .scale = arg.choice("scale", c.scale, ScaleType::power_of_two,
                                                "WW_SCALE_F32 or WW_SCALE_POWER_OF_TWO"),
                            .least_amax = c.least_amax};
    WW_TRY(arg.status());
    return call;
}

Result<Logits> convert(const ww_logits& c, const Device& device) {
    Arguments arg("logits", device);
    const Logits call{.in = arg("in", c.in),
                      .out = arg("out", c.out),
                      .softcap = c.softcap,
                      .starts = arg("starts", c.starts),
                      .tokens = arg("tokens", c.tokens),
                      .repetition = arg("repetition", c.repetition),
                      .addend = arg("addend", c.addend),
                      .bias = arg("bias", c.bias)};
    WW_TRY(arg.status());
    return call;
}

Result<Sample> convert(const ww_sample& c, const Device& device) {
    Arguments arg("sample", device);
    const Sample call{.logits = arg("logits", c.logits),
                      .temperature = arg("temperature", c.temperature),
                      .top_k = arg("top_k", c.top_k),
                      .top_p = arg("top_p", c.top_p),
                      .min_p = arg("min_p", c.min_p),
                      .seeds = arg("seeds", c.seeds),
                      .steps = arg("steps", c.steps),
                      .tokens = arg("tokens", c.tokens)};
    WW_TRY(arg.status());
    return call;
}

}  // namespace

ww_status ww_prepared_create(ww_context* context, const ww_prepare_options* options, ww_prepared** prepared) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_prepared_create", "a context"));
        WW_TRY(need(prepared, "ww_prepared_create", "where to put what is prepared"));
        auto fresh = std::make_unique<ww_prepared>(ww_prepared{context->context, {}});
        if (options != nullptr) {
            WW_ASSIGN(const ww_prepare_options known, read_struct("ww_prepared_create", options));
            fresh->prepared.batch_invariant = known.batch_invariant != 0;
        }
        *prepared = fresh.release();
        return {};
    });
}

void ww_prepared_free(ww_prepared* prepared) {
    delete prepared;
}

ww_status ww_launch(const ww_prepared* prepared, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(need(prepared, "ww_launch", "what is prepared"));
        return prepared->prepared.launch(prepared->context->device(), stream_of(stream));
    });
}

int32_t ww_prepared_num_launches(const ww_prepared* prepared) {
    return prepared == nullptr ? 0 : static_cast<int32_t>(prepared->prepared.steps.size());
}

const char* ww_prepared_row(const ww_prepared* prepared, int32_t index) {
    if (index < 0 || index >= ww_prepared_num_launches(prepared)) return nullptr;
    return prepared->prepared.steps[static_cast<std::size_t>(index)].row.c_str();
}

ww_status ww_attention_workspace_bytes(ww_context* context, const ww_attention* call, int64_t* bytes) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_attention_workspace_bytes", "a context"));
        WW_TRY(need(bytes, "ww_attention_workspace_bytes", "where to put the number"));
        WW_ASSIGN(const ww_attention known, read_struct("ww_attention_workspace_bytes", call));
        WW_ASSIGN(const Attention converted, convert(known, context->device()));
        WW_ASSIGN(*bytes, attention_workspace_bytes(*context->context, converted));
        return {};
    });
}

ww_status ww_cascade_workspace_bytes(ww_context* context, const ww_cascade* call, int64_t* bytes) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_cascade_workspace_bytes", "a context"));
        WW_TRY(need(bytes, "ww_cascade_workspace_bytes", "where to put the number"));
        WW_ASSIGN(const ww_cascade known, read_struct("ww_cascade_workspace_bytes", call));
        WW_ASSIGN(const Cascade converted, convert(known, context->device()));
        WW_ASSIGN(*bytes, cascade_workspace_bytes(*context->context, converted));
        return {};
    });
}

ww_status ww_mla_workspace_bytes(ww_context* context, const ww_mla* call, int64_t* bytes) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_mla_workspace_bytes", "a context"));
        WW_TRY(need(bytes, "ww_mla_workspace_bytes", "where to put the number"));
        WW_ASSIGN(const ww_mla known, read_struct("ww_mla_workspace_bytes", call));
        WW_ASSIGN(const Mla converted, convert(known, context->device()));
        WW_ASSIGN(*bytes, mla_workspace_bytes(*context->context, converted));
        return {};
    });
}

ww_status ww_rope_frequencies(double theta, int32_t rotary_dim, const ww_rope_scaling* scaling,
                              int64_t context_tokens, float* frequencies, float* magnitude) {
    return guarded([&]() -> Status {
        WW_TRY(need(frequencies, "ww_rope_frequencies", "where to put frequencies"));
        WW_TRY(need(magnitude, "ww_rope_frequencies", "where to put the magnitude"));
        if (rotary_dim < 2 || rotary_dim % 2 != 0 || rotary_dim > 65536 || !(theta > 0)) {
            return caller_error(
                fmt::format("ww_rope_frequencies: expected an even rotary_dim up to 65536 and a positive "
                            "theta, got {} and {}",
                            rotary_dim, theta));
        }
        RopeScaling rope;
        if (scaling != nullptr) {
            WW_ASSIGN(const ww_rope_scaling known, read_struct("ww_rope_frequencies", scaling));
            if (known.kind < WW_ROPE_NONE || known.kind > WW_ROPE_LONGROPE)
                return caller_error(
                    fmt::format("ww_rope_frequencies: kind: expected WW_ROPE_NONE to "
                                "WW_ROPE_LONGROPE, got {}",
                                known.kind));
            rope.kind = static_cast<RopeScaling::Kind>(known.kind);
            const auto set = [](double& field, double value) {
                if (value != 0) field = value;
            };
            set(rope.factor, known.factor);
            set(rope.low_freq_factor, known.low_freq_factor);
            set(rope.high_freq_factor, known.high_freq_factor);
            set(rope.original_max_position, known.original_max_position);
            set(rope.beta_fast, known.beta_fast);
            set(rope.beta_slow, known.beta_slow);
            set(rope.attention_factor, known.attention_factor);
            set(rope.mscale, known.mscale);
            set(rope.mscale_all_dim, known.mscale_all_dim);
            if (rope.kind == RopeScaling::Kind::longrope) {
                WW_TRY(need(known.short_factor, "ww_rope_frequencies: longrope", "short_factor"));
                WW_TRY(need(known.long_factor, "ww_rope_frequencies: longrope", "long_factor"));
                rope.short_factor.assign(known.short_factor, known.short_factor + rotary_dim / 2);
                rope.long_factor.assign(known.long_factor, known.long_factor + rotary_dim / 2);
            }
        }
        const RopeFrequencies result = rope_frequencies(theta, rotary_dim, rope, context_tokens);
        std::copy(result.frequency.begin(), result.frequency.end(), frequencies);
        *magnitude = result.magnitude;
        return {};
    });
}

WW_OPERATION(gemm)
WW_OPERATION(attention)
WW_OPERATION(cascade)
WW_OPERATION(merge_state)
WW_OPERATION(merge_states)
WW_OPERATION(mla)
WW_OPERATION(index_logits)
WW_OPERATION(index_topk)
WW_OPERATION(rmsnorm)
WW_OPERATION(rope)
WW_OPERATION(gated_activation)
WW_OPERATION(embedding)
WW_OPERATION(kv_append)
WW_OPERATION(latent_append)
WW_OPERATION(logits)
WW_OPERATION(sample)
