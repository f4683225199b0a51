// SPDX-License-Identifier: Apache-2.0
// The built-in configs of public models, against the parameters that their model cards count.
#include <gtest/gtest.h>

#include <map>

#include "engine/messages.h"
#include "engine/parameters.h"

namespace warpwright {
namespace {

// Totals of the safetensors files as the model cards show them; of Gemma 3 from 4b on without the vision
// tower's 416,866,032 and the projector's 1152 x hidden + 1152; of GLM-4.5 without the layer that drafts
// tokens, whose embedding and output layer are counted with it.
constexpr i64 glm_draft(i64 hidden, i64 width, i64 experts, i64 heads_norm) {
    constexpr i64 kQ = 96 * 128, kKv = 8 * 128, kVocab = 151552;
    const i64 attention = 2 * hidden * (kQ + kKv) + kQ + 2 * kKv + heads_norm;
    const i64 mixture = experts * (hidden + 1) + 3 * (experts + 1) * hidden * width;
    return attention + mixture + 2 * hidden + 2 * hidden * hidden + 3 * hidden + 2 * kVocab * hidden;
}
const std::map<std::string, i64> kParameters = {
    {"deepseek-v2", 235741434880},
    {"deepseek-v2-lite", 15706484224},
    {"deepseek-v3", 671026419200},
    // V3's and those of the indexers.
    {"deepseek-v3.2-exp", 671026419200 + 61LL * (1536 * 64 * 128 + 7168 * 128 + 2 * 128 + 7168 * 64)},
    {"gemma-2-27b", 27227128320},
    {"gemma-2-2b", 2614341888},
    {"gemma-2-9b", 9241705984},
    {"gemma-3-12b", 12187325040 - 416866032 - 1152 * 3841},
    {"gemma-3-1b", 999885952},
    {"gemma-3-27b", 27432406640 - 416866032 - 1152 * 5377},
    {"gemma-3-4b", 4300079472 - 416866032 - 1152 * 2561},
    {"glm-4-9b", 9399951360},
    {"glm-4.5", 358337791296 - glm_draft(5120, 1536, 160, 2 * 128)},
    {"glm-4.5-air", 110468824832 - glm_draft(4096, 1408, 128, 0)},
    {"gpt-oss-120b", 116829156672},
    {"gpt-oss-20b", 20914757184},
    {"llama-3.1-405b", 405853388800},
    {"llama-3.1-70b", 70553706496},
    {"llama-3.1-8b", 8030261248},
    {"llama-3.2-1b", 1235814400},
    {"llama-3.2-3b", 3212749824},
    {"mistral-7b-v0.1", 7241732096},
    {"mistral-7b-v0.3", 7248023552},
    {"mistral-nemo-12b", 12247782400},
    {"mixtral-8x7b", 46702792704},
    {"phi-3-medium-128k", 13960238080},
    {"phi-3-medium-4k", 13960238080},
    {"phi-3-mini-128k", 3821079552},
    {"phi-3-mini-4k", 3821079552},
    {"phi-4", 14659507200},
    {"qwen1.5-moe-a2.7b", 14315784192},
    {"qwen2.5-0.5b", 494032768},
    {"qwen2.5-14b", 14770033664},
    {"qwen2.5-32b", 32763876352},
    {"qwen2.5-72b", 72706203648},
    {"qwen2.5-7b", 7615616512},
    {"qwen3-0.6b", 596049920},
    {"qwen3-1.7b", 1720574976},
    {"qwen3-14b", 14768307200},
    {"qwen3-235b-a22b", 235093634560},
    {"qwen3-30b-a3b", 30532122624},
    {"qwen3-32b", 32762123264},
    {"qwen3-4b", 4022468096},
    {"qwen3-8b", 8190735360},
};

// Where cards have rounded totals: each, and half of its last digit.
const std::map<std::string, std::pair<double, double>> kRounded = {
    {"kimi-k2", {1e12, 5e10}}, {"minimax-m2", {229e9, 0.5e9}}, {"qwen2-57b-a14b", {57.4e9, 0.05e9}}};

TEST(PublicModels, HaveTheParametersOfTheirModelCards) {
    for (const std::string& name : public_model_names()) {
        auto config = load_config(name);
        ASSERT_TRUE(config.ok()) << config.status().message();
        EXPECT_EQ(config->name, name);
        EXPECT_EQ(config->ignored_fields, std::vector<std::string>{}) << name;
        if (const auto rounded = kRounded.find(name); rounded != kRounded.end()) {
            const auto [total, half] = rounded->second;
            EXPECT_NEAR(static_cast<double>(num_parameters(*config)), total, half) << name;
            continue;
        }
        const auto parameters = kParameters.find(name);
        ASSERT_NE(parameters, kParameters.end()) << name;
        EXPECT_EQ(num_parameters(*config), parameters->second) << name;
    }
}

TEST(PublicModels, AreFoundByName) {
    EXPECT_TRUE(load_config("Llama-3.1-8B").ok());
    EXPECT_EQ(load_config("mistral-7b")->name, "mistral-7b-v0.3");
    EXPECT_TRUE(contains(load_config("llama-3.1-7b").status().message(),
                         "no model 'llama-3.1-7b': expected a folder, a config.json or one of "));
    EXPECT_TRUE(ends_with(load_config("llama3.1-8b").status().message(), "nearest: llama-3.1-8b"));
    EXPECT_FALSE(load_config("").ok());
    EXPECT_FALSE(load_config(std::string(5000, 'x')).ok());
}

}  // namespace
}  // namespace warpwright
