// SPDX-License-Identifier: Apache-2.0
// The shipped model, loaded once per device, for the end-to-end tests.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/config.h"
#include "engine/engine.h"
#include "engine/tokenizer.h"
#include "engine/weights.h"

namespace warpwright::test {

inline std::string glossary_folder() {
    return std::string(WW_SOURCE_DIR) + "/models/glossary";
}

// What models/glossary/golden.py wrote: one entry a prompt.
inline std::vector<nlohmann::json> golden_cases() {
    std::ifstream file(glossary_folder() + "/goldens.json");
    std::vector<nlohmann::json> cases = nlohmann::json::parse(file)["cases"];
    EXPECT_GE(cases.size(), 8u);
    return cases;
}

inline std::unique_ptr<Engine> glossary_engine(const std::shared_ptr<Context>& context,
                                               const EngineOptions& options) {
    auto config = load_config(glossary_folder());
    EXPECT_TRUE(config.ok()) << config.status().message();
    auto weights = load_weights(*context, *config, glossary_folder());
    EXPECT_TRUE(weights.ok()) << weights.status().message();
    auto engine = Engine::create(context, *config, std::move(*weights), options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return engine.ok() ? std::move(*engine) : nullptr;
}

// Runs until nothing is left; tokens by sequence.
inline std::map<int, std::vector<i32>> run_all(Engine& engine) {
    std::map<int, std::vector<i32>> tokens;
    while (!engine.idle()) {
        auto step = engine.step();
        EXPECT_TRUE(step.ok()) << step.status().message();
        if (!step.ok()) break;
        for (const Token& token : *step) tokens[token.sequence].push_back(token.token);
    }
    return tokens;
}

// The devices that this machine's tests run on: the CPU, and a GPU where there is one.
inline std::vector<std::string> test_devices() {
    std::vector<std::string> devices{"cpu"};
    for (const std::string& id : list_devices().ids) {
        if (id == "cuda:0") devices.push_back(id);
    }
    return devices;
}

}  // namespace warpwright::test
