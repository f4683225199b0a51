// SPDX-License-Identifier: Apache-2.0
// DeepSeek-V2 and V3, and Kimi-K2, which is a V3: latent attention, and experts in place of the MLP of all
// layers but the first ones; V3.2, which has an indexer beside its attention. transformers'
// models/deepseek_v2, deepseek_v3, deepseek_v32.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/architectures/architecture.h"
#include "engine/architectures/experts.h"
#include "engine/architectures/fields.h"

namespace warpwright {
namespace {

// Pairs of neighbours turn; where the context is extended, scores are scaled for it.
void read_latent_attention(Fields& fields, ModelConfig& config) {
    if (fields.flag_or("attention_bias", false)) fields.fail("'attention_bias': expected false, got true");
    LatentConfig& latent = config.latent;
    const auto size = [&](const char* key, i64 fallback) {
        return static_cast<int>(fields.integer_or(key, 1, kMaxSize, fallback));
    };
    latent.kv_rank = size("kv_lora_rank", 512);
    latent.q_rank = static_cast<int>(fields.integer_or_none("q_lora_rank", 1, kMaxSize, 1536).value_or(0));
    latent.nope_dim = size("qk_nope_head_dim", 128);
    latent.rope_dim = size("qk_rope_head_dim", 64);
    latent.value_dim = size("v_head_dim", 128);
    // transformers saves what follows from these.
    for (const char* key : {"head_dim", "qk_head_dim"}) (void)fields.find(key);
    config.head_dim = latent.rope_dim;
    config.rope = read_rope(fields, config);
    config.rope.interleaved = fields.flag_or("rope_interleave", true);
    config.head_dim = latent.nope_dim + latent.rope_dim;
    const RopeScaling& scaling = config.rope.scaling;
    const bool is_longer = scaling.kind == RopeScaling::Kind::yarn && scaling.factor > 1;
    const double magnitude = is_longer ? 0.1 * scaling.mscale_all_dim * std::log(scaling.factor) + 1 : 1;
    config.attention_scale = magnitude * magnitude / std::sqrt(static_cast<double>(config.head_dim));

    if (fields.integer_or("moe_layer_freq", 1, kMaxSize, 1) != 1) fields.fail("'moe_layer_freq': expected 1");
    for (const char* key : {"aux_loss_alpha", "seq_aux", "ep_size"}) (void)fields.find(key);  // of training
}

}  // namespace

void read_deepseek_v2(Fields& fields, ModelConfig& config) {
    read_common(fields, {.max_position_tokens = 2048, .bos_token = 1, .eos_tokens = {2}}, config);
    read_latent_attention(fields, config);
    read_experts(fields, experts_count_name(fields, "n_routed_experts"), 64, 6, "moe_intermediate_size",
                 config);
    expect_text(fields, "scoring_func", "softmax");
    // Its makers' code scales weights that are not renormalised alone; transformers renormalises none.
    if (fields.flag_or("norm_topk_prob", false)) fields.fail("'norm_topk_prob': expected false, got true");
    config.experts.scale = fields.positive_or("routed_scaling_factor", 1);
    config.experts.by_pairs = false;
    const std::string method = fields.text_or("topk_method", "greedy");
    if (method == "group_limited_greedy") {
        read_expert_groups(fields, 1, 1, config);
    } else if (method == "greedy") {
        for (const char* key : {"n_group", "topk_group"}) (void)fields.find(key);  // of the other method
    } else {
        fields.fail(
            fmt::format("'topk_method': expected greedy or group_limited_greedy, got '{:.40}'", method));
    }
    read_shared_experts(fields, 2, 0, config);
}

namespace {

// Behind the attention's fields.
void read_v3_experts(Fields& fields, ModelConfig& config) {
    config.draft_layers = static_cast<int>(fields.integer_or("num_nextn_predict_layers", 0, kMaxSize, 0));
    expect_text(fields, "topk_method", "noaux_tc");
    expect_text(fields, "scoring_func", "sigmoid");
    read_biased_experts(fields, {.count = 256, .num_groups = 8, .top_groups = 4, .scale = 2.5, .dense = 3},
                        config);
}

// What transformers saves for every layer, where it says what is computed anyway.
void expect_layers(Fields& fields, const char* key, const ModelConfig& config,
                   const std::function<const char*(std::size_t layer)>& expected) {
    const nlohmann::json* types = fields.find(key) == nullptr ? nullptr : fields.array(key);
    if (types == nullptr) return;
    if (types->size() != config.windows.size()) {
        return fields.fail(fmt::format("'{}': expected one for each of {} layers, got {}", key,
                                       config.num_layers, types->size()));
    }
    for (std::size_t layer = 0; layer < types->size(); ++layer) {
        if ((*types)[layer] != expected(layer)) {
            return fields.fail(fmt::format("'{}': expected {}, got {} in layer {}", key, expected(layer),
                                           describe_json((*types)[layer]), layer));
        }
    }
}

}  // namespace

void read_deepseek_v3(Fields& fields, ModelConfig& config) {
    read_common(fields, {.max_position_tokens = 4096, .bos_token = 0, .eos_tokens = {1}}, config);
    read_latent_attention(fields, config);
    read_v3_experts(fields, config);
}

void read_deepseek_v32(Fields& fields, ModelConfig& config) {
    read_common(fields, {.max_position_tokens = 163840, .bos_token = 0, .eos_tokens = {1}}, config);
    read_latent_attention(fields, config);
    if (config.latent.q_rank == 0)
        fields.fail("'q_lora_rank': expected a number, of which the indexer's queries are made");
    config.rope.interleaved = true;  // whatever rope_interleave says
    config.indexer = {.heads = static_cast<int>(fields.integer_or("index_n_heads", 1, kMaxSize, 64)),
                      .dim = static_cast<int>(fields.integer_or("index_head_dim", 1, kMaxSize, 128)),
                      .top_k = static_cast<int>(fields.integer_or("index_topk", 1, kMaxSize, 2048))};
    if (config.indexer.dim < config.latent.rope_dim)
        fields.fail("'index_head_dim': expected at least 'qk_rope_head_dim'");
    if (fields.flag_or("mlp_bias", false)) fields.fail("'mlp_bias': expected false, got true");
    read_v3_experts(fields, config);
    expect_layers(fields, "layer_types", config, [](std::size_t) { return "deepseek_sparse_attention"; });
    expect_layers(fields, "mlp_layer_types", config,
                  [&](std::size_t layer) { return config.experts.layers[layer] ? "sparse" : "dense"; });
}

}  // namespace warpwright
