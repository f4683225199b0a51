// SPDX-License-Identifier: Apache-2.0
// How each family's config.json is read: its defaults, its spellings, and what is refused or ignored.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/config.h"
#include "engine/messages.h"

namespace warpwright {
namespace {

using nlohmann::json;

// The least that a file of any family has, in sizes of no family's defaults.
json sizes() {
    return {{"hidden_size", 96},        {"num_hidden_layers", 4},  {"num_attention_heads", 6},
            {"num_key_value_heads", 3}, {"intermediate_size", 80}, {"vocab_size", 300}};
}

json config_of(const std::string& architecture, const json& changes = json::object()) {
    json config = sizes();
    config["architectures"] = {architecture};
    config.update(changes);
    for (const auto& [key, value] : changes.items()) {
        if (value == "absent") config.erase(key);
    }
    return config;
}

Result<ModelConfig> read(const json& config) {
    return parse_config(config.dump(), "", "config.json");
}

ModelConfig model(const std::string& architecture, const json& changes = json::object()) {
    auto config = read(config_of(architecture, changes));
    EXPECT_TRUE(config.ok()) << config.status().message();
    return config.ok() ? *config : ModelConfig{};
}

std::string error_of(const std::string& architecture, const json& changes) {
    auto config = read(config_of(architecture, changes));
    if (config.ok()) return "read";
    EXPECT_EQ(config.status().kind(), ErrorKind::caller);
    return config.status().message();
}

const char* const kTextArchitectures[] = {
    "LlamaForCausalLM",  "MistralForCausalLM", "MinistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM",
    "Gemma2ForCausalLM", "Gemma3ForCausalLM",  "Phi3ForCausalLM",      "GlmForCausalLM",   "Glm4ForCausalLM"};

const char* const kMixtures[] = {"Qwen3MoeForCausalLM",   "MixtralForCausalLM",    "Qwen2MoeForCausalLM",
                                 "Glm4MoeForCausalLM",    "MiniMaxM2ForCausalLM",  "GptOssForCausalLM",
                                 "DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "DeepseekV32ForCausalLM"};

// transformers' configuration classes, and what its models compute whatever a file says.
struct FamilyCase {
    const char* architecture;
    int head_dim, rotary_dim;
    i64 max_position_tokens;
    double epsilon, theta, attention_scale;
    const char* features;  // in the order of features_of
    std::vector<i32> eos_tokens;
    std::vector<i64> windows;
};

std::string features_of(const ModelConfig& c) {
    std::string text;
    const auto add = [&](bool has, const char* name) { text += has ? std::string(" ") + name : ""; };
    add(c.qkv_bias, "qkv_bias");
    add(c.o_bias, "o_bias");
    add(c.mlp_bias, "mlp_bias");
    add(c.qk_norm, "qk_norm");
    add(c.post_norms, "post_norms");
    add(c.norm_weight_offset == 1, "offset");
    add(c.attention_softcap != 0, "score_cap");
    add(c.logits_softcap != 0, "logit_cap");
    add(c.embedding_scale != 1, "scaled");
    add(c.rope.interleaved, "interleaved");
    add(c.windowed_rope.has_value(), "two_ropes");
    add(c.layout.fused_qkv, "fused_qkv");
    add(c.layout.fused_gate_up, "fused_gate_up");
    add(c.tie_word_embeddings, "tied");
    add(c.activation == Activation::gelu_tanh, "gelu_tanh");
    return text.empty() ? text : text.substr(1);
}

TEST(Architectures, DefaultsOfEachFamily) {
    const std::vector<i64> none(4, 0);
    const FamilyCase cases[] = {
        {"LlamaForCausalLM", 16, 16, 2048, 1e-6, 1e4, 0.25, "", {2}, none},
        {"MistralForCausalLM", 16, 16, 131072, 1e-6, 1e4, 0.25, "", {2}, {4096, 4096, 4096, 4096}},
        {"MinistralForCausalLM", 16, 16, 131072, 1e-6, 1e4, 0.25, "", {2}, {4096, 4096, 4096, 4096}},
        {"Qwen2ForCausalLM", 16, 16, 32768, 1e-6, 1e4, 0.25, "qkv_bias", {}, none},
        {"Qwen3ForCausalLM", 128, 128, 32768, 1e-6, 1e4, 1 / std::sqrt(128.0), "qk_norm", {}, none},
        {"Gemma2ForCausalLM",
         256,
         256,
         8192,
         1e-6,
         1e4,
         1.0 / 16,
         "post_norms offset score_cap logit_cap scaled tied gelu_tanh",
         {1},
         {4096, 0, 4096, 0}},
        {"Gemma3ForCausalLM",
         256,
         256,
         131072,
         1e-6,
         1e6,
         1.0 / 16,
         "qk_norm post_norms offset scaled two_ropes tied gelu_tanh",
         {1},
         {4096, 4096, 4096, 4096}},
        {"Phi3ForCausalLM", 16, 16, 4096, 1e-5, 1e4, 0.25, "fused_qkv fused_gate_up", {32000}, none},
        {"GlmForCausalLM",
         128,
         64,
         131072,
         1.5625e-7,
         1e4,
         1 / std::sqrt(128.0),
         "qkv_bias interleaved fused_gate_up",
         {151329, 151336, 151338},
         none},
        {"Glm4ForCausalLM",
         128,
         64,
         131072,
         1.5625e-7,
         1e4,
         1 / std::sqrt(128.0),
         "qkv_bias post_norms interleaved fused_gate_up",
         {151329, 151336, 151338},
         none},
    };
    ASSERT_EQ(std::size(cases), std::size(kTextArchitectures));
    for (const FamilyCase& family : cases) {
        SCOPED_TRACE(family.architecture);
        const ModelConfig config = model(family.architecture);
        EXPECT_EQ(config.architecture, family.architecture);
        EXPECT_EQ(config.num_kv_heads, 3);
        EXPECT_EQ(config.head_dim, family.head_dim);
        EXPECT_EQ(config.rope.rotary_dim, family.rotary_dim);
        EXPECT_EQ(config.max_position_tokens, family.max_position_tokens);
        EXPECT_EQ(config.rms_norm_eps, family.epsilon);
        EXPECT_EQ(config.rope.theta, family.theta);
        EXPECT_EQ(config.rope.scaling.kind, RopeScaling::Kind::none);
        EXPECT_DOUBLE_EQ(config.attention_scale, family.attention_scale);
        EXPECT_EQ(features_of(config), family.features);
        EXPECT_EQ(config.eos_tokens, family.eos_tokens);
        EXPECT_EQ(config.windows, family.windows);
        EXPECT_EQ(config.ignored_fields, std::vector<std::string>{});
    }
}

TEST(Architectures, AllAreNamed) {
    const auto names = supported_architectures();
    // Three more hold a text model beside others.
    EXPECT_EQ(names.size(), std::size(kTextArchitectures) + 3 + std::size(kMixtures));
    for (const char* name : kMixtures) EXPECT_EQ(std::count(names.begin(), names.end(), name), 1);
    for (const char* name : kTextArchitectures) EXPECT_EQ(std::count(names.begin(), names.end(), name), 1);
}

std::string experts_of(const ModelConfig& c) {
    const ExpertsConfig& e = c.experts;
    std::string text = std::to_string(e.top_k) + " of " + std::to_string(e.num_experts) + " x " +
                       std::to_string(e.width) + " " + expert_score_name(e.score);
    const auto add = [&](bool has, const std::string& name) { text += has ? " " + name : ""; };
    add(e.renormalize, "renormalised");
    add(e.scale != 1, "scaled");
    add(e.num_groups > 1, std::to_string(e.top_groups) + " of " + std::to_string(e.num_groups) + " groups");
    add(e.selection_bias, "selection_bias");
    add(e.router_bias, "router_bias");
    add(e.bias, "bias");
    add(std::isfinite(e.limit), "limited");
    add(e.shared_width > 0, "shared " + std::to_string(e.shared_width));
    add(e.shared_gate, "gated");
    for (const bool has : e.layers) text += has ? "+" : "-";
    return text;
}

const json kYarn{{"rope_scaling",
                  {{"rope_type", "yarn"},
                   {"factor", 32.0},
                   {"original_max_position_embeddings", 4096},
                   {"truncate", false}}}};

TEST(Architectures, ExpertsOfEachFamily) {
    const json width{{"moe_intermediate_size", 24}};
    EXPECT_EQ(experts_of(model("Qwen2MoeForCausalLM", width)), "4 of 60 x 24 softmax shared 5632 gated++++");
    EXPECT_EQ(features_of(model("Qwen2MoeForCausalLM", width)), "qkv_bias");
    EXPECT_EQ(experts_of(model("Qwen2MoeForCausalLM", {{"moe_intermediate_size", 24},
                                                       {"num_experts", 8},
                                                       {"num_experts_per_tok", 2},
                                                       {"norm_topk_prob", true},
                                                       {"shared_expert_intermediate_size", 50},
                                                       {"decoder_sparse_step", 2},
                                                       {"mlp_only_layers", {1}}})),
              "2 of 8 x 24 softmax renormalised shared 50 gated---+");
    EXPECT_EQ(experts_of(model("Glm4MoeForCausalLM", width)),
              "8 of 128 x 24 sigmoid renormalised selection_bias shared 24-+++");
    EXPECT_EQ(experts_of(model("Glm4MoeForCausalLM", {{"moe_intermediate_size", 24},
                                                      {"n_shared_experts", 2},
                                                      {"n_group", 4},
                                                      {"topk_group", 2},
                                                      {"norm_topk_prob", false},
                                                      {"routed_scaling_factor", 2.5},
                                                      {"first_k_dense_replace", 3},
                                                      {"n_routed_experts", 16}})),
              "8 of 16 x 24 sigmoid scaled 2 of 4 groups selection_bias shared 48---+");
    const ModelConfig glm = model("Glm4MoeForCausalLM", {{"moe_intermediate_size", 24},
                                                         {"attention_bias", true},
                                                         {"use_qk_norm", true},
                                                         {"num_nextn_predict_layers", 1}});
    EXPECT_EQ(features_of(glm), "qkv_bias qk_norm");
    EXPECT_EQ(glm.rope.rotary_dim, 8);
    EXPECT_EQ(glm.draft_layers, 1);
    EXPECT_EQ(model("Glm4MoeForCausalLM", {{"moe_intermediate_size", 24}, {"n_shared_experts", 0}})
                  .experts.shared_width,
              0);
    const ModelConfig minimax = model("MiniMaxM2ForCausalLM", {{"rotary_dim", 64}});
    EXPECT_EQ(experts_of(minimax), "8 of 256 x 80 sigmoid renormalised selection_bias++++");
    EXPECT_EQ(features_of(minimax), "qk_norm");
    EXPECT_TRUE(minimax.qk_norm_of_all);
    EXPECT_EQ(minimax.rope.rotary_dim, 64);
    EXPECT_EQ(minimax.head_dim, 128);
    const ModelConfig oss = model("GptOssForCausalLM", kYarn);
    EXPECT_EQ(experts_of(oss), "4 of 128 x 80 softmax renormalised router_bias bias limited++++");
    EXPECT_EQ(features_of(oss), "qkv_bias o_bias");
    EXPECT_TRUE(oss.sinks);
    EXPECT_EQ(oss.windows, (std::vector<i64>{128, 0, 128, 0}));
    EXPECT_FALSE(oss.rope.scaling.truncate);
    EXPECT_EQ(oss.experts.limit, 7);
    EXPECT_EQ(oss.experts.alpha, 1.702);
    EXPECT_EQ(oss.experts.up_offset, 1);
    for (const ModelConfig& config : {glm, minimax, oss}) EXPECT_TRUE(config.ignored_fields.empty());
}

TEST(Architectures, LatentAttention) {
    const json yarn{{"type", "yarn"},
                    {"factor", 40},
                    {"mscale", 1.0},
                    {"mscale_all_dim", 1.0},
                    {"original_max_position_embeddings", 4096}};
    const ModelConfig config =
        model("DeepseekV3ForCausalLM", {{"moe_intermediate_size", 24}, {"rope_scaling", yarn}});
    EXPECT_EQ(experts_of(config),
              "8 of 256 x 24 sigmoid renormalised scaled 4 of 8 groups selection_bias shared 24---+");
    EXPECT_EQ(config.latent.cached(), 576);
    EXPECT_EQ(config.latent.q_rank, 1536);
    EXPECT_EQ(config.rope.rotary_dim, 64);
    EXPECT_TRUE(config.rope.interleaved);
    const double magnitude = 0.1 * std::log(40.0) + 1;
    EXPECT_DOUBLE_EQ(config.attention_scale, magnitude * magnitude / std::sqrt(192.0));
    EXPECT_EQ(config.attended_width(), 6 * 128);
    EXPECT_TRUE(check_runs(config).ok());
    EXPECT_TRUE(check_runs(model("LlamaForCausalLM")).ok());
    const ModelConfig other =
        model("DeepseekV3ForCausalLM", {{"moe_intermediate_size", 24}, {"kv_lora_rank", 256}});
    EXPECT_EQ(check_runs(other).kind(), ErrorKind::no_kernel);
    EXPECT_EQ(check_runs(other).message(),
              "DeepseekV3ForCausalLM: latent rows of 256 + 64 numbers; kernels take 512 + 64");
    EXPECT_FALSE(model("DeepseekV3ForCausalLM", {{"moe_intermediate_size", 24}, {"rope_interleave", false}})
                     .rope.interleaved);
    EXPECT_EQ(model("DeepseekV3ForCausalLM", {{"moe_intermediate_size", 24}, {"q_lora_rank", nullptr}})
                  .latent.q_rank,
              0);
}

TEST(Architectures, DeepSeekV32) {
    const char* const name = "DeepseekV32ForCausalLM";
    json changes{{"moe_intermediate_size", 24}, {"rope_interleave", false}};
    const ModelConfig config = model(name, changes);
    EXPECT_EQ(experts_of(config),
              "8 of 256 x 24 sigmoid renormalised scaled 4 of 8 groups selection_bias shared 24---+");
    EXPECT_TRUE(config.is_latent());
    EXPECT_TRUE(config.has_indexer());
    EXPECT_EQ(config.indexer.heads, 64);
    EXPECT_EQ(config.indexer.dim, 128);
    EXPECT_EQ(config.indexer.top_k, 2048);
    EXPECT_TRUE(config.rope.interleaved);
    EXPECT_FALSE(config.indexer.interleaved);
    EXPECT_TRUE(check_runs(config).ok());
    EXPECT_FALSE(model("DeepseekV3ForCausalLM", {{"moe_intermediate_size", 24}}).has_indexer());

    changes["index_head_dim"] = 96;
    EXPECT_EQ(check_runs(model(name, changes)).message(),
              "DeepseekV32ForCausalLM: an indexer of 96 columns; kernels take 128");
    changes["index_head_dim"] = 32;
    EXPECT_EQ(error_of(name, changes), "config.json: 'index_head_dim': expected at least 'qk_rope_head_dim'");
    changes.erase("index_head_dim");
    changes["torch_dtype"] = "float16";
    EXPECT_EQ(check_runs(model(name, changes)).message(),
              "DeepseekV32ForCausalLM: an indexer in f16; kernels take bf16");
    changes.erase("torch_dtype");
    changes["q_lora_rank"] = nullptr;
    EXPECT_EQ(error_of(name, changes),
              "config.json: 'q_lora_rank': expected a number, of which the indexer's queries are made");
    changes.erase("q_lora_rank");
    changes["layer_types"] = {"deepseek_sparse_attention", "full_attention", "full_attention",
                              "full_attention"};
    EXPECT_EQ(
        error_of(name, changes),
        "config.json: 'layer_types': expected deepseek_sparse_attention, got 'full_attention' in layer 1");
    changes.erase("layer_types");
    changes["mlp_layer_types"] = {"dense", "dense", "dense"};
    EXPECT_EQ(error_of(name, changes),
              "config.json: 'mlp_layer_types': expected one for each of 4 layers, got 3");
    EXPECT_EQ(error_of("DeepseekV3ForCausalLM", {{"moe_intermediate_size", 24}, {"index_topk", 2048}}),
              "config.json: 'index_topk': not supported for DeepseekV3ForCausalLM; expected none, got 2048");
}

TEST(Architectures, DeepSeekV2) {
    json changes{{"moe_intermediate_size", 24},
                 {"first_k_dense_replace", 1},
                 {"n_group", 8},
                 {"topk_group", 3},
                 {"routed_scaling_factor", 16}};
    EXPECT_EQ(experts_of(model("DeepseekV2ForCausalLM", changes)),
              "6 of 64 x 24 softmax scaled shared 48-+++");
    changes["topk_method"] = "group_limited_greedy";
    const ModelConfig config = model("DeepseekV2ForCausalLM", changes);
    EXPECT_EQ(experts_of(config), "6 of 64 x 24 softmax scaled 3 of 8 groups shared 48-+++");
    EXPECT_FALSE(config.experts.by_pairs);
    EXPECT_TRUE(config.is_latent());
    changes["topk_method"] = "noaux_tc";
    EXPECT_EQ(error_of("DeepseekV2ForCausalLM", changes),
              "config.json: 'topk_method': expected greedy or group_limited_greedy, got 'noaux_tc'");
    changes["topk_method"] = "greedy";
    changes["norm_topk_prob"] = true;
    EXPECT_EQ(error_of("DeepseekV2ForCausalLM", changes),
              "config.json: 'norm_topk_prob': expected false, got true");
}

TEST(Architectures, ExpertsThatAreRefused) {
    const auto glm = [](json changes) {
        changes["moe_intermediate_size"] = 24;
        return error_of("Glm4MoeForCausalLM", changes);
    };
    EXPECT_EQ(glm({{"n_group", 16}, {"topk_group", 0}}),
              "config.json: 'topk_group': expected an integer from 1 to 32, got 0");
    EXPECT_EQ(
        glm({{"n_group", 32}, {"topk_group", 1}}),
        "config.json: 'topk_group': 1 of 32 groups of 128 experts do not hold the 8 that a token goes to");
    EXPECT_EQ(glm({{"num_experts_per_tok", 9}, {"n_routed_experts", 8}}),
              "config.json: 'num_experts_per_tok': expected no more than there are experts");
    EXPECT_EQ(glm({{"kv_lora_rank", 512}}),
              "config.json: 'kv_lora_rank': not supported for Glm4MoeForCausalLM; expected none, got 512");
    EXPECT_EQ(error_of("Qwen2MoeForCausalLM", {{"moe_intermediate_size", 24}, {"use_sliding_window", true}}),
              "config.json: 'use_sliding_window': expected false, got true");
    const auto minimax = [](const json& changes) { return error_of("MiniMaxM2ForCausalLM", changes); };
    EXPECT_EQ(minimax({{"scoring_func", "softmax"}}),
              "config.json: 'scoring_func': expected sigmoid, got 'softmax'");
    EXPECT_EQ(minimax({{"qk_norm_type", "per_head"}}),
              "config.json: 'qk_norm_type': expected per_layer, got 'per_head'");
    EXPECT_EQ(minimax({{"attn_type_list", {1, 0, 1, 1}}}),
              "config.json: 'attn_type_list': expected 1, full attention, for every layer");
    EXPECT_EQ(minimax({{"shared_intermediate_size", 8}}),
              "config.json: 'shared_intermediate_size': expected 0");
    EXPECT_EQ(minimax({{"rotary_dim", 64}, {"partial_rotary_factor", 0.25}}),
              "config.json: 'rotary_dim': 64 disagrees with partial_rotary_factor, which makes it 32");
    EXPECT_EQ(error_of("GptOssForCausalLM", json::object()),
              "config.json: 'rope_scaling' is missing; expected an object");
    json oss = kYarn;
    oss["experts_per_token"] = 2;
    EXPECT_EQ(error_of("GptOssForCausalLM", oss),
              "config.json: 'experts_per_token': expected the same as 'num_experts_per_tok'");
    // Of one family to another.
    for (const char* key : {"n_shared_experts", "shared_expert_intermediate_size", "swiglu_limit"}) {
        EXPECT_TRUE(contains(error_of("LlamaForCausalLM", {{key, 7}}), "not supported for LlamaForCausalLM"));
    }
}

TEST(Architectures, EveryFamilyTakesEverySpelling) {
    for (const char* name : kTextArchitectures) {
        SCOPED_TRACE(name);
        EXPECT_EQ(model(name, {{"torch_dtype", "float16"}}).dtype, DType::f16);
        EXPECT_EQ(model(name, {{"dtype", "float16"}}).dtype, DType::f16);
        EXPECT_EQ(model(name, {{"head_dim", 64}}).head_dim, 64);
        EXPECT_EQ(model(name, {{"head_dim", 64}, {"partial_rotary_factor", 0.25}}).rope.rotary_dim, 16);
        EXPECT_EQ(model(name, {{"num_key_value_heads", nullptr}}).num_kv_heads, 6);
        EXPECT_EQ(model(name, {{"rope_theta", 12345}}).rope.theta, 12345);
        EXPECT_EQ(model(name, {{"tie_word_embeddings", true}}).tie_word_embeddings, true);
        EXPECT_EQ(model(name, {{"tie_word_embeddings", false}}).tie_word_embeddings, false);
        EXPECT_EQ(model(name, {{"rms_norm_eps", 1e-4}}).rms_norm_eps, 1e-4);
        EXPECT_EQ(model(name, {{"rope_scaling", {{"type", "linear"}, {"factor", 2}}}}).rope.scaling.factor,
                  2);
        EXPECT_EQ(
            model(name, {{"rope_parameters", {{"rope_theta", 777}, {"rope_type", "default"}}}}).rope.theta,
            777);
    }
}

TEST(Architectures, Biases) {
    EXPECT_EQ(features_of(model("LlamaForCausalLM", {{"attention_bias", true}, {"mlp_bias", true}})),
              "qkv_bias o_bias mlp_bias");
    EXPECT_EQ(features_of(model("Qwen3ForCausalLM", {{"attention_bias", true}})), "qkv_bias o_bias qk_norm");
    EXPECT_EQ(features_of(model("GlmForCausalLM", {{"attention_bias", false}})), "interleaved fused_gate_up");
    EXPECT_EQ(model("Qwen2ForCausalLM", {{"attention_bias", true}}).o_bias, false);
    EXPECT_EQ(error_of("Qwen2ForCausalLM", {{"attention_bias", false}}),
              "config.json: 'attention_bias': q, k and v of Qwen2 have a bias; expected true, got false");
    EXPECT_EQ(error_of("MistralForCausalLM", {{"attention_bias", true}}),
              "config.json: 'attention_bias': not supported for MistralForCausalLM; expected none, got true");
    EXPECT_TRUE(model("Gemma2ForCausalLM", {{"attention_bias", true}}).o_bias);
}

TEST(Architectures, WindowsOfMistralAndPhi3) {
    EXPECT_EQ(model("MistralForCausalLM", {{"sliding_window", nullptr}}).windows, std::vector<i64>(4, 0));
    EXPECT_EQ(model("MistralForCausalLM", {{"sliding_window", 100}}).windows, std::vector<i64>(4, 100));
    EXPECT_EQ(model("Phi3ForCausalLM", {{"sliding_window", 2047}}).windows, std::vector<i64>(4, 2047));
    // As long as the context or longer: none.
    EXPECT_EQ(model("Phi3ForCausalLM", {{"sliding_window", 4096}}).windows, std::vector<i64>(4, 0));
    const json alternating{"full_attention", "sliding_attention", "full_attention", "sliding_attention"};
    EXPECT_EQ(model("MinistralForCausalLM", {{"sliding_window", 9}, {"layer_types", alternating}}).windows,
              (std::vector<i64>{0, 9, 0, 9}));
    EXPECT_TRUE(contains(error_of("MistralForCausalLM", {{"layer_types", alternating}}),
                         "'layer_types': expected the same for all layers"));
}

TEST(Architectures, WindowsOfQwen) {
    for (const char* name : {"Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
        SCOPED_TRACE(name);
        const auto windows = [&](const json& changes) { return model(name, changes).windows; };
        EXPECT_EQ(windows({{"use_sliding_window", false}, {"sliding_window", 50}, {"max_window_layers", 0}}),
                  std::vector<i64>(4, 0));
        EXPECT_EQ(windows({{"use_sliding_window", true}, {"sliding_window", 50}, {"max_window_layers", 3}}),
                  (std::vector<i64>{0, 0, 0, 50}));
        EXPECT_EQ(windows({{"use_sliding_window", true}, {"max_window_layers", 2}}),
                  (std::vector<i64>{0, 0, 4096, 4096}));
        EXPECT_EQ(
            windows({{"use_sliding_window", true}, {"sliding_window", nullptr}, {"max_window_layers", 0}}),
            std::vector<i64>(4, 0));
        EXPECT_EQ(windows({{"use_sliding_window", true}}), std::vector<i64>(4, 0)) << "from layer 28 on";
        EXPECT_EQ(windows({{"use_sliding_window", true},
                           {"sliding_window", 50},
                           {"layer_types",
                            {"sliding_attention", "full_attention", "sliding_attention", "full_attention"}}}),
                  (std::vector<i64>{50, 0, 50, 0}));
    }
}

TEST(Architectures, WindowsOfGemma) {
    EXPECT_EQ(model("Gemma2ForCausalLM", {{"sliding_window", nullptr}}).windows, std::vector<i64>(4, 0));
    EXPECT_EQ(model("Gemma3ForCausalLM", {{"sliding_window", 512}, {"sliding_window_pattern", 2}}).windows,
              (std::vector<i64>{512, 0, 512, 0}));
    EXPECT_EQ(model("Gemma3ForCausalLM", {{"_sliding_window_pattern", 3}, {"sliding_window", 64}}).windows,
              (std::vector<i64>{64, 64, 0, 64}));
    const json types{"full_attention", "full_attention", "sliding_attention", "full_attention"};
    for (const char* name : {"Gemma2ForCausalLM", "Gemma3ForCausalLM"}) {
        EXPECT_EQ(model(name, {{"layer_types", types}, {"sliding_window", 8}, {"sliding_window_pattern", 2}})
                      .windows,
                  (std::vector<i64>{0, 0, 8, 0}))
            << name;
    }
}

TEST(Architectures, LayerTypesAreChecked) {
    const auto error = [](const json& types, const json& window = 64) {
        return error_of("Gemma3ForCausalLM", {{"layer_types", types}, {"sliding_window", window}});
    };
    EXPECT_EQ(error({"full_attention"}),
              "config.json: 'layer_types': expected one for each of 4 layers, got 1");
    EXPECT_EQ(error({"full_attention", "chunked_attention", "full_attention", "full_attention"}),
              "config.json: 'layer_types': expected full_attention or sliding_attention, got "
              "'chunked_attention' in layer 1");
    EXPECT_EQ(error({"full_attention", 7, "full_attention", "full_attention"}),
              "config.json: 'layer_types': expected full_attention or sliding_attention, got 7 in layer 1");
    EXPECT_EQ(error({"full_attention", "full_attention", "sliding_attention", "full_attention"}, nullptr),
              "config.json: 'layer_types': layer 2 is of sliding_attention, but there is no sliding_window");
    EXPECT_EQ(error("x"), "config.json: 'layer_types': expected an array, got 'x'");
}

TEST(Architectures, ScalesAndCapsOfGemma) {
    const ModelConfig two = model("Gemma2ForCausalLM", {{"query_pre_attn_scalar", 144}});
    EXPECT_DOUBLE_EQ(two.attention_scale, 1.0 / 12);
    EXPECT_EQ(two.attention_softcap, 50);
    EXPECT_EQ(two.logits_softcap, 30);
    const ModelConfig uncapped = model(
        "Gemma2ForCausalLM", {{"attn_logit_softcapping", nullptr}, {"final_logit_softcapping", nullptr}});
    EXPECT_EQ(uncapped.attention_softcap, 0);
    EXPECT_EQ(uncapped.logits_softcap, 0);
    EXPECT_EQ(model("Gemma3ForCausalLM", {{"final_logit_softcapping", 20}}).logits_softcap, 20);
    // transformers' Gemma 3 has the field and does not compute it.
    EXPECT_EQ(
        error_of("Gemma3ForCausalLM", {{"attn_logit_softcapping", 50}}),
        "config.json: 'attn_logit_softcapping': not supported for Gemma3ForCausalLM; expected none, got 50");
    EXPECT_EQ(model("Gemma3ForCausalLM", {{"attn_logit_softcapping", nullptr}}).attention_softcap, 0);
    // sqrt(1152) = 33.94, in bf16 34; sqrt(3840) = 61.97, in bf16 62, in fp16 61.97.
    EXPECT_EQ(model("Gemma3ForCausalLM", {{"hidden_size", 1152}}).embedding_scale, 34);
    EXPECT_EQ(model("Gemma3ForCausalLM", {{"hidden_size", 3840}}).embedding_scale, 62);
    EXPECT_EQ(model("Gemma3ForCausalLM", {{"hidden_size", 3840}, {"dtype", "float16"}}).embedding_scale,
              61.96875);
    // Which of the two activations counts.
    EXPECT_EQ(model("Gemma2ForCausalLM", {{"hidden_act", "silu"}}).activation, Activation::gelu_tanh);
    EXPECT_EQ(model("Gemma2ForCausalLM", {{"hidden_activation", "gelu"}}).activation, Activation::gelu);
}

TEST(Architectures, RopesOfGemma3) {
    const auto gemma3 = [](const json& changes) { return model("Gemma3ForCausalLM", changes); };
    const auto check = [](const ModelConfig& config, double theta, double factor, double windowed_theta) {
        EXPECT_EQ(config.rope.theta, theta);
        EXPECT_EQ(config.rope.scaling.factor, factor);
        ASSERT_TRUE(config.windowed_rope.has_value());
        EXPECT_EQ(config.windowed_rope->theta, windowed_theta);
        EXPECT_EQ(config.windowed_rope->scaling.kind, RopeScaling::Kind::none);
        EXPECT_EQ(config.windowed_rope->rotary_dim, config.rope.rotary_dim);
        EXPECT_TRUE(config.ignored_fields.empty());
    };
    check(gemma3(json::object()), 1e6, 1, 1e4);
    check(gemma3({{"rope_theta", 5e5}, {"rope_local_base_freq", 2e4}}), 5e5, 1, 2e4);
    const json linear{{"rope_type", "linear"}, {"factor", 8.0}};
    check(gemma3({{"rope_scaling", linear}, {"rope_theta", 1e6}}), 1e6, 8, 1e4);
    check(gemma3({{"rope_parameters",
                   {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 3e6}}},
                    {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 3e4}}}}}}),
          3e6, 8, 3e4);
    check(gemma3({{"rope_parameters", {{"full_attention", linear}, {"sliding_attention", nullptr}}}}), 1e6, 8,
          1e4);
    // A top-level base is the unwindowed layers'.
    check(gemma3({{"rope_theta", 2e6}, {"rope_parameters", {{"full_attention", linear}}}}), 2e6, 8, 1e4);
    EXPECT_EQ(error_of("Gemma3ForCausalLM", {{"rope_parameters", {{"full_attention", 3}}}}),
              "config.json: rope_parameters.full_attention: expected an object, got 3");
    const ModelConfig config = gemma3({{"sliding_window_pattern", 2}, {"sliding_window", 16}});
    EXPECT_EQ(&config.rope_of(1), &config.rope);
    EXPECT_EQ(&config.rope_of(0), &*config.windowed_rope);
}

TEST(Architectures, LongropeOfPhi3) {
    const json lists{{"short_factor", {1, 1, 1, 1, 1, 1, 1, 1}}, {"long_factor", {1, 2, 3, 4, 5, 6, 7, 8}}};
    for (const char* type : {"longrope", "su", "yarn"}) {
        json scaling = lists;
        scaling["type"] = type;
        const ModelConfig config = model("Phi3ForCausalLM", {{"rope_scaling", scaling},
                                                             {"max_position_embeddings", 131072},
                                                             {"original_max_position_embeddings", 4096}});
        EXPECT_EQ(config.rope.scaling.kind, RopeScaling::Kind::longrope) << type;
        EXPECT_EQ(config.rope.scaling.factor, 32);
        EXPECT_EQ(config.rope.scaling.original_max_position, 4096);
        EXPECT_EQ(config.rope.scaling.long_factor.back(), 8);
        EXPECT_TRUE(config.ignored_fields.empty());
    }
    json scaling = lists;
    scaling["type"] = "longrope";
    EXPECT_EQ(model("Phi3ForCausalLM", {{"rope_scaling", scaling}, {"max_position_embeddings", 8192}})
                  .rope.scaling.factor,
              2)
        << "Phi3Config's own 4096";
    EXPECT_TRUE(contains(error_of("Phi3ForCausalLM", {{"rope_scaling", {{"type", "su"}}}}),
                         "config.json: rope_scaling: 'short_factor' is missing"));
}

TEST(Architectures, MultimodalModelsAreTheirTextModel) {
    const auto wrapped = [](const char* name, const json& text, const json& outer = json::object()) {
        json config{{"architectures", {name}}, {"text_config", text}};
        config.update(outer);
        auto result = read(config);
        EXPECT_TRUE(result.ok()) << result.status().message();
        return *result;
    };
    // Google's files leave out what is the default.
    const ModelConfig gemma = wrapped("Gemma3ForConditionalGeneration",
                                      {{"hidden_size", 2560},
                                       {"intermediate_size", 10240},
                                       {"model_type", "gemma3_text"},
                                       {"num_hidden_layers", 34},
                                       {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                                       {"sliding_window", 1024}},
                                      {{"eos_token_id", {1, 106}},
                                       {"image_token_index", 262144},
                                       {"vision_config", json::object({{"hidden_size", 1152}})},
                                       {"torch_dtype", "float16"}});
    EXPECT_EQ(gemma.architecture, "Gemma3ForConditionalGeneration");
    EXPECT_EQ(gemma.num_heads, 8);
    EXPECT_EQ(gemma.num_kv_heads, 4);
    EXPECT_EQ(gemma.head_dim, 256);
    EXPECT_EQ(gemma.vocab_size, 262208);
    EXPECT_EQ(gemma.rope.scaling.factor, 8);
    EXPECT_EQ(gemma.windows[4], 1024);
    EXPECT_EQ(gemma.windows[5], 0);
    EXPECT_TRUE(gemma.tie_word_embeddings);
    EXPECT_EQ(gemma.dtype, DType::f16);
    EXPECT_EQ(gemma.eos_tokens, (std::vector<i32>{1, 106}));
    EXPECT_EQ(gemma.ignored_fields, (std::vector<std::string>{"image_token_index", "vision_config"}));

    json text = sizes();
    EXPECT_FALSE(wrapped("Mistral3ForConditionalGeneration", text).tie_word_embeddings);
    text["model_type"] = "qwen2";
    EXPECT_TRUE(wrapped("LlavaForConditionalGeneration", text).qkv_bias);
    // The text model's own word goes first, and an outer one counts where it has none.
    text["tie_word_embeddings"] = false;
    EXPECT_FALSE(
        wrapped("LlavaForConditionalGeneration", text, {{"tie_word_embeddings", true}}).tie_word_embeddings);
    text.erase("tie_word_embeddings");
    EXPECT_TRUE(
        wrapped("LlavaForConditionalGeneration", text, {{"tie_word_embeddings", true}}).tie_word_embeddings);

    EXPECT_EQ(read({{"architectures", {"Gemma3ForConditionalGeneration"}}}).status().message(),
              "config.json: 'text_config' is missing; expected an object");
    text["model_type"] = "mamba";
    EXPECT_TRUE(contains(read({{"architectures", {"LlavaForConditionalGeneration"}}, {"text_config", text}})
                             .status()
                             .message(),
                         "config.json: text_config: 'model_type': expected llama, mistral, "));
    text["model_type"] = "llama";
    EXPECT_TRUE(contains(read({{"architectures", {"LlavaForConditionalGeneration"}},
                               {"text_config", text},
                               {"quantization_config", {{"quant_method", "awq"}}}})
                             .status()
                             .message(),
                         "config.json: text_config: quantization_config: 'bits' is missing"));
}

// What a family does not compute is refused with its value, unless the value switches it off.
TEST(Architectures, RefusesWhatWouldChangeTheModel) {
    const std::pair<const char*, json> changing[] = {
        {"clip_qkv", 8.0},
        {"num_experts", 8},
        {"num_local_experts", 8},
        {"n_routed_experts", 64},
        {"mlp_only_layers", {0, 1}},
        {"attention_multiplier", 0.015625},
        {"embedding_multiplier", 12},
        {"residual_multiplier", 0.22},
        {"logits_scaling", 8},
        {"logit_scale", 0.0625},
        {"kv_lora_rank", 512},
        {"use_qk_norm", true},
        {"no_rope_layers", {1, 1, 0, 1}},
        {"attention_chunk_size", 8192},
        {"attn_output_gate", true},
        {"use_bidirectional_attention", true},
        {"lm_head_bias", true},
        {"is_encoder_decoder", true},
        {"alibi", true},
        {"rope_interleaved", true},
    };
    for (const char* name : kTextArchitectures) {
        for (const auto& [key, value] : changing) {
            EXPECT_TRUE(contains(error_of(name, {{key, value}}), "config.json: '" + std::string(key) +
                                                                     "': not supported for " + name +
                                                                     "; expected none, got "));
        }
    }
    EXPECT_EQ(error_of("LlamaForCausalLM", {{"clip_qkv", 8.5}}),
              "config.json: 'clip_qkv': not supported for LlamaForCausalLM; expected none, got 8.5");
    const std::pair<const char*, json> off[] = {{"clip_qkv", nullptr},
                                                {"num_experts", 0},
                                                {"mlp_only_layers", json::array()},
                                                {"attention_multiplier", 1.0},
                                                {"residual_multiplier", 1},
                                                {"use_qk_norm", false},
                                                {"lm_head_bias", false},
                                                {"is_encoder_decoder", false},
                                                {"quantization_config", nullptr}};
    for (const auto& [key, value] : off) {
        EXPECT_TRUE(model("LlamaForCausalLM", {{key, value}}).ignored_fields.empty()) << key;
    }
}

TEST(Architectures, ListsWhatItDoesNotKnow) {
    const json harmless{{"use_cache", true},
                        {"attention_dropout", 0.1},
                        {"initializer_range", 0.02},
                        {"_name_or_path", "x/y"},
                        {"transformers_version", "4.51.0"},
                        {"pretraining_tp", 2},
                        {"pad_token_id", 0},
                        {"model_type", "x"},
                        {"auto_map", json::object()},
                        {"resid_pdrop", 0.0},
                        {"unheard_of", nullptr}};
    for (const char* name : kTextArchitectures) {
        EXPECT_TRUE(model(name, harmless).ignored_fields.empty()) << name;
        EXPECT_EQ(model(name, {{"unheard_of", 7}, {"another", "x"}}).ignored_fields,
                  (std::vector<std::string>{"another", "unheard_of"}));
    }
    // A field of one family is unknown to another.
    EXPECT_EQ(model("LlamaForCausalLM", {{"max_window_layers", 3}}).ignored_fields,
              std::vector<std::string>{"max_window_layers"});
}

TEST(Architectures, SizesAreNeeded) {
    for (const char* name : kTextArchitectures) {
        for (const char* key : {"hidden_size", "num_hidden_layers", "intermediate_size"}) {
            EXPECT_TRUE(contains(error_of(name, {{key, "absent"}}),
                                 "'" + std::string(key) + "' is missing; expected an integer"));
        }
    }
}

}  // namespace
}  // namespace warpwright
