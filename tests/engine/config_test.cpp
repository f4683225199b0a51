// SPDX-License-Identifier: Apache-2.0
#include "engine/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/messages.h"
#include "engine/parameters.h"
#include "engine/scratch.h"

namespace warpwright {
namespace {

using nlohmann::json;

json small() {
    return {{"architectures", {"LlamaForCausalLM"}},
            {"hidden_size", 64},
            {"num_hidden_layers", 2},
            {"num_attention_heads", 4},
            {"num_key_value_heads", 2},
            {"intermediate_size", 96},
            {"vocab_size", 300},
            {"max_position_embeddings", 512},
            {"rms_norm_eps", 1e-5},
            {"torch_dtype", "float16"},
            {"eos_token_id", 2}};
}

json with(std::initializer_list<std::pair<const char*, json>> changes) {
    json config = small();
    for (const auto& [key, value] : changes) config[key] = value;
    return config;
}

Result<ModelConfig> parsed(const json& config, std::string_view generation = "") {
    return parse_config(config.dump(), generation, "m/config.json");
}

std::string error_of(const json& config) {
    auto result = parsed(config);
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.status().kind(), ErrorKind::caller);
    return result.status().message();
}

TEST(Config, ReadsFieldsAndDefaults) {
    auto config = parsed(small());
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->architecture, "LlamaForCausalLM");
    EXPECT_EQ(config->head_dim, 16);
    EXPECT_EQ(config->rotary_dim, 16);
    EXPECT_EQ(config->rope_theta, 10000);
    EXPECT_EQ(config->dtype, DType::f16);
    EXPECT_EQ(config->eos_tokens, std::vector<i32>{2});
    EXPECT_FALSE(config->bos_token.has_value());
    EXPECT_FALSE(config->tie_word_embeddings || config->attention_bias || config->mlp_bias);

    json minimal = small();
    for (const char* key :
         {"num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "torch_dtype", "eos_token_id"}) {
        minimal.erase(key);
    }
    auto defaults = parsed(minimal);
    ASSERT_TRUE(defaults.ok()) << defaults.status().message();
    EXPECT_EQ(defaults->num_kv_heads, 4);
    EXPECT_EQ(defaults->max_position_tokens, 2048);
    EXPECT_EQ(defaults->dtype, DType::bf16);
}

TEST(Config, Fp32CheckpointsRunInBf16) {
    for (const char* key : {"torch_dtype", "dtype"}) {
        auto config = parsed(with({{"torch_dtype", nullptr}, {key, "float32"}}));
        ASSERT_TRUE(config.ok()) << config.status().message();
        EXPECT_EQ(config->dtype, DType::bf16);
    }
}

TEST(Config, NewerSpellings) {
    auto config = parsed(with({{"dtype", "bfloat16"},
                               {"head_dim", 32},
                               {"rope_scaling", nullptr},
                               {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}}}));
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->dtype, DType::bf16);
    EXPECT_EQ(config->head_dim, 32);
    EXPECT_EQ(config->rope_theta, 5e5);
}

TEST(Config, RopeKinds) {
    const auto rope = [](const json& scaling) { return parsed(with({{"rope_scaling", scaling}})); };
    EXPECT_EQ(rope({{"type", "linear"}, {"factor", 4.0}})->rope_scaling.kind, RopeScaling::Kind::linear);
    auto llama3 = rope({{"rope_type", "llama3"},
                        {"factor", 8},
                        {"low_freq_factor", 1},
                        {"high_freq_factor", 4},
                        {"original_max_position_embeddings", 8192}});
    ASSERT_TRUE(llama3.ok()) << llama3.status().message();
    EXPECT_EQ(llama3->rope_scaling.kind, RopeScaling::Kind::llama3);
    EXPECT_EQ(llama3->rope_scaling.original_max_position, 8192);
    auto yarn = rope({{"rope_type", "yarn"}, {"factor", 4}});
    ASSERT_TRUE(yarn.ok()) << yarn.status().message();
    EXPECT_EQ(yarn->rope_scaling.original_max_position, 512);
    EXPECT_EQ(yarn->rope_scaling.attention_factor, 0) << "left to the operation";
    auto deepseek = rope({{"type", "yarn"}, {"factor", 40}, {"mscale", 1}, {"mscale_all_dim", 1}});
    EXPECT_EQ(deepseek->rope_scaling.mscale, 1);
    EXPECT_EQ(deepseek->rope_scaling.mscale_all_dim, 1);

    EXPECT_TRUE(contains(rope({{"rope_type", "yarn"}, {"factor", 4}, {"truncate", false}}).status().message(),
                         "'truncate': expected true, got false"));
    EXPECT_TRUE(ends_with(rope({{"rope_type", "longrope"}}).status().message(),
                          "m/config.json: rope_scaling: 'rope_type': expected default, linear, llama3 or "
                          "yarn, got 'longrope'"));
    EXPECT_TRUE(
        contains(rope({{"rope_type", "llama3"}}).status().message(), "rope_scaling: 'factor' is missing"));
    EXPECT_TRUE(contains(rope("x").status().message(), "'rope_scaling': expected an object, got 'x'"));
    EXPECT_TRUE(
        contains(parsed(with({{"partial_rotary_factor", 0.2}})).status().message(), "rotated dimensions"));
}

TEST(Config, EosFromGenerationConfigWins) {
    EXPECT_EQ(parsed(small(), R"({"eos_token_id":[7,8]})")->eos_tokens, (std::vector<i32>{7, 8}));
    EXPECT_EQ(parsed(small(), R"({"eos_token_id":9})")->eos_tokens, std::vector<i32>{9});
    EXPECT_EQ(parsed(small(), "{}")->eos_tokens, std::vector<i32>{2});
    EXPECT_TRUE(
        contains(parsed(small(), R"({"eos_token_id":"x"})").status().message(),
                 "m/generation_config.json: 'eos_token_id': expected a token id or a list of them, got 'x'"));
    EXPECT_TRUE(contains(parsed(small(), "{").status().message(), "generation_config.json: not JSON"));
}

TEST(Config, SaysWhatIsWrong) {
    EXPECT_EQ(error_of(with({{"architectures", {"MambaForCausalLM"}}})),
              "m/config.json: unknown architecture 'MambaForCausalLM'; supported: LlamaForCausalLM");
    EXPECT_TRUE(contains(error_of(with({{"architectures", nullptr}})), "'architectures' is missing"));
    EXPECT_TRUE(contains(error_of(with({{"architectures", json::array()}})), "expected a list of names"));
    for (const char* key :
         {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"}) {
        json config = small();
        config.erase(key);
        EXPECT_TRUE(contains(error_of(config), "'" + std::string(key) + "' is missing; expected an integer"));
        for (const json& bad : {json(0), json(-3), json("64"), json(1e30), json(64.5), json(true),
                                json::array({1}), json(1ull << 63)}) {
            config[key] = bad;
            EXPECT_TRUE(
                contains(error_of(config), "'" + std::string(key) + "': expected an integer from 1 to "));
        }
    }
    EXPECT_TRUE(contains(error_of(with({{"num_key_value_heads", 3}})),
                         "multiple of num_key_value_heads, got 4 and 3"));
    EXPECT_TRUE(
        contains(error_of(with({{"hidden_size", 66}})), "multiple of num_attention_heads, got 66 and 4"));
    EXPECT_TRUE(contains(error_of(with({{"head_dim", 15}})), "rotated dimensions"));
    EXPECT_TRUE(contains(error_of(with({{"torch_dtype", "int8"}})), "'torch_dtype': expected bfloat16"));
    EXPECT_TRUE(contains(error_of(with({{"hidden_act", "relu"}})), "'hidden_act': expected silu"));
    EXPECT_TRUE(
        contains(error_of(with({{"rms_norm_eps", 0}})), "'rms_norm_eps': expected a positive number, got 0"));
    EXPECT_TRUE(contains(error_of(with({{"tie_word_embeddings", 1}})), "expected true or false, got 1"));
    EXPECT_TRUE(contains(error_of(with({{"quantization_config", {{"quant_method", "fp8"}}}})),
                         "'quantization_config'"));
    EXPECT_TRUE(contains(parse_config("", "", "c").status().message(), "c: not JSON at byte"));
    EXPECT_TRUE(
        contains(parse_config("[]", "", "c").status().message(), "c: expected an object, got an array of 0"));
    EXPECT_TRUE(
        contains(parse_config(R"({"a":1,"a":2})", "", "c").status().message(), "c: 'a' occurs twice"));
}

TEST(Config, PublicModels) {
    const std::pair<const char*, i64> sizes[] = {{"llama-3.1-8b", 8030261248},
                                                 {"llama-3.1-70b", 70553706496},
                                                 {"llama-3.2-1b", 1235814400},
                                                 {"llama-3.2-3b", 3212749824}};
    EXPECT_EQ(public_model_names().size(), std::size(sizes));
    for (const auto& [name, parameters] : sizes) {
        auto config = load_config(name);
        ASSERT_TRUE(config.ok()) << config.status().message();
        EXPECT_EQ(num_parameters(*config), parameters) << name;  // as the model cards count them
        EXPECT_EQ(config->name, name);
        EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::llama3);
    }
    EXPECT_TRUE(load_config("Llama-3.1-8B").ok());
    EXPECT_TRUE(
        contains(load_config("llama-3.1-7b").status().message(),
                 "no model 'llama-3.1-7b': expected a folder, a config.json or one of llama-3.1-70b, "));
    EXPECT_TRUE(ends_with(load_config("llama3.1-8b").status().message(), "nearest: llama-3.1-8b"));
    EXPECT_FALSE(load_config("").ok());
    EXPECT_FALSE(load_config(std::string(5000, 'x')).ok());
}

TEST(Config, FoldersAndFiles) {
    Scratch scratch;
    EXPECT_TRUE(
        ends_with(load_config(scratch.folder().string()).status().message(), "config.json: no such file"));
    const auto file = scratch.write("config.json", small().dump());
    scratch.write("generation_config.json", R"({"eos_token_id":[5]})");
    for (const auto& path : {file, scratch.folder()}) {
        auto config = load_config(path.string());
        ASSERT_TRUE(config.ok()) << config.status().message();
        EXPECT_EQ(config->eos_tokens, std::vector<i32>{5});
        EXPECT_EQ(config->name, scratch.folder().filename().string());
    }
}

TEST(Config, EveryPrefixAndEveryFlippedBit) {
    const std::string good =
        with({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}}}, {"partial_rotary_factor", 0.5}})
            .dump();
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_FALSE(parse_config(good.substr(0, size), "", "c").ok()) << size;
    }
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string flipped = good;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        auto config = parse_config(flipped, "", "c");
        if (config.ok()) {
            EXPECT_GT(num_parameters(*config), 0);
            EXPECT_EQ(config->num_heads % config->num_kv_heads, 0);
        }
    }
}

}  // namespace
}  // namespace warpwright
