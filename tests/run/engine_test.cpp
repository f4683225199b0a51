// SPDX-License-Identifier: Apache-2.0
// The engine's behaviour with the shipped model: batching, chunks, pages, limits, and that a plan is what
// runs.
#include <algorithm>
#include <cmath>

#include "engine_on.h"
#include "planned_rows.h"
#include "warpwright/plan.h"

namespace warpwright::test {
namespace {

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

TEST_P(EngineOn, PromptsReadBesideDecodingGiveTheSameText) {
    std::vector<std::vector<i32>> prompts;
    for (u32 i = 0; i < 4; ++i) prompts.push_back(random_prompt(30 + i, 20 + 60 * (i % 3)));
    auto engine =
        glossary_engine(context, {.max_sequences = 4, .max_context_tokens = 256, .max_batch_tokens = 40});
    for (const auto& prompt : prompts) ASSERT_TRUE(engine->add({prompt, 24, {}, false}).ok());
    const auto together = run_all(*engine);
    EXPECT_GT(engine->stats().prefill_passes, 5);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        const auto alone = generate({.max_sequences = 1, .max_context_tokens = 256}, {prompts[i]}, 24)[0];
        const auto& tokens = together.at(static_cast<int>(i));
        if (GetParam() == "cpu") {
            EXPECT_EQ(tokens, alone) << "prompt " << i;
        } else {
            EXPECT_EQ(tokens[0], alone[0]) << "prompt " << i;
        }
    }
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
        generate({.max_sequences = 4, .max_context_tokens = 64, .cache_tokens = 128, .batch_invariant = true},
                 prompts, 24);
    ASSERT_EQ(all.size(), 6u);
    EXPECT_EQ(all[0], all[2]);
    EXPECT_EQ(all[0], all[4]);
    EXPECT_EQ(all[1], all[3]);
    EXPECT_EQ(all[1], all[5]);
}

TEST_P(EngineOn, ReusesPagesOfWhatCameBefore) {
    auto engine =
        glossary_engine(context, {.max_sequences = 2, .max_context_tokens = 256, .batch_invariant = true});
    auto run = [&](const std::vector<i32>& prompt) {
        EXPECT_TRUE(engine->add({prompt, 20, {}, false}).ok());
        return run_all(*engine).begin()->second;
    };
    // A dialogue: the first answer is part of the next prompt, and is in the cache like the prompt itself.
    std::vector<i32> dialogue = random_prompt(42, 40);
    const auto answer = run(dialogue);
    EXPECT_EQ(engine->stats().scheduler.reused_tokens, 0);
    EXPECT_EQ(run(dialogue), answer);
    EXPECT_EQ(engine->stats().scheduler.reused_tokens, 32);
    dialogue.insert(dialogue.end(), answer.begin(), answer.end());
    dialogue.push_back(9);
    const auto next = run(dialogue);
    EXPECT_EQ(engine->stats().scheduler.reused_tokens, 32 + 48);  // of 61 tokens, 59 of them in the cache
    // One other token in the first page, and nothing is reused.
    dialogue[3] += 1;
    run(dialogue);
    EXPECT_EQ(engine->stats().scheduler.reused_tokens, 32 + 48);
    dialogue[3] -= 1;
    const EngineOptions fresh{.max_sequences = 1, .max_context_tokens = 256, .batch_invariant = true};
    EXPECT_EQ(generate(fresh, {dialogue}, 20)[0], next);
}

TEST_P(EngineOn, PreemptionLosesNothing) {
    std::vector<std::vector<i32>> prompts;
    for (u32 i = 0; i < 6; ++i) prompts.push_back(random_prompt(50 + i, 10 + 7 * i));
    const auto roomy =
        generate({.max_sequences = 6, .max_context_tokens = 128, .batch_invariant = true}, prompts, 40);
    auto engine = glossary_engine(context, {.max_sequences = 6,
                                            .max_context_tokens = 128,
                                            .max_batch_tokens = 48,
                                            .page_size_tokens = 4,
                                            .cache_tokens = 160,
                                            .batch_invariant = true});
    for (const auto& prompt : prompts) ASSERT_TRUE(engine->add({prompt, 40, {}, false}).ok());
    const auto tight = run_all(*engine);
    EXPECT_GT(engine->stats().scheduler.preemptions, 0);
    EXPECT_EQ(engine->stats().scheduler.free_pages, 40);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        const auto& tokens = tight.at(static_cast<int>(i));
        EXPECT_EQ(tokens, roomy[i]) << "prompt " << i;
    }
}

TEST_P(EngineOn, CancelledSequencesGiveWayToTheOthers) {
    auto engine = glossary_engine(context, {.max_sequences = 1, .max_context_tokens = 64});
    std::vector<int> ids;
    for (u32 i = 0; i < 3; ++i) {
        const auto id = engine->add({random_prompt(60 + i, 8), 8, {}, false});
        ASSERT_TRUE(id.ok());
        ids.push_back(*id);
    }
    ASSERT_TRUE(engine->step().ok());
    EXPECT_TRUE(engine->cancel(ids[0]));   // decoding
    EXPECT_TRUE(engine->cancel(ids[1]));   // waiting
    EXPECT_FALSE(engine->cancel(ids[1]));  // no more
    auto tokens = run_all(*engine);
    EXPECT_EQ(tokens.size(), 1u);
    EXPECT_EQ(tokens[ids[2]].size(), 8u);
    EXPECT_FALSE(engine->cancel(ids[2]));
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
    EXPECT_EQ(message({.prompt = {0}, .num_sequences = 0}), "num_sequences: expected at least 1, got 0");
    EXPECT_EQ(message({.prompt = {0}, .stop_tokens = {-1}}),
              "stop_tokens: token -1 is outside the vocabulary of 4096");
    EXPECT_EQ(message({.prompt = {0}, .max_tokens = 4, .min_tokens = 5}),
              "min_tokens: expected at most max_tokens (4), got 5");
    EXPECT_EQ(message({.prompt = {0}, .sampling = {.temperature = -1}}),
              "temperature: expected 0 or more, got -1");
    EXPECT_EQ(message({.prompt = {0}, .sampling = {.temperature = 1, .top_p = 0}}),
              "top_p: expected more than 0 and at most 1, got 0");
    EXPECT_EQ(message({.prompt = {0}, .sampling = {.min_p = std::nanf("")}}),
              "min_p: expected 0 to 1, got nan");
    EXPECT_EQ(message({.prompt = {0}, .sampling = {.repetition_penalty = 0}}),
              "repetition_penalty: expected more than 0, got 0");
    EXPECT_EQ(message({.prompt = {0}, .sampling = {.presence_penalty = 3}}),
              "presence_penalty: expected -2 to 2, got 3");
    EXPECT_EQ(message({.prompt = {0}, .sampling = {.logit_bias = {{4096, 1.f}}}}),
              "logit_bias: token 4096 is outside the vocabulary of 4096");
    EXPECT_EQ(message({.prompt = {0}, .sampling = {.logprobs = -1}}), "logprobs: expected 0 to 4096, got -1");
    EXPECT_TRUE(engine->idle());
}

TEST_P(EngineOn, RefusesOptionsThatMakeNoEngine) {
    const auto message = [&](const EngineOptions& options) {
        auto config = load_config(glossary_folder());
        auto engine = Engine::create(context, *config, {}, options);
        return engine.ok() ? "made" : engine.status().message();
    };
    EXPECT_EQ(message({.max_sequences = 0}), "max_sequences: expected at least 1, got 0");
    EXPECT_EQ(message({.max_sequences = 9, .max_batch_tokens = 8}),
              "max_batch_tokens: expected at least 9, one for each sequence, got 8");
    EXPECT_EQ(message({.page_size_tokens = 12}), "page_size_tokens: expected a power of two, got 12");
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

    EXPECT_EQ(launched_rows(*engine), planned_rows(*plan));
}

INSTANTIATE_TEST_SUITE_P(Devices, EngineOn, testing::ValuesIn(test_devices()),
                         [](const auto& info) { return info.param == "cpu" ? "cpu" : "cuda"; });

}  // namespace
}  // namespace warpwright::test
