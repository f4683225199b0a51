// SPDX-License-Identifier: Apache-2.0
// Models with experts in place of the MLP: Qwen3-MoE, whose attention is Qwen3's, and Mixtral, whose is
// Mistral's. transformers' models/qwen3_moe, mixtral.
#include <nlohmann/json.hpp>

#include "engine/architectures/architecture.h"
#include "engine/architectures/fields.h"
#include "kernels/moe/route/rows.h"

namespace warpwright {
namespace {

bool every_layer(int, i64) {
    return true;
}

// How many there are, how many of them a token goes to, and how wide one is.
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

}  // namespace

void read_qwen3_moe(Fields& fields, ModelConfig& config) {
    read_common(fields, {.num_kv_heads = 4, .max_position_tokens = 32768}, config);
    config.qk_norm = true;
    config.qkv_bias = config.o_bias = fields.flag_or("attention_bias", false);
    config.rope = read_rope(fields, config);
    const std::optional<i64> window = read_window(fields, 4096);
    const bool is_windowed = fields.flag_or("use_sliding_window", false);
    (void)fields.integer_or("max_window_layers", 0, kMaxSize, 28);  // all layers, whatever it says
    read_layer_types(fields, is_windowed ? window : std::nullopt, every_layer, 0, config);

    // transformers from 5.0 on saves it under the other name.
    const char* count = fields.find("num_experts") != nullptr ? "num_experts" : "num_local_experts";
    read_experts(fields, count, 128, 8, "moe_intermediate_size", config);
    config.experts.renormalize = fields.flag_or("norm_topk_prob", false);
    // Every step-th layer has experts, but for those that are listed.
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

}  // namespace warpwright
