// SPDX-License-Identifier: Apache-2.0
#include "engine/config.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

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
    EXPECT_EQ(config->rope.rotary_dim, 16);
    EXPECT_EQ(config->rope.theta, 10000);
    EXPECT_EQ(config->attention_scale, 0.25);
    EXPECT_EQ(config->dtype, DType::f16);
    EXPECT_EQ(config->eos_tokens, std::vector<i32>{2});
    EXPECT_FALSE(config->tie_word_embeddings || config->qkv_bias || config->o_bias || config->mlp_bias);
    EXPECT_EQ(config->windows, (std::vector<i64>{0, 0}));
    EXPECT_TRUE(config->ignored_fields.empty());

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
    EXPECT_EQ(defaults->bos_token, 1);  // LlamaConfig's
    EXPECT_EQ(defaults->eos_tokens, std::vector<i32>{2});
    auto without = parsed(with({{"bos_token_id", nullptr}, {"eos_token_id", nullptr}}));
    EXPECT_FALSE(without->bos_token.has_value());
    EXPECT_TRUE(without->eos_tokens.empty());
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
    EXPECT_EQ(config->rope.theta, 5e5);
    EXPECT_TRUE(config->ignored_fields.empty());
    // What is inside goes before what is beside it; an empty rope_scaling is none.
    auto both = parsed(with({{"rope_theta", 1e6},
                             {"rope_scaling", json::object()},
                             {"rope_parameters", {{"rope_theta", 2e6}, {"partial_rotary_factor", 0.5}}}}));
    ASSERT_TRUE(both.ok()) << both.status().message();
    EXPECT_EQ(both->rope.theta, 2e6);
    EXPECT_EQ(both->rope.rotary_dim, 8);
    EXPECT_EQ(parsed(with({{"rope_theta", 1e6}}))->rope.theta, 1e6);
}

Result<RopeScaling> scaling_of(const json& parameters, const json& beside = json::object()) {
    json config = with({{"rope_scaling", parameters}});
    config.update(beside);
    WW_ASSIGN(const ModelConfig read, parsed(config));
    return read.rope.scaling;
}

TEST(Config, RopeKinds) {
    using Kind = RopeScaling::Kind;
    EXPECT_EQ(scaling_of({{"type", "default"}})->kind, Kind::none);
    EXPECT_EQ(scaling_of({{"type", "linear"}, {"factor", 4.0}})->kind, Kind::linear);
    EXPECT_EQ(scaling_of({{"type", "linear"}, {"rope_type", "linear"}, {"factor", 4.0}})->factor, 4);
    const json llama3{
        {"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 1}, {"high_freq_factor", 4}};
    json full = llama3;
    full["original_max_position_embeddings"] = 8192;
    auto read = scaling_of(full);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read->kind, Kind::llama3);
    EXPECT_EQ(read->original_max_position, 8192);
    EXPECT_EQ(scaling_of(llama3)->original_max_position, 512) << "max_position_embeddings";
    EXPECT_EQ(scaling_of(full, {{"original_max_position_embeddings", 128}})->original_max_position, 128)
        << "the config's own goes first, as in transformers";
    auto yarn = scaling_of({{"rope_type", "yarn"}, {"factor", 4}});
    ASSERT_TRUE(yarn.ok()) << yarn.status().message();
    EXPECT_EQ(yarn->original_max_position, 512);
    EXPECT_EQ(yarn->attention_factor, 0) << "left to the operation";
    EXPECT_TRUE(yarn->truncate);
    EXPECT_FALSE(scaling_of({{"rope_type", "yarn"}, {"factor", 4}, {"truncate", false}})->truncate);
    auto deepseek = scaling_of({{"type", "yarn"}, {"factor", 40}, {"mscale", 1}, {"mscale_all_dim", 1}});
    EXPECT_EQ(deepseek->mscale, 1);
    EXPECT_EQ(deepseek->mscale_all_dim, 1);
    const json eight = json::parse("[1,1,1,1,2,2,2,2]");
    const json longrope{{"rope_type", "longrope"},
                        {"short_factor", eight},
                        {"long_factor", eight},
                        {"original_max_position_embeddings", 128}};
    auto stretched = scaling_of(longrope);
    ASSERT_TRUE(stretched.ok()) << stretched.status().message();
    EXPECT_EQ(stretched->kind, Kind::longrope);
    EXPECT_EQ(stretched->factor, 4) << "512 / 128";
    EXPECT_EQ(stretched->long_factor, (std::vector<double>{1, 1, 1, 1, 2, 2, 2, 2}));
    json with_factor = longrope;
    with_factor["factor"] = 2;
    EXPECT_EQ(scaling_of(with_factor)->factor, 2);
}

TEST(Config, RopeRefusals) {
    const auto error = [](const json& parameters) { return scaling_of(parameters).status().message(); };
    for (const char* type : {"dynamic", "mrope", "proportional", "su"}) {
        EXPECT_TRUE(ends_with(error({{"rope_type", type}}),
                              "m/config.json: rope_scaling: 'rope_type': expected default, linear, llama3, "
                              "yarn or longrope, got '" +
                                  std::string(type) + "'"));
    }
    EXPECT_TRUE(contains(error({{"rope_type", "llama3"}}), "rope_scaling: 'factor' is missing"));
    EXPECT_TRUE(contains(error({{"rope_type", "longrope"}}), "rope_scaling: 'short_factor' is missing"));
    EXPECT_TRUE(contains(error({{"rope_type", "longrope"}, {"short_factor", {1, 2, -3}}}),
                         "'short_factor': expected 8 positive numbers, one a rotated pair, got 2 of 3"));
    EXPECT_TRUE(
        contains(error({{"rope_type", "default"}, {"mrope_section", {1, 2, 3}}}),
                 "rope_scaling: 'mrope_section': not supported for LlamaForCausalLM; expected none, got "
                 "an array of 3"));
    EXPECT_TRUE(contains(error("x"), "'rope_scaling': expected an object, got 'x'"));
    EXPECT_TRUE(
        contains(parsed(with({{"partial_rotary_factor", 0.2}})).status().message(), "rotated dimensions"));
    EXPECT_EQ(parsed(with({{"rope_scaling", {{"type", "linear"}, {"factor", 2}, {"beta_fast", 3}}}}))
                  ->ignored_fields,
              std::vector<std::string>{"rope_scaling.beta_fast"});
}

TEST(Config, EosFromGenerationConfigWins) {
    EXPECT_EQ(parsed(small(), R"({"eos_token_id":[7,8]})")->eos_tokens, (std::vector<i32>{7, 8}));
    EXPECT_EQ(parsed(small(), R"({"eos_token_id":9})")->eos_tokens, std::vector<i32>{9});
    EXPECT_EQ(parsed(small(), "{}")->eos_tokens, std::vector<i32>{2});
    EXPECT_EQ(parsed(small(), R"({"bos_token_id":5})")->bos_token, 5);
    EXPECT_TRUE(
        contains(parsed(small(), R"({"eos_token_id":"x"})").status().message(),
                 "m/generation_config.json: 'eos_token_id': expected a token id or a list of them, got 'x'"));
    EXPECT_TRUE(contains(parsed(small(), "{").status().message(), "generation_config.json: not JSON"));
}

TEST(Config, KeepsSamplingDefaults) {
    const auto none = parsed(small(), "{}")->generation;
    EXPECT_FALSE(none.do_sample || none.temperature || none.top_k || none.top_p || none.min_p ||
                 none.repetition_penalty);
    const auto some = parsed(small(), R"({"do_sample":true,"temperature":0.6,"top_k":20,"top_p":0.95,
        "repetition_penalty":1.05,"transformers_version":"4.51.0"})")
                          ->generation;
    EXPECT_EQ(some.do_sample, true);
    EXPECT_EQ(some.temperature, 0.6);
    EXPECT_EQ(some.top_k, 20);
    EXPECT_EQ(some.top_p, 0.95);
    EXPECT_EQ(some.repetition_penalty, 1.05);
    for (const auto& [text, message] : std::initializer_list<std::pair<const char*, const char*>>{
             {R"({"temperature":-1})", "'temperature': expected a number from 0 to 1000000, got -1"},
             {R"({"top_p":1.5})", "'top_p': expected a number from 0 to 1, got 1.5"},
             {R"({"top_k":"x"})", "'top_k': expected an integer from 0 to"},
             {R"({"repetition_penalty":0})", "'repetition_penalty': expected a positive number, got 0"}}) {
        EXPECT_TRUE(contains(parsed(small(), text).status().message(),
                             std::string("m/generation_config.json: ") + message));
    }
}

TEST(Config, SaysWhatIsWrong) {
    EXPECT_EQ(error_of(with({{"architectures", {"MambaForCausalLM"}}})),
              "m/config.json: unknown architecture 'MambaForCausalLM'; supported: " +
                  fmt::format("{}", fmt::join(supported_architectures(), ", ")));
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
    EXPECT_EQ(error_of(with({{"quantization_config", {{"quant_method", "aqlm"}}}})),
              "m/config.json: quantization_config: 'quant_method': expected gptq, awq, compressed-tensors, "
              "fp8, modelopt, mxfp4 or torchao, got 'aqlm'");
    EXPECT_TRUE(contains(parse_config("", "", "c").status().message(), "c: not JSON at byte"));
    EXPECT_TRUE(
        contains(parse_config("[]", "", "c").status().message(), "c: expected an object, got an array of 0"));
    EXPECT_TRUE(
        contains(parse_config(R"({"a":1,"a":2})", "", "c").status().message(), "c: 'a' occurs twice"));
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
