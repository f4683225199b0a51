// SPDX-License-Identifier: Apache-2.0
#include "engine/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace warpwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr i32 kVocabulary = 20;

// vLLM's rules, written down over the whole vocabulary and from scratch for every step.
std::vector<float> adjusted(std::vector<float> logits, const SamplingParameters& sampling,
                            const std::vector<i32>& prompt, const std::vector<i32>& output,
                            const std::vector<i32>& ending, i64 min_tokens) {
    for (const auto& [token, bias] : sampling.logit_bias) logits[static_cast<std::size_t>(token)] += bias;
    if (std::ssize(output) < min_tokens) {
        for (const i32 token : ending) logits[static_cast<std::size_t>(token)] = -kInfinity;
    }
    for (i32 token = 0; token < kVocabulary; ++token) {
        float& logit = logits[static_cast<std::size_t>(token)];
        const auto count = std::ranges::count(output, token);
        if (count > 0 || std::ranges::count(prompt, token) > 0)
            logit = logit > 0 ? logit / sampling.repetition_penalty : logit * sampling.repetition_penalty;
        logit -= sampling.frequency_penalty * static_cast<float>(count);
        if (count > 0) logit -= sampling.presence_penalty;
    }
    return logits;
}

// warpwright/ops/logits.h
std::vector<float> apply(std::vector<float> logits, std::span<const LogitAdjustment> entries) {
    std::vector<bool> seen(logits.size());
    for (const LogitAdjustment& entry : entries) {
        const auto token = static_cast<std::size_t>(entry.token);
        EXPECT_FALSE(seen[token]) << "token " << token << " has two entries";
        seen[token] = true;
        float& logit = logits[token];
        logit += entry.bias;
        logit = logit > 0 ? logit / entry.repetition : logit * entry.repetition;
        logit += entry.addend;
    }
    return logits;
}

TEST(LogitAdjustments, AreWhatARuleFromScratchSays) {
    std::mt19937 random(11);
    const auto below = [&](u32 end) { return static_cast<i32>(random() % end); };
    int steps = 0;
    for (int round = 0; round < 300; ++round) {
        SamplingParameters sampling;
        // Powers of two and small multiples of them: nothing is rounded, in whatever order it is added.
        if (below(2) == 0) sampling.repetition_penalty = std::ldexp(1.f, below(5) - 2);
        if (below(2) == 0) sampling.presence_penalty = 0.5f * static_cast<float>(below(9)) - 2;
        if (below(2) == 0) sampling.frequency_penalty = 0.25f * static_cast<float>(below(9)) - 1;
        for (i32 token = 0; token < kVocabulary; ++token) {
            if (below(5) == 0) {
                const float bias = below(4) == 0 ? -kInfinity : static_cast<float>(below(200) - 100);
                sampling.logit_bias.emplace_back(token, bias);
            }
        }
        const i64 min_tokens = below(6);
        std::vector<i32> prompt(static_cast<std::size_t>(1 + below(10))), ending, output;
        for (i32& token : prompt) token = below(kVocabulary);
        for (int i = below(4); i > 0; --i) ending.push_back(below(kVocabulary));
        LogitAdjustments adjustments(sampling, prompt, ending, min_tokens);
        for (int step = 0; step < 8; ++step, ++steps) {
            std::vector<float> logits;
            for (i32 token = 0; token < kVocabulary; ++token)
                logits.push_back(static_cast<float>(below(64) - 32) / 4);
            EXPECT_EQ(apply(logits, adjustments.entries()),
                      adjusted(logits, sampling, prompt, output, ending, min_tokens))
                << "round " << round << " step " << step;
            output.push_back(below(kVocabulary));
            adjustments.push(output.back());
        }
    }
    EXPECT_EQ(steps, 2400);
}

TEST(LogitAdjustments, AreNeededForWhatChangesLogits) {
    EXPECT_FALSE(LogitAdjustments::needed({.temperature = 1, .top_k = 5, .top_p = 0.5f, .min_p = 0.1f}, 0));
    EXPECT_TRUE(LogitAdjustments::needed({.repetition_penalty = 1.1f}, 0));
    EXPECT_TRUE(LogitAdjustments::needed({.presence_penalty = 0.1f}, 0));
    EXPECT_TRUE(LogitAdjustments::needed({.frequency_penalty = -0.1f}, 0));
    EXPECT_TRUE(LogitAdjustments::needed({.logit_bias = {{1, 0.f}}}, 0));
    EXPECT_TRUE(LogitAdjustments::needed({}, 1));
}

TEST(Logprobs, AreNormalisedAndSorted) {
    std::vector<float> logits{1, 3, 3, -2, 0.5f};
    const Logprobs logprobs = logprobs_of(logits, 4, 3);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    EXPECT_FLOAT_EQ(logprobs.chosen, static_cast<float>(0.5 - std::log(sum)));
    ASSERT_EQ(logprobs.top.size(), 3u);
    EXPECT_EQ(logprobs.top[0].token, 1);  // the lower id first among equals
    EXPECT_EQ(logprobs.top[1].token, 2);
    EXPECT_EQ(logprobs.top[2].token, 0);
    EXPECT_FLOAT_EQ(logprobs.top[2].logprob, static_cast<float>(1 - std::log(sum)));
    EXPECT_TRUE(logprobs_of(logits, 0, 0).top.empty());
    // Far from zero nothing overflows.
    for (float& logit : logits) logit += 500;
    EXPECT_FLOAT_EQ(logprobs_of(logits, 4, 0).chosen, logprobs.chosen);
}

}  // namespace
}  // namespace warpwright
