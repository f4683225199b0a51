// SPDX-License-Identifier: Apache-2.0
// Models with experts in place of the MLP: Qwen2-MoE and Qwen3-MoE, whose attention is Qwen2's and Qwen3's,
// Mixtral, whose is Mistral's, GLM-4.5, MiniMax-M2 and gpt-oss. transformers' models/qwen2_moe, qwen3_moe,
// mixtral, glm4_moe, minimax_m2, gpt_oss.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/architectures/architecture.h"
#include "engine/architectures/experts.h"
#include "engine/architectures/fields.h"
#include "kernels/moe/route/rows.h"

namespace warpwright {
namespace {

bool every_layer(int, i64) {
    return true;
}

// Every step-th layer has experts, but for those that are listed.
void read_qwen_layers(Fields& fields, ModelConfig& config) {
    const i64 step = fields.integer_or("decoder_sparse_step", 1, kMaxSize, 1);
    for (int layer = 0; layer < config.num_layers && fields.status().ok(); ++layer)
        config.experts.layers[static_cast<std::size_t>(layer)] = (layer + 1) % step == 0;
    const nlohmann::json* dense = fields.find("mlp_only_layers");
    if (dense == nullptr) return;
    if (!dense->is_array()) return fields.fail("'mlp_only_layers': expected a list of layers");
    for (const nlohmann::json& layer : *dense) {
        if (!layer.is_number_integer() || layer.get<i64>() < 0 || layer.get<i64>() >= config.num_layers)
            return fields.fail("'mlp_only_layers': expected numbers of layers");
        config.experts.layers[layer.get<std::size_t>()] = false;
    }
}

}  // namespace

void read_experts(Fields& fields, const char* count, i64 default_count, i64 default_choices,
                  const char* width, ModelConfig& config) {
    ExpertsConfig& experts = config.experts;
    experts.num_experts = static_cast<int>(fields.integer_or(count, 1, kMaxExperts, default_count));
    experts.top_k = static_cast<int>(fields.integer_or("num_experts_per_tok", 1, kMaxTopK, default_choices));
    experts.width = static_cast<int>(fields.integer(width, 1, kMaxSize));
    if (experts.top_k > experts.num_experts)
        fields.fail("'num_experts_per_tok': expected no more than there are experts");
    experts.layers.assign(static_cast<std::size_t>(config.num_layers), true);
}

const char* experts_count_name(const Fields& fields, const char* name) {
    return fields.find(name) != nullptr ? name : "num_local_experts";
}

void expect_text(Fields& fields, const char* key, const char* only) {
    const std::string value = fields.text_or(key, only);
    if (value != only) fields.fail(fmt::format("'{}': expected {}, got '{:.40}'", key, only, value));
}

void read_biased_experts(Fields& fields, const BiasedDefaults& defaults, ModelConfig& config) {
    ExpertsConfig& experts = config.experts;
    read_experts(fields, experts_count_name(fields, "n_routed_experts"), defaults.count, 8,
                 "moe_intermediate_size", config);
    experts.score = ExpertScore::sigmoid;
    experts.selection_bias = true;
    experts.renormalize = fields.flag_or("norm_topk_prob", true);
    experts.scale = fields.positive_or("routed_scaling_factor", defaults.scale);
    read_expert_groups(fields, defaults.num_groups, defaults.top_groups, config);
    read_shared_experts(fields, 1, defaults.dense, config);
}

void read_expert_groups(Fields& fields, i64 num_groups, i64 top_groups, ModelConfig& config) {
    ExpertsConfig& experts = config.experts;
    experts.num_groups = static_cast<int>(fields.integer_or("n_group", 1, kMaxExpertGroups, num_groups));
    experts.top_groups = static_cast<int>(fields.integer_or("topk_group", 1, kMaxExpertGroups, top_groups));
    if (experts.num_experts % experts.num_groups != 0 || experts.top_groups > experts.num_groups ||
        experts.num_experts / experts.num_groups * experts.top_groups < experts.top_k) {
        fields.fail(
            fmt::format("'topk_group': {} of {} groups of {} experts do not hold the {} that a token goes to",
                        experts.top_groups, experts.num_groups, experts.num_experts, experts.top_k));
    }
}

void read_shared_experts(Fields& fields, i64 default_shared, i64 default_dense, ModelConfig& config) {
    ExpertsConfig& experts = config.experts;
    const i64 shared = fields.integer_or("n_shared_experts", 0, kMaxExperts, default_shared);
    experts.shared_width = static_cast<int>(std::min<i64>(shared * experts.width, kMaxSize));
    const i64 dense = fields.integer_or("first_k_dense_replace", 0, kMaxSize, default_dense);
    for (int layer = 0; layer < std::min<i64>(dense, config.num_layers); ++layer)
        experts.layers[static_cast<std::size_t>(layer)] = false;
}

void read_qwen2_moe(Fields& fields, ModelConfig& config) {
    read_common(fields, {.num_kv_heads = 16, .max_position_tokens = 32768}, config);
    config.qkv_bias = fields.flag_or("qkv_bias", true);
    config.rope = read_rope(fields, config);
    for (const char* key : {"sliding_window", "max_window_layers"}) (void)fields.find(key);
    if (fields.flag_or("use_sliding_window", false))
        fields.fail("'use_sliding_window': expected false, got true");
    read_layer_types(fields, std::nullopt, every_layer, 0, config);
    read_experts(fields, experts_count_name(fields, "num_experts"), 60, 4, "moe_intermediate_size", config);
    config.experts.renormalize = fields.flag_or("norm_topk_prob", false);
    config.experts.shared_width =
        static_cast<int>(fields.integer_or("shared_expert_intermediate_size", 1, kMaxSize, 5632));
    config.experts.shared_gate = true;
    config.layout.shared_experts = "shared_expert";
    read_qwen_layers(fields, config);
}

void read_qwen3_moe(Fields& fields, ModelConfig& config) {
    read_common(fields, {.num_kv_heads = 4, .max_position_tokens = 32768}, config);
    config.qk_norm = true;
    config.qkv_bias = config.o_bias = fields.flag_or("attention_bias", false);
    config.rope = read_rope(fields, config);
    const std::optional<i64> window = read_window(fields, 4096);
    const bool is_windowed = fields.flag_or("use_sliding_window", false);
    (void)fields.integer_or("max_window_layers", 0, kMaxSize, 28);  // all layers, whatever it says
    read_layer_types(fields, is_windowed ? window : std::nullopt, every_layer, 0, config);

    read_experts(fields, experts_count_name(fields, "num_experts"), 128, 8, "moe_intermediate_size", config);
    config.experts.renormalize = fields.flag_or("norm_topk_prob", false);
    read_qwen_layers(fields, config);
}

void read_mixtral(Fields& fields, ModelConfig& config) {
    read_common(fields,
                {.num_kv_heads = 8,
                 .max_position_tokens = 131072,
                 .rms_norm_eps = 1e-5,
                 .bos_token = 1,
                 .eos_tokens = {2}},
                config);
    config.rope = read_rope(fields, config, {.theta = 1e6});
    read_layer_types(fields, read_window(fields, std::nullopt), every_layer, 0, config);
    read_experts(fields, "num_local_experts", 8, 2, "intermediate_size", config);
    config.experts.renormalize = true;
    config.layout.experts = "block_sparse_moe";
    config.layout.expert_gate = "w1";
    config.layout.expert_up = "w3";
    config.layout.expert_down = "w2";
}

void read_glm4_moe(Fields& fields, ModelConfig& config) {
    read_common(fields, {.num_kv_heads = 8, .max_position_tokens = 131072, .rms_norm_eps = 1e-5}, config);
    config.qkv_bias = fields.flag_or("attention_bias", false);
    config.qk_norm = fields.flag_or("use_qk_norm", false);
    config.rope = read_rope(fields, config, {.partial_rotary_factor = 0.5});
    config.draft_layers = static_cast<int>(fields.integer_or("num_nextn_predict_layers", 0, kMaxSize, 0));

    read_biased_experts(fields, {.count = 128, .num_groups = 1, .top_groups = 1, .scale = 1, .dense = 1},
                        config);
}

// Its norms of q and k are of all heads at once.
void read_minimax_m2(Fields& fields, ModelConfig& config) {
    read_common(fields,
                {.num_kv_heads = 8,
                 .head_dim = 128,
                 .max_position_tokens = 196608,
                 .bos_token = 200034,
                 .eos_tokens = {200020}},
                config);
    config.qk_norm = config.qk_norm_of_all = fields.flag_or("use_qk_norm", true);
    expect_text(fields, "qk_norm_type", "per_layer");
    const i64 rotary_dim = fields.integer_or("rotary_dim", 2, 4096, config.head_dim);
    config.rope =
        read_rope(fields, config,
                  {.theta = 5e6, .partial_rotary_factor = static_cast<double>(rotary_dim) / config.head_dim});
    if (fields.find("rotary_dim") != nullptr && rotary_dim != config.rope.rotary_dim) {
        fields.fail(fmt::format("'rotary_dim': {} disagrees with partial_rotary_factor, which makes it {}",
                                rotary_dim, config.rope.rotary_dim));
    }
    if (const nlohmann::json* types = fields.find("attn_type_list"); types != nullptr) {
        if (!types->is_array() ||
            std::any_of(types->begin(), types->end(), [](const auto& t) { return t != 1; }))
            fields.fail("'attn_type_list': expected 1, full attention, for every layer");
    }
    if (fields.integer_or("shared_intermediate_size", 0, kMaxSize, 0) != 0)
        fields.fail("'shared_intermediate_size': expected 0");
    for (const char* key : {"use_mtp", "num_mtp_modules", "mtp_transformer_layers", "shared_moe_mode"})
        (void)fields.find(key);  // layers that draft tokens, beside the model; and of what there is none

    read_experts(fields, experts_count_name(fields, "num_experts"), 256, 8, "intermediate_size", config);
    expect_text(fields, "scoring_func", "sigmoid");
    config.experts.score = ExpertScore::sigmoid;
    config.experts.selection_bias = fields.flag_or("use_routing_bias", true);
    config.experts.renormalize = true;
    config.layout.experts = "block_sparse_moe";
    config.layout.selection_bias = "e_score_correction_bias";
    config.layout.expert_gate = "w1";
    config.layout.expert_up = "w3";
    config.layout.expert_down = "w2";
}

void read_gpt_oss(Fields& fields, ModelConfig& config) {
    read_common(fields,
                {.num_kv_heads = 8, .head_dim = 64, .max_position_tokens = 131072, .rms_norm_eps = 1e-5},
                config);
    config.qkv_bias = config.o_bias = fields.flag_or("attention_bias", true);
    config.sinks = true;
    if (fields.find("rope_scaling") == nullptr && fields.find("rope_parameters") == nullptr)
        fields.fail("'rope_scaling' is missing; expected an object");
    config.rope = read_rope(fields, config, {.theta = 150000});
    read_layer_types(
        fields, read_window(fields, 128), [](int layer, i64) { return layer % 2 == 0; }, 0, config);
    (void)fields.find("initial_context_length");  // says rope_scaling's again

    read_experts(fields, experts_count_name(fields, "num_experts"), 128, 4, "intermediate_size", config);
    if (fields.integer_or("experts_per_token", 1, kMaxTopK, config.experts.top_k) != config.experts.top_k)
        fields.fail("'experts_per_token': expected the same as 'num_experts_per_tok'");
    config.experts.renormalize = true;
    config.experts.router_bias = config.experts.bias = true;
    config.experts.limit = fields.positive_or("swiglu_limit", 7);
    config.experts.alpha = fields.positive_or("swiglu_alpha", 1.702);
    config.experts.up_offset = 1;
    config.layout.router = "router";
    config.layout.stacked_experts = true;
}

}  // namespace warpwright
