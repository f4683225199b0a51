// SPDX-License-Identifier: Apache-2.0
// How tokens are chosen and what is reported about them, with the shipped model.
#include <algorithm>
#include <cmath>
#include <limits>

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
    const Request request{random_prompt(40, 21), 24, {.temperature = 0.9f, .top_p = 0.9f, .seed = 5}, false};
    const auto draw = [&](i64 max_sequences, int before, int after) {
        auto engine = glossary_engine(context, {.max_sequences = max_sequences,
                                                .max_context_tokens = 256,
                                                .max_batch_tokens = 64,
                                                .batch_invariant = true});
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
    auto engine =
        glossary_engine(context, {.max_sequences = 4, .max_context_tokens = 256, .batch_invariant = true});
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
    EXPECT_EQ(tokens[*first + 1], tokens[*same]);  // the i-th has the seed + i
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

// ---- penalties, biases and bans, on an emulated GPU too

class PenaltiesOn : public EngineOn {
protected:
    static EngineOptions options() {
        return {.max_sequences = 4, .max_context_tokens = 64, .batch_invariant = true};
    }

    // Greedy tokens. Where log-probabilities are asked for, logits stay as the model made them, and every
    // token is compared with the likeliest under the rules of engine/sampling.h.
    std::map<int, std::vector<i32>> generate_adjusted(const std::vector<Request>& requests,
                                                      bool with_logprobs) {
        auto engine = glossary_engine(context, options());
        for (Request request : requests) {
            if (with_logprobs) request.sampling.logprobs = 1;
            EXPECT_TRUE(engine->add(request).ok());
        }
        std::map<int, std::vector<i32>> output;
        while (!engine->idle()) {
            auto step = engine->step();
            EXPECT_TRUE(step.ok()) << step.status().message();
            if (!step.ok()) break;
            const auto logits = with_logprobs ? *engine->last_logits() : std::vector<float>();
            for (std::size_t row = 0; row < step->size(); ++row) {
                const Token& token = (*step)[row];
                std::vector<i32>& written = output[token.sequence];
                if (with_logprobs) {
                    const auto vocab = logits.size() / engine->last_sequences().size();
                    const std::span<const float> raw = std::span(logits).subspan(row * vocab, vocab);
                    const Request& request = requests[static_cast<std::size_t>(token.sequence)];
                    EXPECT_EQ(token.token, likeliest(raw, request, written));
                    EXPECT_EQ(token.logprobs->top[0].token,
                              std::max_element(raw.begin(), raw.end()) - raw.begin());
                }
                written.push_back(token.token);
            }
        }
        return output;
    }

    static i32 likeliest(std::span<const float> raw, const Request& request, const std::vector<i32>& output) {
        const SamplingParameters& s = request.sampling;
        std::vector<float> x(raw.begin(), raw.end());
        for (const auto& [token, bias] : s.logit_bias) x[static_cast<std::size_t>(token)] += bias;
        if (std::ssize(output) < request.min_tokens) {
            for (const i32 token : request.stop_tokens)
                x[static_cast<std::size_t>(token)] = -std::numeric_limits<float>::infinity();
        }
        for (std::size_t token = 0; token < x.size(); ++token) {
            const auto count = std::count(output.begin(), output.end(), static_cast<i32>(token));
            if (count > 0 ||
                std::count(request.prompt.begin(), request.prompt.end(), static_cast<i32>(token)))
                x[token] = x[token] > 0 ? x[token] / s.repetition_penalty : x[token] * s.repetition_penalty;
            if (count > 0)
                x[token] += -(s.frequency_penalty * static_cast<float>(count) + s.presence_penalty);
        }
        return static_cast<i32>(std::max_element(x.begin(), x.end()) - x.begin());
    }
};

TEST_P(PenaltiesOn, GreedyTokensAreThoseOfTheRules) {
    const std::vector<i32> prompt = random_prompt(90, 9);
    const i64 max_tokens = 14;
    const Request plain{prompt, max_tokens, {}, false};
    const auto free_running = generate_adjusted({plain}, true)[0];
    std::vector<Request> requests(4, plain);
    requests[0].sampling.repetition_penalty = 1.5f;
    requests[1].sampling.presence_penalty = 1.5f;
    requests[1].sampling.frequency_penalty = 0.5f;
    requests[1].sampling.logit_bias = {{free_running[0], -100}, {free_running[2], 3}, {77, 100}};
    requests[1].sampling.logit_bias[2].second = -std::numeric_limits<float>::infinity();
    requests[2].stop_tokens = {free_running[0]};
    requests[2].min_tokens = 5;
    const auto checked = generate_adjusted(requests, true);
    EXPECT_NE(checked.at(0), free_running);
    EXPECT_NE(checked.at(1), free_running);
    EXPECT_NE(checked.at(1)[0], free_running[0]);
    EXPECT_GE(checked.at(2).size(), 5u);
    EXPECT_EQ(checked.at(3), free_running);  // nothing is done to the others
    // Adjusted in place, where no log-probabilities are asked for, the draws see the same.
    EXPECT_EQ(generate_adjusted(requests, false), checked);
}

// Lists that outgrow their memory: graphs that read the old lists are made again.
TEST_P(PenaltiesOn, ListsGrow) {
    auto engine = glossary_engine(context, options());
    Request few{random_prompt(91, 5), 8, {}, false};
    few.sampling.logit_bias = {{3, 1.f}};
    Request many = few;
    for (i32 token = 1000; token < 3000; ++token) many.sampling.logit_bias.emplace_back(token, -50.f);
    ASSERT_TRUE(engine->add(few).ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(engine->step().ok());
    const auto id = engine->add(many);
    ASSERT_TRUE(id.ok());
    const auto together = run_all(*engine);
    auto alone = glossary_engine(context, options());
    ASSERT_TRUE(alone->add(many).ok());
    const auto expected = run_all(*alone).begin()->second;
    for (const i32 token : expected) EXPECT_FALSE(token >= 1000 && token < 3000);
    EXPECT_EQ(together.at(*id), expected);
}

std::vector<std::string> with_emulated() {
    std::vector<std::string> devices = test_devices();
    devices.emplace_back("emulated:h100-sxm");
    return devices;
}

INSTANTIATE_TEST_SUITE_P(Devices, PenaltiesOn, testing::ValuesIn(with_emulated()),
                         [](const auto& info) { return info.param.substr(0, info.param.find(':')); });

INSTANTIATE_TEST_SUITE_P(Devices, SamplingOn, testing::ValuesIn(test_devices()),
                         [](const auto& info) { return info.param == "cpu" ? "cpu" : "cuda"; });

}  // namespace
}  // namespace warpwright::test
