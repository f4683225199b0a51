// SPDX-License-Identifier: Apache-2.0
// How tokens are chosen and what is reported about them, with the shipped model.
#include <algorithm>
#include <cmath>

#include "engine_on.h"

namespace warpwright::test {
namespace {

using SamplingOn = EngineOn;

TEST_P(SamplingOn, SeedsReproduce) {
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

// The draws of a request depend on its seed alone: not on the slot, nor on what else is in the batch.
TEST_P(SamplingOn, SamplesAloneAsAmongOthers) {
    if (GetParam() != "cpu")
        GTEST_SKIP() << "without batch-invariant rows logits may differ by their last bit";
    const Request request{random_prompt(40, 21), 24, {.temperature = 0.9f, .top_p = 0.9f, .seed = 5}, false};
    const auto draw = [&](i64 max_sequences, int before, int after) {
        auto engine = glossary_engine(
            context, {.max_sequences = max_sequences, .max_context_tokens = 256, .max_batch_tokens = 64});
        const auto add_other = [&](u32 seed) {
            const Request other{random_prompt(seed, 5 + seed), 9, {.temperature = 1, .seed = seed}, false};
            EXPECT_TRUE(engine->add(other).ok());
        };
        for (int i = 0; i < before; ++i) add_other(static_cast<u32>(i));
        const auto id = engine->add(request);
        EXPECT_TRUE(id.ok());
        for (int i = 0; i < after; ++i) add_other(static_cast<u32>(20 + i));
        return run_all(*engine)[*id];
    };
    const auto alone = draw(1, 0, 0);
    EXPECT_EQ(alone.size(), 24u);
    EXPECT_EQ(draw(8, 0, 7), alone);
    EXPECT_EQ(draw(8, 5, 2), alone);
    EXPECT_EQ(draw(3, 7, 0), alone);
}

TEST_P(SamplingOn, SequencesOfOnePromptDiffer) {
    const std::vector<i32> prompt = random_prompt(41, 50);
    auto engine = glossary_engine(context, {.max_sequences = 4, .max_context_tokens = 256});
    const auto first = engine->add({.prompt = prompt,
                                    .max_tokens = 16,
                                    .sampling = {.temperature = 1, .seed = 30},
                                    .stop_at_eos = false,
                                    .num_sequences = 3});
    const auto same = engine->add({prompt, 16, {.temperature = 1, .seed = 31}, false});
    ASSERT_TRUE(first.ok() && same.ok());
    EXPECT_EQ(*same, *first + 3);
    auto tokens = run_all(*engine);
    EXPECT_NE(tokens[*first], tokens[*first + 1]);
    EXPECT_NE(tokens[*first + 1], tokens[*first + 2]);
    if (GetParam() == "cpu") {
        EXPECT_EQ(tokens[*first + 1], tokens[*same]);  // the i-th has the seed + i
    }
    // 50 tokens are three full pages and two tokens; the others read only those two.
    EXPECT_EQ(engine->stats().scheduler.reused_tokens, 3 * 48);
    EXPECT_EQ(engine->stats().prefill_tokens, 50 + 3 * 2);
}

TEST_P(SamplingOn, StopTokensEndTheText) {
    const std::vector<i32> prompt = random_prompt(70, 12);
    const auto free_running = generate({.max_sequences = 1, .max_context_tokens = 128}, {prompt}, 20)[0];
    auto engine = glossary_engine(context, {.max_sequences = 1, .max_context_tokens = 128});
    ASSERT_TRUE(engine->add({prompt, 20, {}, false, {free_running[6]}}).ok());
    const auto first =
        std::find(free_running.begin(), free_running.end(), free_running[6]) - free_running.begin();
    EXPECT_EQ(run_all(*engine).begin()->second.size(), static_cast<std::size_t>(first + 1));
}

// The logits of a step are the oracle of its log-probabilities.
TEST_P(SamplingOn, LogprobsAreThoseOfTheLogits) {
    auto engine = glossary_engine(context, {.max_sequences = 3, .max_context_tokens = 64});
    const auto add = [&](u32 seed, std::optional<int> logprobs) {
        SamplingParameters sampling{.temperature = 0.8f, .top_k = 40, .seed = seed};
        sampling.logprobs = logprobs;
        EXPECT_TRUE(engine->add({random_prompt(seed, 9), 6, sampling, false}).ok());
    };
    add(80, 4);
    add(81, std::nullopt);
    add(82, 0);
    while (!engine->idle()) {
        auto step = engine->step();
        ASSERT_TRUE(step.ok()) << step.status().message();
        const auto logits = *engine->last_logits();
        const std::size_t vocab = logits.size() / engine->last_sequences().size();
        for (std::size_t row = 0; row < step->size(); ++row) {
            const Token& token = (*step)[row];
            ASSERT_EQ(token.sequence, engine->last_sequences()[row]);
            if (token.sequence == 1) {
                EXPECT_EQ(token.logprobs, nullptr);
                continue;
            }
            ASSERT_NE(token.logprobs, nullptr);
            const std::vector<double> x(logits.begin() + static_cast<std::ptrdiff_t>(row * vocab),
                                        logits.begin() + static_cast<std::ptrdiff_t>((row + 1) * vocab));
            double sum = 0;
            for (const double logit : x) sum += std::exp(logit);
            const auto logprob = [&](i32 id) { return x[static_cast<std::size_t>(id)] - std::log(sum); };
            EXPECT_NEAR(token.logprobs->chosen, logprob(token.token), 1e-5);
            ASSERT_EQ(token.logprobs->top.size(), token.sequence == 0 ? 4u : 0u);
            std::vector<double> sorted = x;
            std::sort(sorted.rbegin(), sorted.rend());
            for (std::size_t i = 0; i < token.logprobs->top.size(); ++i) {
                const auto& top = token.logprobs->top[i];
                EXPECT_EQ(x[static_cast<std::size_t>(top.token)], sorted[i]);
                EXPECT_NEAR(top.logprob, logprob(top.token), 1e-5);
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, SamplingOn, testing::ValuesIn(test_devices()),
                         [](const auto& info) { return info.param == "cpu" ? "cpu" : "cuda"; });

}  // namespace
}  // namespace warpwright::test
