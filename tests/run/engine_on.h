// SPDX-License-Identifier: Apache-2.0
// Tests that make engines of the shipped model on each of this machine's devices.
#pragma once

#include <random>

#include "glossary.h"

namespace warpwright::test {

inline std::vector<i32> random_prompt(u32 seed, std::size_t length) {
    std::mt19937 random(seed);
    std::vector<i32> prompt{0};
    while (prompt.size() < length) prompt.push_back(static_cast<i32>(2 + random() % 4000));
    return prompt;
}

class EngineOn : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
    }
    std::vector<std::vector<i32>> generate(const EngineOptions& options,
                                           const std::vector<std::vector<i32>>& prompts, i64 max_tokens) {
        auto engine = glossary_engine(context, options);
        for (const auto& prompt : prompts) EXPECT_TRUE(engine->add({prompt, max_tokens, {}, false}).ok());
        std::vector<std::vector<i32>> all;
        for (auto& [id, tokens] : run_all(*engine)) all.push_back(tokens);
        return all;
    }
    std::shared_ptr<Context> context;
};

}  // namespace warpwright::test
