// SPDX-License-Identifier: Apache-2.0
// Whole quantised checkpoints as numbers: what arrives on the device is what the format's own package makes
// of the weights, rounded to the model's type. packed_models_test.cpp has them as codes.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "engine/engine.h"
#include "engine/formats/layer_format.h"
#include "engine/parameters.h"
#include "engine/scratch.h"
#include "golden.h"

namespace warpwright::test {
namespace {

std::string model_folder(const std::string& name) {
    return std::string(WW_SOURCE_DIR) + "/tests/formats/models/" + name;
}

const nlohmann::json& models() {
    static const nlohmann::json all = [] {
        std::ifstream file(std::string(WW_SOURCE_DIR) + "/tests/formats/models.json");
        return nlohmann::json::parse(file);
    }();
    return all;
}

// FNV-1a of 16-bit numbers, as make_goldens.py has it: -0 counts as 0, which it is in some packages.
std::string hash_of(const u16* values, i64 count) {
    u64 hash = 0xcbf29ce484222325u;
    for (i64 i = 0; i < count; ++i) {
        const u16 value = values[i] == 0x8000 ? u16{0} : values[i];
        for (const int byte : {value & 0xff, value >> 8})
            hash = (hash ^ static_cast<u64>(byte)) * 0x100000001b3u;
    }
    return fmt::format("{:016x}", hash);
}

std::shared_ptr<Context> host_context() {
    auto context = Context::open("cpu");
    EXPECT_TRUE(context.ok()) << context.status().message();
    return *context;
}

void expect_weights(const ModelConfig& config, const std::string& name, const LoadTuning& tuning) {
    const auto context = host_context();
    auto weights = load_weights(*context, config, model_folder(name), {}, tuning);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    int num_compared = 0;
    for (const Parameter& parameter : list_parameters(config)) {
        const auto* data = static_cast<const u16*>(parameter.of(*weights).data);
        for (const ParameterPiece& piece : parameter.pieces) {
            const std::string layer = piece.name.substr(0, piece.name.rfind('.'));
            if (!models().at(name).contains(layer)) continue;
            const std::string hash = hash_of(data + piece.first_row * piece.shape[1], piece.num_elements());
            EXPECT_EQ(hash, models().at(name).at(layer)) << layer;
            ++num_compared;
        }
    }
    EXPECT_EQ(num_compared, 7);
}

TEST(QuantisedModels, WeightsAreThoseOfTheirPackages) {
    ASSERT_EQ(models().size(), 12U);
    for (const auto& [name, hashes] : models().items()) {
        SCOPED_TRACE(name);
        auto config = load_config(model_folder(name));
        ASSERT_TRUE(config.ok()) << config.status().message();
        ASSERT_NE(config->quantization, nullptr);
        config->dequantise = true;
        expect_weights(*config, name, {});
        expect_weights(*config, name, {.num_threads = 3, .part_bytes = 1010});  // parts begin inside of rows
    }
}

TEST(QuantisedModels, GenerateTokens) {
    for (const auto& [name, hashes] : models().items()) {
        SCOPED_TRACE(name);
        auto config = load_config(model_folder(name));
        ASSERT_TRUE(config.ok());
        const auto context = host_context();
        auto weights = load_weights(*context, *config, model_folder(name));
        ASSERT_TRUE(weights.ok());
        auto engine = Engine::create(context, *config, std::move(*weights), {.max_context_tokens = 32});
        ASSERT_TRUE(engine.ok()) << engine.status().message();
        ASSERT_TRUE((*engine)->add({.prompt = {1, 5, 9}, .max_tokens = 4, .stop_at_eos = false}).ok());
        int num_tokens = 0;
        while (!(*engine)->idle()) {
            const auto tokens = (*engine)->step();
            ASSERT_TRUE(tokens.ok()) << tokens.status().message();
            num_tokens += static_cast<int>(tokens->size());
        }
        EXPECT_EQ(num_tokens, 4);
    }
}

std::string refusal(const std::string& folder) {
    const auto config = load_config(folder);
    if (!config.ok()) return config.status().message();
    return load_weights(*host_context(), *config, folder).status().message();
}

// The config is what decides; a checkpoint that it does not fit is refused.
TEST(QuantisedModels, ConfigAndCheckpointMustAgree) {
    const auto with = [](const std::string& weights, const std::string& config) {
        const Scratch scratch;
        std::filesystem::copy(model_folder(weights) + "/model.safetensors",
                              scratch.folder() / "model.safetensors");
        scratch.write("config.json", config);
        return refusal(scratch.folder().string());
    };
    auto plain = nlohmann::json::parse(read_all(model_folder("awq") + "/config.json"));
    plain.erase("quantization_config");
    EXPECT_PRED_FORMAT2(
        testing::IsSubstring,
        "no tensor model.layers.0.self_attn.q_proj.weight, which config.json says is not quantised; "
        "found: gptq or awq (qweight)",
        with("awq", plain.dump()));
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "found: compressed-tensors (weight_packed)",
                        with("compressed_int4", read_all(model_folder("gptq") + "/config.json")));
    // A layer that is left out by the config, but quantised.
    auto left_out = nlohmann::json::parse(read_all(model_folder("compressed_int4") + "/config.json"));
    left_out["quantization_config"]["ignore"].push_back("re:.*up_proj");
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "no tensor model.layers.0.mlp.up_proj.weight",
                        with("compressed_int4", left_out.dump()));
}

}  // namespace
}  // namespace warpwright::test
