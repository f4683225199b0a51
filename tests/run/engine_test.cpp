// SPDX-License-Identifier: Apache-2.0
// The engine's behaviour with the shipped model: batching, chunks, pages, limits, and that a plan is what
// runs.
#include <algorithm>
#include <random>

#include "glossary.h"
#include "warpwright/plan.h"

namespace warpwright::test {
namespace {

std::vector<i32> random_prompt(u32 seed, std::size_t length) {
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

TEST_P(EngineOn, EverySequenceGetsItsTokens) {
    std::vector<std::vector<i32>> prompts;
    for (u32 i = 0; i < 7; ++i) prompts.push_back(random_prompt(i, 3 + 11 * i));
    const auto all = generate({.max_sequences = 3, .max_context_tokens = 256}, prompts, 20);
    ASSERT_EQ(all.size(), prompts.size());
    for (const auto& tokens : all) EXPECT_EQ(tokens.size(), 20u);
}

// Host rows compute a row of a product the same way whatever the batch, so the texts must be equal. On a GPU
// another row may be chosen for another batch: there only the first token of each must agree.
TEST_P(EngineOn, BatchGivesWhatSinglesGive) {
    std::vector<std::vector<i32>> prompts;
    for (u32 i = 0; i < 5; ++i) prompts.push_back(random_prompt(100 + i, 5 + 17 * i));
    const auto together = generate({.max_sequences = 5, .max_context_tokens = 256}, prompts, 16);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        const auto alone = generate({.max_sequences = 1, .max_context_tokens = 256}, {prompts[i]}, 16);
        if (GetParam() == "cpu") {
            EXPECT_EQ(together[i], alone[0]) << "prompt " << i;
        } else {
            EXPECT_EQ(together[i][0], alone[0][0]) << "prompt " << i;
        }
    }
}

TEST_P(EngineOn, ChunkedPromptsGiveTheSameText) {
    if (GetParam() != "cpu")
        GTEST_SKIP() << "rows differ by chunk size on a GPU; logits are compared by Golden";
    const std::vector<i32> prompt = random_prompt(7, 150);
    const auto whole = generate({.max_sequences = 1, .max_context_tokens = 256}, {prompt}, 24);
    const auto chunks =
        generate({.max_sequences = 1, .max_context_tokens = 256, .max_batch_tokens = 37}, {prompt}, 24);
    EXPECT_EQ(whole, chunks);
}

TEST_P(EngineOn, PagesOfEverySizeGiveTheSameText) {
    const std::vector<i32> prompt = random_prompt(8, 90);
    const auto first =
        generate({.max_sequences = 1, .max_context_tokens = 256, .page_size_tokens = 16}, {prompt}, 24);
    for (i64 page_size : {1, 4, 64, 256}) {
        const EngineOptions options{
            .max_sequences = 1, .max_context_tokens = 256, .page_size_tokens = page_size};
        EXPECT_EQ(first, generate(options, {prompt}, 24)) << "page size " << page_size;
    }
}

TEST_P(EngineOn, WaitsForPagesAndReusesThem) {
    // Room for two sequences of 64 tokens; six of them, one after another on the same pages.
    std::vector<std::vector<i32>> prompts;
    for (u32 i = 0; i < 6; ++i) prompts.push_back(random_prompt(i % 2, 40));
    const auto all =
        generate({.max_sequences = 4, .max_context_tokens = 64, .cache_tokens = 128}, prompts, 24);
    ASSERT_EQ(all.size(), 6u);
    EXPECT_EQ(all[0], all[2]);
    EXPECT_EQ(all[0], all[4]);
    EXPECT_EQ(all[1], all[3]);
    EXPECT_EQ(all[1], all[5]);
}

TEST_P(EngineOn, SeedsReproduce) {
    auto engine = glossary_engine(context, {.max_sequences = 4, .max_context_tokens = 256});
    const std::vector<i32> prompt = random_prompt(3, 10);
    const auto request = [&](u64 seed) {
        return Request{prompt, 32, {.temperature = 1, .top_k = 50, .top_p = 0.95f, .seed = seed}, false};
    };
    for (u64 seed : {11, 12, 11}) ASSERT_TRUE(engine->add(request(seed)).ok());
    auto tokens = run_all(*engine);
    EXPECT_EQ(tokens[0], tokens[2]);
    EXPECT_NE(tokens[0], tokens[1]);
}

TEST_P(EngineOn, LengthsGrowToTheLimit) {
    const auto all =
        generate({.max_sequences = 1, .max_context_tokens = 1024}, {random_prompt(4, 3)}, 100000);
    EXPECT_EQ(all[0].size(), 1024u - 3u);
}

TEST_P(EngineOn, RefusesWhatItCannotHold) {
    auto engine = glossary_engine(context, {.max_sequences = 2, .max_context_tokens = 64});
    const auto message = [&](const Request& request) {
        auto id = engine->add(request);
        return id.ok() ? "accepted" : id.status().message();
    };
    EXPECT_EQ(message({random_prompt(1, 64), 1, {}}),
              "prompt has 64 tokens, the cache holds 64 and one must be free");
    EXPECT_EQ(message({{}, 1, {}}), "prompt: expected at least one token, got none");
    EXPECT_EQ(message({{0, 4096}, 1, {}}), "prompt: token 4096 is outside the vocabulary of 4096");
    EXPECT_EQ(message({{0}, 0, {}}), "max_tokens: expected at least 1, got 0");
    EXPECT_TRUE(engine->idle());
}

// The rows that a decode step launched are those that the plan for this device names, in its order.
TEST_P(EngineOn, PlanIsWhatRuns) {
    const i64 batch = 2, context_tokens = 256;
    auto engine = glossary_engine(context, {.max_sequences = batch, .max_context_tokens = context_tokens});
    for (u32 i = 0; i < 2; ++i) ASSERT_TRUE(engine->add({random_prompt(i, 8), 3, {}, false}).ok());
    run_all(*engine);
    auto config = load_config(glossary_folder());
    ASSERT_TRUE(config.ok());
    auto plan = plan_model(*config, context->target(), {.batch = batch, .context_tokens = context_tokens});
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    EXPECT_TRUE(plan->runs());

    const auto is_layer = [](const PlannedLayer& layer) {
        return layer.name.find("layers") != std::string::npos;
    };
    std::vector<std::string> planned;
    const auto first = std::find_if(plan->layers.begin(), plan->layers.end(), is_layer);
    const auto end = std::find_if_not(first, plan->layers.end(), is_layer);
    for (auto layer = plan->layers.begin(); layer != first; ++layer)
        planned.push_back(layer->decode.choice()->row);
    for (int i = 0; i < config->num_layers; ++i) {
        for (auto layer = first; layer != end; ++layer) {
            if (layer->first <= i && i <= layer->last) planned.push_back(layer->decode.choice()->row);
        }
    }
    for (auto layer = end; layer != plan->layers.end(); ++layer)
        planned.push_back(layer->decode.choice()->row);
    std::vector<std::string> launched = engine->decode_rows();
    // A merge belongs to the attention before it, whose Explanation speaks for both.
    std::erase_if(launched, [](const std::string& row) { return row.find("merge") != std::string::npos; });
    EXPECT_EQ(launched, planned);
}

INSTANTIATE_TEST_SUITE_P(Devices, EngineOn, testing::ValuesIn(test_devices()),
                         [](const auto& info) { return info.param == "cpu" ? "cpu" : "cuda"; });

}  // namespace
}  // namespace warpwright::test
