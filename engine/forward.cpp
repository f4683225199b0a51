// SPDX-License-Identifier: Apache-2.0
#include "engine/forward.h"

#include <algorithm>
#include <numeric>

#include "engine/attention_parts.h"
#include "engine/latent_forward.h"
#include "engine/tensor_views.h"
#include "warpwright/ops/embedding.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/logits.h"
#include "warpwright/ops/moe_combine.h"
#include "warpwright/ops/moe_experts.h"
#include "warpwright/ops/moe_route.h"
#include "warpwright/ops/quantize.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/ops/rmsnorm.h"
#include "warpwright/ops/rope.h"
#include "warpwright/ops/sample.h"
#include "warpwright/ops/scaled_gemm.h"

namespace warpwright {
namespace {

i64 qkv_width(const ModelConfig& c) {
    if (c.is_latent()) return latent_qkv_width(c);
    return i64{c.num_heads + 2 * c.num_kv_heads} * c.head_dim;
}
i64 attended_width(const ModelConfig& c) {
    return c.attended_width();
}

i64 widest_mlp(const ModelConfig& c) {
    int most = 0;
    for (int layer = 0; layer < c.num_layers; ++layer) most = std::max(most, c.mlp_width(layer));
    return most;
}

// Of the shared experts' gate: a logit, a choice of one expert with its weight, and the number of the row.
constexpr i64 kSharedGateBytes = 16;

i64 experts_workspace_bytes(const ModelConfig& c, const ModelForms& forms, i64 tokens) {
    i64 most = 0;
    for (int layer = 0; layer < c.num_layers; ++layer) {
        if (!c.has_experts(layer)) continue;
        const bool quantized = !forms.layers[static_cast<std::size_t>(layer)].experts_gate.empty();
        most = std::max(
            most, moe_experts_workspace_bytes(tokens, c.experts.top_k, c.experts.num_experts, c.hidden_size,
                                              c.experts.width, quantized, c.experts.is_limited()));
    }
    return most;
}

// Rows of every expert, one below the other, as [experts, rows, columns].
Tensor by_expert(const Tensor& stacked, i64 experts) {
    return Tensor::dense(stacked.data, stacked.dtype,
                         {experts, stacked.shape[0] / experts, stacked.shape[1]});
}

// [tokens, top_k] of [layers, tokens, top_k].
Tensor of_layer(const Tensor& all, i64 layer) {
    return Tensor::dense(static_cast<i32*>(all.data) + layer * all.stride[0], all.dtype,
                         {all.shape[1], all.shape[2]});
}

// Columns of the widest input that a product with an order has.
i64 ordered_width(const ModelConfig& c, const ModelForms& forms) {
    const auto has_order = [](const ProductForm& product) {
        return std::any_of(product.begin(), product.end(),
                           [](const PartForm& part) { return part.form.order; });
    };
    i64 width = has_order(forms.lm_head) ? c.hidden_size : 0;
    for (const LayerForms& layer : forms.layers) {
        if (has_order(layer.qkv) || has_order(layer.gate_up)) width = std::max<i64>(width, c.hidden_size);
        if (has_order(layer.q_b)) width = std::max<i64>(width, c.latent.q_rank);
        if (has_order(layer.o)) width = std::max(width, attended_width(c));
        if (has_order(layer.down)) width = std::max(width, widest_mlp(c));
    }
    return width;
}

}  // namespace

i64 activation_bytes(const ModelConfig& c, const ModelForms& forms, const ForwardShape& shape) {
    const i64 per_token =
        3 * c.hidden_size + qkv_width(c) + attended_width(c) + 2 * widest_mlp(c) + ordered_width(c, forms);
    const ExpertsConfig& experts = c.experts;
    const i64 of_experts =
        experts.num_experts == 0
            ? 0
            : experts_workspace_bytes(c, forms, shape.tokens) +
                  shape.tokens * 4 * (experts.num_experts + i64{experts.top_k} * (c.num_layers + 1)) +
                  (experts.shared_gate ? shape.tokens * kSharedGateBytes : 0);
    const CodedInputBytes coded = coded_input_bytes(c, forms);
    return of_experts + latent_bytes(c, forms.kv_format, shape.tokens) +
           index_bytes(c, shape.tokens, shape.max_kv_len) +
           shape.tokens * (per_token * dtype_bytes(c.dtype) + coded.codes + coded.scales) +
           shape.sequences * (i64{c.vocab_size} * 4 + c.hidden_size * dtype_bytes(c.dtype) + 4);
}

Result<Forward::Rotation> Forward::Rotation::create(Context& context, const RopeConfig& config,
                                                    i64 context_tokens) {
    const RopeFrequencies values =
        rope_frequencies(config.theta, config.rotary_dim, config.scaling, context_tokens);
    Rotation rotation;
    rotation.magnitude = values.magnitude;
    const std::size_t bytes = values.frequency.size() * sizeof(float);
    WW_ASSIGN(rotation.frequency, Buffer::allocate(context.shared_device(), bytes));
    WW_TRY(context.device().copy_in(rotation.frequency.data(), values.frequency.data(), bytes, {}));
    WW_TRY(context.device().synchronize({}));
    return rotation;
}

Result<Forward> Forward::create(Context& context, const ModelConfig& config, const Weights& weights,
                                const PagePool& pages, const StepInputs& inputs,
                                const ForwardShape& largest) {
    Forward forward;
    forward.context_ = &context;
    forward.config_ = &config;
    forward.weights_ = &weights;
    forward.pages_ = &pages;
    forward.inputs_ = &inputs;
    const auto allocate = [&](Buffer& buffer, i64 rows, i64 width, i64 element_bytes) -> Status {
        WW_ASSIGN(buffer, Buffer::allocate(context.shared_device(),
                                           static_cast<std::size_t>(rows * width * element_bytes)));
        return {};
    };
    const i64 tokens = forward.largest_tokens_ = largest.tokens;
    const i64 element = dtype_bytes(config.dtype);
    WW_TRY(allocate(forward.residual_, tokens, config.hidden_size, element));
    WW_TRY(allocate(forward.normed_, tokens, config.hidden_size, element));
    WW_TRY(allocate(forward.delta_, tokens, config.hidden_size, element));
    WW_TRY(allocate(forward.qkv_, tokens, qkv_width(config), element));
    WW_TRY(allocate(forward.attended_, tokens, attended_width(config), element));
    WW_TRY(allocate(forward.gate_up_, tokens, 2 * std::max<i64>(1, widest_mlp(config)), element));
    if (config.is_latent()) WW_TRY(forward.create_latent(largest));
    const CodedInputBytes coded = coded_input_bytes(config, weights.forms);
    if (coded.codes > 0) WW_TRY(allocate(forward.codes_, tokens, coded.codes, 1));
    if (coded.scales > 0) WW_TRY(allocate(forward.code_scales_, tokens, coded.scales, 1));
    if (const i64 width = ordered_width(config, weights.forms); width > 0)
        WW_TRY(allocate(forward.ordered_, tokens, width, element));
    WW_TRY(allocate(forward.last_, largest.sequences, config.hidden_size, element));
    WW_TRY(allocate(forward.logits_, largest.sequences, config.vocab_size, sizeof(float)));
    WW_TRY(allocate(forward.tokens_, largest.sequences, 1, sizeof(i32)));

    if (const ExpertsConfig& experts = config.experts; experts.num_experts > 0) {
        WW_TRY(allocate(forward.router_logits_, tokens, experts.num_experts, sizeof(float)));
        WW_TRY(allocate(forward.expert_ids_, config.num_layers * tokens, experts.top_k, sizeof(i32)));
        WW_TRY(allocate(forward.expert_weights_, tokens, experts.top_k, sizeof(float)));
        Buffer& space = forward.experts_workspace_;
        WW_TRY(allocate(space, experts_workspace_bytes(config, weights.forms, tokens), 1, 1));
        WW_TRY(context.device().fill(space.data(), 0, space.bytes(), {}));  // see moe_experts.h
        if (experts.shared_gate) {
            std::vector<i32> rows(static_cast<std::size_t>(tokens));
            std::iota(rows.begin(), rows.end(), 0);
            WW_TRY(allocate(forward.shared_rows_, tokens, 1, sizeof(i32)));
            WW_TRY(allocate(forward.shared_logits_, tokens, 3, sizeof(float)));
            const std::size_t bytes = rows.size() * sizeof(i32);
            WW_TRY(context.device().copy_in(forward.shared_rows_.data(), rows.data(), bytes, {}));
            WW_TRY(context.device().synchronize({}));
        }
        WW_TRY(context.device().synchronize({}));
    }

    WW_ASSIGN(forward.rope_, Rotation::create(context, config.rope, largest.max_kv_len));
    if (config.windowed_rope) {
        WW_ASSIGN(forward.windowed_rope_,
                  Rotation::create(context, *config.windowed_rope, largest.max_kv_len));
    }

    // Split-KV needs most where there are few queries: look at the largest pass and at every decode batch.
    i64 workspace_bytes = 0;
    std::vector<ForwardShape> shapes{largest};
    std::vector<int> layers;  // one of each window
    for (int layer = 0; layer < config.num_layers; ++layer) {
        const auto first = std::find(config.windows.begin(), config.windows.end(),
                                     config.windows[static_cast<std::size_t>(layer)]);
        if (first - config.windows.begin() == layer) layers.push_back(layer);
    }
    for (i64 batch = 1; batch <= largest.sequences; ++batch)
        shapes.push_back({batch, batch, 1, largest.max_kv_len});
    for (const ForwardShape& shape : shapes) {
        for (const int layer : layers) {
            i64 bytes = 0;
            if (config.is_latent()) {
                WW_ASSIGN(bytes, mla_workspace_bytes(context, forward.mla_call(shape, layer)));
                if (shape.max_q_len > 1 && expanded_rows(config, tokens) > 0) {
                    WW_ASSIGN(const i64 expanded,
                              attention_workspace_bytes(context, forward.expanded_call(shape)));
                    bytes = std::max(bytes, expanded);
                }
            } else {
                WW_ASSIGN(bytes, attention_workspace_bytes(context, forward.attention_call(shape, layer)));
            }
            workspace_bytes = std::max(workspace_bytes, bytes);
        }
    }
    WW_TRY(allocate(forward.workspace_, std::max<i64>(workspace_bytes, 1), 1, 1));
    return forward;
}

Tensor Forward::rows(const Buffer& buffer, i64 count, i64 width) const {
    return Tensor::dense(buffer.data(), config_->dtype, {count, width});
}

Tensor Forward::logits(i64 sequences) const {
    return Tensor::dense(logits_.data(), DType::f32, {sequences, config_->vocab_size});
}

Tensor Forward::tokens(i64 sequences) const {
    return Tensor::dense(tokens_.data(), DType::i32, {sequences});
}

Tensor Forward::residual(i64 tokens) const {
    return rows(residual_, tokens, config_->hidden_size);
}

Tensor Forward::expert_ids(i64 tokens) const {
    return Tensor::dense(expert_ids_.data(), DType::i32,
                         {config_->num_layers, tokens, config_->experts.top_k});
}

Attention Forward::attention_call(const ForwardShape& shape, int layer) const {
    const ModelConfig& c = *config_;
    const Tensor qkv = rows(qkv_, shape.tokens, qkv_width(c));
    Attention call;
    call.q = heads_of(qkv, 0, c.num_heads, c.head_dim);
    call.out = heads_of(rows(attended_, shape.tokens, attended_width(c)), 0, c.num_heads, c.head_dim);
    call.k_pages = pages_->k_pages(layer);
    call.v_pages = pages_->v_pages(layer);
    call.kv_format = pages_->format();
    call.k_scale = weights_->layers[static_cast<std::size_t>(layer)].k_scale;
    call.v_scale = weights_->layers[static_cast<std::size_t>(layer)].v_scale;
    call.page_table = inputs_->tensor(StepInputs::page_table, shape.sequences);
    call.kv_lengths = inputs_->tensor(StepInputs::kv_lengths, shape.sequences);
    call.q_starts = inputs_->tensor(StepInputs::q_starts, shape.sequences + 1);
    call.max_q_len = shape.max_q_len;
    call.max_kv_len = shape.max_kv_len;
    call.scale = static_cast<float>(c.attention_scale);
    call.window_left = c.windows[static_cast<std::size_t>(layer)] - 1;  // -1, all, of a layer without one
    call.softcap = static_cast<float>(c.attention_softcap);
    if (c.sinks) call.sinks = weights_->layers[static_cast<std::size_t>(layer)].sinks;
    call.past_is_ready = true;  // what comes before appends the queries' own tokens only
    call.workspace = Tensor::dense(workspace_.data(), DType::u8, {static_cast<i64>(workspace_.bytes())});
    return call;
}

QuantizedOutput Forward::codes_of(const WeightPart& part, i64 rows, i64 columns) const {
    QuantizedOutput output{.format = input_format(part.form),
                           .codes = Tensor::dense(codes_.data(), DType::u8, {rows, columns}),
                           .scales = part.coded.input_scale,
                           .given_scale = part.form.given_scale};
    if (!output.given_scale) {
        const i64 groups = input_scale_bytes(part.form, columns) / dtype_bytes(part.form.scale);
        output.scales = Tensor::dense(code_scales_.data(), part.form.scale, {rows, groups});
    }
    return output;
}

// None where the weight multiplies numbers alone.
QuantizedOutput Forward::made_codes(const ProductWeight& weight, const Tensor& inputs) const {
    for (const WeightPart& part : weight) {
        if (part.form.coded) return codes_of(part, inputs.shape[0], inputs.shape[1]);
    }
    return {};
}

Status Forward::prepare_norm(const Tensor& x, const Tensor& weight, const Tensor& out, const Tensor& residual,
                             const ProductWeight* next, Prepared& prepared, double epsilon) {
    RmsNorm norm{.x = x,
                 .weight = weight,
                 .out = out,
                 .residual = residual,
                 .epsilon = static_cast<float>(epsilon > 0 ? epsilon : config_->rms_norm_eps),
                 .weight_offset = static_cast<float>(config_->norm_weight_offset)};
    if (next != nullptr) {
        norm.quantized = made_codes(*next, out);
        if (!made_inputs(*next).numbers) norm.out = {};
    }
    return warpwright::prepare(*context_, norm, prepared);
}

Status Forward::prepare_product(const ProductWeight& weight, const Tensor& a, bool are_made,
                                const Tensor& bias, const Tensor& d, Prepared& prepared) {
    if (products_ != nullptr) products_->push_back({prepared.steps.size(), a});
    const WeightForm* codes = are_made ? made_inputs(weight).codes : nullptr;  // that are there
    for (const WeightPart& part : weight) {
        const Tensor out = columns_of(d, part.first_row, part.rows);
        const Tensor added = bias ? columns_of(bias, part.first_row, part.rows) : Tensor{};
        if (part.form.coded) {
            const QuantizedOutput input = codes_of(part, a.shape[0], a.shape[1]);
            if (codes == nullptr || !share_codes(*codes, part.form)) {
                const Quantize quantize{.x = a,
                                        .format = input.format,
                                        .codes = input.codes,
                                        .scales = input.scales,
                                        .given_scale = input.given_scale};
                WW_TRY(warpwright::prepare(*context_, quantize, prepared));
                codes = &part.form;
            }
            const ScaledGemm gemm{.a = input.codes,
                                  .b = part.coded.codes,
                                  .a_scales = input.scales,
                                  .b_scales = part.coded.scales,
                                  .a_format = input.format,
                                  .b_format = weight_format(part.form),
                                  .d = out,
                                  .bias = added,
                                  .b_is_constant = true};
            WW_TRY(warpwright::prepare(*context_, gemm, prepared));
        } else if (part.dense) {
            const Gemm gemm{.a = a, .b = part.dense, .d = out, .bias = added, .b_is_constant = true};
            WW_TRY(warpwright::prepare(*context_, gemm, prepared));
        } else {
            QuantizedGemm gemm{.a = a, .b = part.quantized, .d = out, .bias = added, .b_is_constant = true};
            if (gemm.b.order) {
                gemm.workspace =
                    Tensor::dense(ordered_.data(), DType::u8, {static_cast<i64>(ordered_.bytes())});
            }
            WW_TRY(warpwright::prepare(*context_, gemm, prepared));
        }
    }
    return {};
}

// From normed to delta.
Status Forward::prepare_attention(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    if (c.is_latent()) return prepare_latent(layer, shape, prepared);
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    Context& context = *context_;
    const i64 tokens = shape.tokens, heads = c.num_heads, kv_heads = c.num_kv_heads, head_dim = c.head_dim;
    const Tensor normed = rows(normed_, tokens, c.hidden_size);
    const Tensor delta = rows(delta_, tokens, c.hidden_size);
    const Tensor qkv = rows(qkv_, tokens, qkv_width(c));
    const Tensor attended = rows(attended_, tokens, attended_width(c));
    const Tensor q = heads_of(qkv, 0, heads, head_dim);
    const Tensor k = heads_of(qkv, heads * head_dim, kv_heads, head_dim);
    const Tensor v = heads_of(qkv, (heads + kv_heads) * head_dim, kv_heads, head_dim);
    const Tensor positions = inputs_->tensor(StepInputs::positions, tokens);

    WW_TRY(prepare_product(w.qkv, normed, true, w.qkv_bias, qkv, prepared));
    if (c.qk_norm) {
        const Tensor of_q = c.qk_norm_of_all ? heads_of(qkv, 0, 1, heads * head_dim) : q;
        const Tensor of_k = c.qk_norm_of_all ? heads_of(qkv, heads * head_dim, 1, kv_heads * head_dim) : k;
        WW_TRY(prepare_norm(of_q, w.q_norm, of_q, {}, nullptr, prepared));
        WW_TRY(prepare_norm(of_k, w.k_norm, of_k, {}, nullptr, prepared));
    }
    const RopeConfig& rope_config = c.rope_of(layer);
    const Rotation& rotation = &rope_config == &c.rope ? rope_ : windowed_rope_;
    const Rope rope{
        .q = q,
        .k = k,
        .positions = positions,
        .frequency = Tensor::dense(rotation.frequency.data(), DType::f32, {rope_config.rotary_dim / 2}),
        .magnitude = rotation.magnitude,
        .interleaved = rope_config.interleaved,
        .v = v,
        .sequences = inputs_->tensor(StepInputs::sequence_of_token, tokens),
        .page_table = inputs_->tensor(StepInputs::page_table, shape.sequences),
        .k_pages = pages_->k_pages(layer),
        .v_pages = pages_->v_pages(layer),
        .kv_format = pages_->format(),
        .k_scale = w.k_scale,
        .v_scale = w.v_scale,
        .positions_are_ready = true};
    WW_TRY(prepare(context, rope, prepared));
    for (const Attention& attention : by_kind(attention_call(shape, layer), shape, prepared.batch_invariant))
        WW_TRY(prepare(context, attention, prepared));
    WW_TRY(prepare_product(w.o, attended, false, w.o_bias, delta, prepared));
    return c.post_norms ? prepare_norm(delta, w.attention_post_norm, delta, {}, nullptr, prepared) : Status{};
}

// From normed to delta; of a layer with experts that of the shared ones.
Status Forward::prepare_mlp(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const i64 width = c.mlp_width(layer);
    const bool is_shared = c.has_experts(layer);
    Context& context = *context_;
    const Tensor normed = rows(normed_, shape.tokens, c.hidden_size);
    const Tensor delta = rows(delta_, shape.tokens, c.hidden_size);
    const Tensor gate_up = rows(gate_up_, shape.tokens, 2 * width);
    const Tensor gate = columns_of(gate_up, 0, width);
    const Tensor up = columns_of(gate_up, width, width);
    // A router multiplies numbers, so that the norm leaves them.
    WW_TRY(prepare_product(w.gate_up, normed, !is_shared, w.gate_up_bias, gate_up, prepared));
    const GatedActivation activation{.gate = gate,
                                     .up = up,
                                     .out = made_inputs(w.down).numbers ? gate : Tensor{},
                                     .activation = c.activation,
                                     .quantized = made_codes(w.down, gate)};
    WW_TRY(prepare(context, activation, prepared));
    WW_TRY(prepare_product(w.down, gate, true, w.down_bias, delta, prepared));
    if (is_shared) return c.experts.shared_gate ? prepare_shared_gate(layer, shape, prepared) : Status{};
    return c.post_norms ? prepare_norm(delta, w.mlp_post_norm, delta, {}, nullptr, prepared) : Status{};
}

// Multiplies delta by a sigmoid of normed's product with a row: a combination of one row, with the weight of
// an expert that there is one of.
Status Forward::prepare_shared_gate(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const i64 tokens = shape.tokens;
    auto* const space = shared_logits_.as<float>();
    const Tensor delta = rows(delta_, tokens, config_->hidden_size);
    const Tensor logits = Tensor::dense(space, DType::f32, {tokens, 1});
    const Gemm product{.a = rows(normed_, tokens, config_->hidden_size),
                       .b = w.shared_gate,
                       .d = logits,
                       .b_is_constant = true};
    WW_TRY(prepare(*context_, product, prepared));
    const MoeRoute sigmoid{.logits = logits,
                           .ids = Tensor::dense(space + tokens, DType::i32, {tokens, 1}),
                           .weights = Tensor::dense(space + 2 * tokens, DType::f32, {tokens, 1}),
                           .score = ExpertScore::sigmoid};
    WW_TRY(prepare(*context_, sigmoid, prepared));
    const MoeCombine scaled{.rows = delta,
                            .row_of_slot = Tensor::dense(shared_rows_.data(), DType::i32, {tokens, 1}),
                            .weights = sigmoid.weights,
                            .out = delta,
                            .base = {}};
    return prepare(*context_, scaled, prepared);
}

// From normed to delta, to which shared experts' results are added.
Status Forward::prepare_experts(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const i64 tokens = shape.tokens, num = c.experts.num_experts, width = c.experts.width;
    const Tensor normed = rows(normed_, tokens, c.hidden_size), delta = rows(delta_, tokens, c.hidden_size);
    const Tensor logits = Tensor::dense(router_logits_.data(), DType::f32, {tokens, num});
    const Gemm router{.a = normed,
                      .b = w.router,
                      .d = logits,
                      .bias = c.experts.router_bias ? w.router_bias : Tensor{},
                      .b_is_constant = true};
    WW_TRY(prepare(*context_, router, prepared));
    const MoeRoute route{
        .logits = logits,
        .ids = of_layer(expert_ids(tokens), layer),
        .weights = Tensor::dense(expert_weights_.data(), DType::f32, {tokens, c.experts.top_k}),
        .score = c.experts.score,
        .renormalize = c.experts.renormalize,
        .scale = static_cast<float>(c.experts.scale),
        .bias = c.experts.selection_bias ? w.selection_bias : Tensor{},
        .num_groups = c.experts.num_groups,
        .top_groups = c.experts.top_groups,
        .by_pairs = c.experts.by_pairs};
    WW_TRY(prepare(*context_, route, prepared));
    MoeExperts experts{.x = normed,
                       .ids = route.ids,
                       .weights = route.weights,
                       .out = delta,
                       .base = c.experts.shared_width > 0 ? delta : Tensor{},
                       .activation = c.activation,
                       .limit = static_cast<float>(c.experts.limit),
                       .alpha = static_cast<float>(c.experts.alpha),
                       .up_offset = static_cast<float>(c.experts.up_offset),
                       .weights_are_constant = true,
                       .workspace = Tensor::dense(experts_workspace_.data(), DType::u8,
                                                  {static_cast<i64>(experts_workspace_.bytes())})};
    if (w.experts_gate.empty()) {
        Tensor gate = by_expert(w.expert_gate_up, num), up = gate;
        gate.shape[1] = up.shape[1] = width;
        up.data = static_cast<std::byte*>(gate.data) + width * gate.stride[1] * dtype_bytes(gate.dtype);
        experts.gate = gate, experts.up = up;
        experts.down = by_expert(w.expert_down, num);
    } else {
        experts.quantized_gate = w.experts_gate[0].quantized;
        experts.quantized_up = w.experts_up[0].quantized;
        experts.quantized_down = w.experts_down[0].quantized;
    }
    if (c.experts.bias) {
        Tensor gate = Tensor::dense(w.expert_gate_up_bias.data, c.dtype, {num, 2 * width}), up = gate;
        gate.shape[1] = up.shape[1] = width;
        up.data = static_cast<std::byte*>(gate.data) + width * dtype_bytes(c.dtype);
        experts.gate_bias = gate, experts.up_bias = up;
        experts.down_bias = Tensor::dense(w.expert_down_bias.data, c.dtype, {num, c.hidden_size});
    }
    WW_TRY(prepare(*context_, experts, prepared));
    return c.post_norms ? prepare_norm(delta, w.mlp_post_norm, delta, {}, nullptr, prepared) : Status{};
}

Status Forward::prepare_layer(int layer, const ForwardShape& shape, Prepared& prepared) {
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const Tensor residual = rows(residual_, shape.tokens, config_->hidden_size);
    const Tensor normed = rows(normed_, shape.tokens, config_->hidden_size);
    const Tensor delta = rows(delta_, shape.tokens, config_->hidden_size);
    // The first norm is of the embeddings themselves; the others add what came before them. An indexer's
    // weights are made of numbers.
    const ProductWeight* next = config_->has_indexer() ? nullptr : &w.qkv;
    WW_TRY(layer == 0 ? prepare_norm(residual, w.attention_norm, normed, {}, next, prepared)
                      : prepare_norm(delta, w.attention_norm, normed, residual, next, prepared));
    WW_TRY(prepare_attention(layer, shape, prepared));
    const bool has_experts = config_->has_experts(layer);
    WW_TRY(prepare_norm(delta, w.mlp_norm, normed, residual, has_experts ? nullptr : &w.gate_up, prepared));
    if (!has_experts || config_->experts.shared_width > 0) WW_TRY(prepare_mlp(layer, shape, prepared));
    return has_experts ? prepare_experts(layer, shape, prepared) : Status{};
}

Result<Tensor> Forward::adjusted_logits(const ForwardShape& shape, const ForwardMode& mode,
                                        Prepared& prepared) {
    const Tensor raw = logits(shape.sequences);
    if (mode.adjustments == nullptr) return raw;
    Tensor adjusted = raw;
    if (mode.keeps_logits) {
        if (adjusted_.data() == nullptr) {
            WW_ASSIGN(adjusted_, Buffer::allocate(context_->shared_device(), logits_.bytes()));
        }
        adjusted.data = adjusted_.data();
    }
    WW_TRY(warpwright::prepare(*context_, mode.adjustments->call(raw, adjusted), prepared));
    return adjusted;
}

Result<Prepared> Forward::prepare(ForwardShape shape, const ForwardMode& mode) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    Context& context = *context_;
    WW_ASSIGN(shape.expands,
              expands_latents(context.target(), c, weights_->forms, shape, pages_->page_size_tokens(),
                              largest_tokens_, mode.batch_invariant));
    Prepared prepared;
    prepared.batch_invariant = mode.batch_invariant;
    products_ = mode.products;
    const Tensor residual = rows(residual_, shape.tokens, c.hidden_size);
    const Embedding embed{.ids = inputs_->tensor(StepInputs::token_ids, shape.tokens),
                          .table = weights_->embedding,
                          .out = residual,
                          .scale = static_cast<float>(c.embedding_scale)};
    WW_TRY(prepare(context, embed, prepared));
    for (int layer = 0; layer < c.num_layers; ++layer) WW_TRY(prepare_layer(layer, shape, prepared));

    const Tensor normed = rows(normed_, shape.tokens, c.hidden_size);
    const Tensor last = rows(last_, shape.sequences, c.hidden_size);
    const Tensor delta = rows(delta_, shape.tokens, c.hidden_size);
    WW_TRY(prepare_norm(delta, weights_->final_norm, normed, residual, nullptr, prepared));
    const Embedding gather{inputs_->tensor(StepInputs::last_rows, shape.sequences), normed, last};
    WW_TRY(prepare(context, gather, prepared));
    WW_TRY(prepare_product(weights_->lm_head, last, false, {}, logits(shape.sequences), prepared));
    if (c.logits_softcap != 0) {
        const Tensor raw = logits(shape.sequences);
        WW_TRY(prepare(context,
                       Logits{.in = raw, .out = raw, .softcap = static_cast<float>(c.logits_softcap)},
                       prepared));
    }
    WW_ASSIGN(const Tensor drawn_from, adjusted_logits(shape, mode, prepared));
    const Sample sample{.logits = drawn_from,
                        .temperature = inputs_->tensor(StepInputs::temperature, shape.sequences),
                        .top_k = inputs_->tensor(StepInputs::top_k, shape.sequences),
                        .top_p = inputs_->tensor(StepInputs::top_p, shape.sequences),
                        .min_p = inputs_->tensor(StepInputs::min_p, shape.sequences),
                        .seeds = inputs_->tensor(StepInputs::seeds, shape.sequences),
                        .steps = inputs_->tensor(StepInputs::steps, shape.sequences),
                        .tokens = tokens(shape.sequences)};
    WW_TRY(prepare(context, sample, prepared));
    return prepared;
}

}  // namespace warpwright
