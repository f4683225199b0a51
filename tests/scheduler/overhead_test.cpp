// SPDX-License-Identifier: Apache-2.0
// What the host does for one decode step besides driving the device: choosing the pass, filling its inputs,
// and taking in its tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "engine/scheduler.h"
#include "engine/step_inputs.h"

namespace warpwright {
namespace {

constexpr i64 kSequences = 256;
constexpr i64 kContextTokens = 4096, kPageSizeTokens = 16;

TEST(Overhead, ADecodeStepOf256Sequences) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    Scheduler scheduler({.max_sequences = kSequences,
                         .max_batch_tokens = 8192,
                         .num_pages = kSequences * kContextTokens / kPageSizeTokens,
                         .page_size_tokens = kPageSizeTokens});
    auto inputs = StepInputs::create(
        **context,
        {.tokens = 8192, .sequences = kSequences, .pages_per_sequence = kContextTokens / kPageSizeTokens});
    ASSERT_TRUE(inputs.ok()) << inputs.status().message();
    for (int id = 0; id < kSequences; ++id) {
        auto sequence = std::make_unique<Sequence>();
        sequence->id = id;
        sequence->prompt_tokens = 64 + id;  // of all remainders, so that pages fill in different steps
        sequence->tokens.assign(static_cast<std::size_t>(64 + id), id);
        sequence->max_tokens = 3000;
        sequence->ending = {1, 2};
        scheduler.add(std::move(sequence));
    }
    std::vector<double> us;
    std::vector<i32> sampled;
    while (us.size() < 2000) {
        const auto start = std::chrono::steady_clock::now();
        const Pass& pass = scheduler.next();
        inputs->fill(pass, static_cast<i64>(pass.parts.size()));
        const auto filled = std::chrono::steady_clock::now();
        const bool measured = pass.only_decodes() && pass.num_decoding == kSequences;
        ASSERT_TRUE(inputs->upload((*context)->device(), {}).ok());
        sampled.assign(pass.parts.size(), 7);
        const auto sampled_at = std::chrono::steady_clock::now();
        const auto tokens = scheduler.finish(sampled);
        const auto end = std::chrono::steady_clock::now();
        ASSERT_FALSE(tokens.empty());
        if (measured)
            us.push_back(
                std::chrono::duration<double, std::micro>(filled - start + (end - sampled_at)).count());
    }
    std::ranges::sort(us);
    const double median_us = us[us.size() / 2], p99_us = us[us.size() * 99 / 100];
    std::printf("scheduling at %d sequences: median %.1f us, 99th percentile %.1f us a decode step\n",
                static_cast<int>(kSequences), median_us, p99_us);
    RecordProperty("median_us", std::to_string(median_us));
    EXPECT_LT(median_us, 100);  // 20 is aimed at; machines that build this are shared and busy
}

}  // namespace
}  // namespace warpwright
