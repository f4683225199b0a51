// SPDX-License-Identifier: Apache-2.0
// Logits of quantised checkpoints, and how far apart they are.
#pragma once

#include <cmath>

#include "run/glossary.h"

namespace warpwright::test {

inline std::string folder_of(const std::string& name) {
    return std::string(WW_SOURCE_DIR) + "/tests/formats/models/" + name;
}

inline ModelConfig config_of(const std::string& folder, DType dtype, bool dequantise) {
    auto config = load_config(folder);
    EXPECT_TRUE(config.ok()) << config.status().message();
    config->dtype = dtype;
    config->dequantise = dequantise;
    config->activations = Activations::bits16;
    return *config;
}

inline std::shared_ptr<Context> host_context() {
    static const auto context = Context::open("cpu");
    EXPECT_TRUE(context.ok()) << context.status().message();
    return *context;
}

inline std::unique_ptr<Engine> engine_of(const ModelConfig& config, const std::string& folder,
                                         const std::shared_ptr<Context>& context = host_context()) {
    auto weights = load_weights(*context, config, folder);
    EXPECT_TRUE(weights.ok()) << weights.status().message();
    if (!weights.ok()) return nullptr;
    auto engine =
        Engine::create(context, config, std::move(*weights), {.max_sequences = 64, .max_context_tokens = 96});
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return std::move(*engine);
}

// What follows each prompt: logits, [prompts, vocabulary].
inline std::vector<float> logits_of(Engine& engine, const std::vector<std::vector<i32>>& prompts) {
    for (const auto& prompt : prompts)
        EXPECT_TRUE(engine.add({.prompt = prompt, .max_tokens = 1, .stop_at_eos = false}).ok());
    EXPECT_TRUE(engine.step().ok());
    EXPECT_EQ(engine.last_sequences().size(), prompts.size());
    auto logits = engine.last_logits();
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    return *logits;
}

inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return std::sqrt(sum / static_cast<double>(a.size()));
}

struct Logits {
    std::vector<float> exact;    // numbers, f16
    std::vector<float> numbers;  // bf16
    std::vector<float> packed;   // bf16
};

// Weights as numbers of f16, which has three bits more, are the reference. A model in bf16 may be as far from
// it with packed weights as twice what it is with numbers; in f16, an eighth of that.
inline Logits expect_same_logits(const std::string& folder, const std::vector<std::vector<i32>>& prompts) {
    const auto logits = [&](DType dtype, bool dequantise) {
        const auto engine = engine_of(config_of(folder, dtype, dequantise), folder);
        return logits_of(*engine, prompts);
    };
    Logits all{logits(DType::f16, true), logits(DType::bf16, true), logits(DType::bf16, false)};
    const double error = distance(all.numbers, all.exact);
    EXPECT_GT(error, 0);
    EXPECT_LE(distance(all.packed, all.exact), 2 * error);
    EXPECT_LE(distance(logits(DType::f16, false), all.exact), 2 * error / 8);
    return all;
}

// Prefixes of a text, and what follows each.
struct Text {
    std::vector<std::vector<i32>> prefixes;
    std::vector<i32> next;
};
inline Text held_out_text() {
    Text text;
    const auto cases = golden_cases();
    for (const auto& one : cases) {
        std::vector<i32> tokens = one.at("prompt_tokens").get<std::vector<i32>>();
        const auto more = one.at("tokens").get<std::vector<i32>>();
        tokens.insert(tokens.end(), more.begin(), more.end());
        for (std::size_t length = 8; length < tokens.size() && text.next.size() < 32; length += 5) {
            text.prefixes.emplace_back(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(length));
            text.next.push_back(tokens[length]);
        }
    }
    return text;
}

}  // namespace warpwright::test
