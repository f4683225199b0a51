// SPDX-License-Identifier: Apache-2.0
// The shipped model on every GPU that there is a target for, emulated: the CPU's greedy tokens.
#include "glossary.h"

namespace warpwright::test {
namespace {

constexpr i64 kTokens = 12;

std::vector<std::vector<i32>> greedy_texts(const std::string& device, int num_prompts,
                                           i64 max_batch_tokens = 2048) {
    auto context = Context::open(device);
    EXPECT_TRUE(context.ok()) << context.status().message();
    if (!context.ok()) return {};
    const auto engine = glossary_engine(
        *context, {.max_sequences = 2, .max_context_tokens = 256, .max_batch_tokens = max_batch_tokens});
    if (engine == nullptr) return {};
    const auto cases = golden_cases();
    for (int i = 0; i < num_prompts; ++i) {
        const auto id =
            engine->add({cases[static_cast<std::size_t>(i)]["prompt_tokens"], kTokens, {}, false});
        EXPECT_TRUE(id.ok()) << id.status().message();
    }
    std::vector<std::vector<i32>> texts;
    for (auto& [id, tokens] : run_all(*engine)) texts.push_back(std::move(tokens));
    return texts;
}

TEST(EmulatedGpu, EachWritesTheCpusGreedyTokens) {
    const auto expected = greedy_texts("cpu", 1);
    ASSERT_EQ(expected.size(), 1u);
    int gpus = 0;
    for (const Target& target : targets()) {
        if (target.facts.compute_capability == 0) continue;
        ++gpus;
        EXPECT_EQ(greedy_texts("emulated:" + target.id + ",checks=off", 1), expected) << target.id;
    }
    EXPECT_GE(gpus, 20);
}

// With every check, blocks and warps in an order of their own, and two sequences in each step.
TEST(EmulatedGpu, OrderOfBlocksAndWarpsChangesNothing) {
    const auto expected = greedy_texts("emulated:rtx-pro-6000", 2);
    ASSERT_EQ(expected.size(), 2u);
    for (const char* seed : {"1", "2"}) {
        EXPECT_EQ(greedy_texts(std::string("emulated:rtx-pro-6000,checks=all,seed=") + seed, 2), expected)
            << seed;
    }
}

// Chunks of a prompt in the passes in which another sequence decodes.
TEST(EmulatedGpu, PromptsReadBesideDecodingChangeNothing) {
    EXPECT_EQ(greedy_texts("emulated:rtx-pro-6000", 2, 7), greedy_texts("cpu", 2));
}

}  // namespace
}  // namespace warpwright::test
