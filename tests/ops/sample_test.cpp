// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/sample.h"

#include <cmath>
#include <limits>

#include "kernels/fused/sample/draw.h"
#include "kernels/fused/sample/oracle.h"
#include "kernels/fused/sample/philox.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "sample";

TEST(Sample, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Sample, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "sample.portable.f32.t1024", "h200", {{"vocabulary", "50257"}}),
              "vocabulary: needs a multiple of 4, got 50257");
    EXPECT_EQ(
        refusal(kOp, "sample.portable.bf16.t1024", "h200", {{"vocabulary", "50260"}, {"dtype", "bf16"}}),
        "vocabulary: needs a multiple of 8, got 50260");
    EXPECT_EQ(refusal(kOp, "sample.portable.f32.any", "h200", {{"vocabulary", "1000000"}}),
              "vocabulary: needs at most 524288, got 1000000");
    EXPECT_EQ(refusal(kOp, "sample.portable.f32.t1024", "h200", {{"alignment_bytes", "4"}}),
              "alignment: needs a multiple of 16, got 4");
    EXPECT_EQ(refusal(kOp, "sample.host.f32", "cpu", {{"dtype", "f16"}}), "dtype: needs f32, got f16");
}

TEST(Sample, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "sample.portable.f32.t1024");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"vocabulary", "50257"}, {"alignment_bytes", "4"}}),
              "sample.portable.f32.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "bf16"}}), "sample.host.bf16");
}

// kat_vectors of the Random123 distribution: philox4x32 10.
TEST(Philox, GivesThePublishedAnswers) {
    const auto expect = [](PhiloxBlock got, PhiloxBlock wanted) {
        EXPECT_EQ(got.x, wanted.x);
        EXPECT_EQ(got.y, wanted.y);
        EXPECT_EQ(got.z, wanted.z);
        EXPECT_EQ(got.w, wanted.w);
    };
    expect(philox({0, 0, 0, 0}, 0, 0), {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    expect(philox({~0u, ~0u, ~0u, ~0u}, ~0u, ~0u), {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    expect(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
           {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST(SampleDraw, WeightsAreExponentials) {
    const auto largest_weight = static_cast<double>(kLargestWeight);
    EXPECT_NEAR(largest_weight, 0x1p44, 0x1p44 * 1e-6);
    double worst = 0;
    for (int i = 0; i < 2000000; ++i) {
        const float distance = static_cast<float>(i) * 1000.0f;  // up to 29.8 octaves
        const double expected = std::exp2(-double{distance} * 0x1p-26);
        const double got = static_cast<double>(weight_at(distance)) / largest_weight;
        worst = std::max(worst, std::abs(got / expected - 1));
    }
    // The polynomial's 7.6e-8 twice, 2^-26 for the fraction's last bit, half a unit of 2^-14 at 30 octaves.
    EXPECT_LE(worst, 2 * 7.6e-8 + 0x1p-26 + 0x1p-14);
    EXPECT_EQ(weight_at(44.5f * 0x1p26f), 0u);
    EXPECT_EQ(weight_at(std::numeric_limits<float>::infinity()), 0u);
    EXPECT_EQ(weight_at(std::nanf("")), 0u);
}

TEST(SampleDraw, KeysAreOrderedLikeLogits) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float ascending[] = {-infinity, -kLargestFloat, -1, -1e-45f, 0, 1e-45f, 1, kLargestFloat};
    for (std::size_t i = 0; i + 1 < std::size(ascending); ++i) {
        EXPECT_LT(key_of(clean_logit(ascending[i])), key_of(clean_logit(ascending[i + 1])));
        EXPECT_EQ(logit_of(key_of(ascending[i])), ascending[i]);
    }
    EXPECT_EQ(key_of(clean_logit(std::nanf(""))), kMinusInfinityKey);
    EXPECT_EQ(key_of(clean_logit(-0.0f)), key_of(0.0f));
    EXPECT_EQ(clean_logit(infinity), kLargestFloat);
}

TEST(SampleDraw, MultipliesTo128Bits) {
    for (u64 a : {u64{0}, u64{1}, ~u64{0}, u64{0x123456789abcdef0}, u64{1} << 63}) {
        for (u64 b : {u64{0}, u64{3}, ~u64{0}, u64{0xfedcba9876543210}}) {
            EXPECT_EQ(multiply_high(a, b), static_cast<u64>(static_cast<unsigned __int128>(a) * b >> 64));
        }
    }
    EXPECT_EQ(fixed_share(0.5f), u64{1} << 63);
}

// Samples the same logits at steps 0, 1, 2, ...
std::vector<i32> draw_many(const std::vector<float>& logits, const SampleSettings& settings, i64 count,
                           u64 seed) {
    const auto vocabulary = static_cast<i64>(logits.size());
    const auto per_row = [&](auto value) {
        return std::vector<decltype(value)>(static_cast<std::size_t>(count), value);
    };
    std::vector<float> values(logits), temperature = per_row(static_cast<float>(settings.temperature)),
                                       top_p = per_row(static_cast<float>(settings.top_p)),
                                       min_p = per_row(static_cast<float>(settings.min_p));
    std::vector<i32> top_k = per_row(settings.top_k), steps, seeds, tokens = per_row(-1);
    for (i32 step = 0; step < count; ++step) {
        steps.push_back(step);
        seeds.push_back(static_cast<i32>(seed));
        seeds.push_back(static_cast<i32>(seed >> 32));
    }
    Sample call{.logits = Tensor::dense(values.data(), DType::f32, {count, vocabulary}),
                .temperature = Tensor::dense(temperature.data(), DType::f32, {count}),
                .top_k = Tensor::dense(top_k.data(), DType::i32, {count}),
                .top_p = Tensor::dense(top_p.data(), DType::f32, {count}),
                .min_p = Tensor::dense(min_p.data(), DType::f32, {count}),
                .seeds = Tensor::dense(seeds.data(), DType::i32, {count, 2}),
                .steps = Tensor::dense(steps.data(), DType::i32, {count}),
                .tokens = Tensor::dense(tokens.data(), DType::i32, {count})};
    call.logits.stride[0] = 0;  // every row is the same
    const Status status = sample(cpu_context(), {}, call);
    EXPECT_TRUE(status.ok()) << status.message();
    return tokens;
}

// Pearson's statistic of 100000 draws stays below its mean plus five standard deviations (freedom f: mean f,
// variance 2 f), and nothing outside the oracle's set is ever drawn.
TEST(SampleDistribution, FollowsTheOracle) {
    std::vector<float> logits;
    for (int i = 0; i < 24; ++i) logits.push_back(std::sin(static_cast<float>(7 * i)) * 2);
    const SampleSettings cases[] = {{},
                                    {.temperature = 0.5},
                                    {.top_k = 5},
                                    {.top_p = 0.7},
                                    {.min_p = 0.2},
                                    {.temperature = 2, .top_k = 12, .top_p = 0.8, .min_p = 0.1}};
    const i64 count = 100000;
    u64 seed = 0x5eed00000001;
    for (const SampleSettings& settings : cases) {
        SCOPED_TRACE(seed);
        std::vector<double> observed(logits.size(), 0.0);
        for (i32 token : draw_many(logits, settings, count, seed++))
            observed[static_cast<std::size_t>(token)] += 1;
        const std::vector<double> probability = sample_oracle(logits, settings);
        double statistic = 0, freedom = -1;
        for (std::size_t i = 0; i < logits.size(); ++i) {
            const double expected = probability[i] * static_cast<double>(count);
            if (expected == 0) {
                EXPECT_EQ(observed[i], 0) << "token " << i << " was filtered out";
                continue;
            }
            statistic += (observed[i] - expected) * (observed[i] - expected) / expected;
            freedom += 1;
        }
        EXPECT_LE(statistic, freedom + 5 * std::sqrt(2 * freedom));
    }
}

TEST(SampleDistribution, SeedAndStepDecide) {
    const std::vector<float> logits(1000, 0.0f);
    const std::vector<i32> first = draw_many(logits, {}, 64, 42);
    EXPECT_EQ(first, draw_many(logits, {}, 64, 42));
    EXPECT_NE(first, draw_many(logits, {}, 64, 43));
    EXPECT_NE(first, draw_many(logits, {}, 64, u64{42} | u64{1} << 40));
    EXPECT_NE(first[0], first[1]);
}

TEST(SampleDistribution, OnlyUnusableLogitsGiveTokenZero) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
    EXPECT_EQ(draw_many({-infinity, nan, -infinity}, {}, 1, 1)[0], 0);
    EXPECT_EQ(draw_many({nan, nan, nan, 3, nan}, {}, 1, 1)[0], 3);
    EXPECT_EQ(draw_many({1, 5, infinity, infinity}, {.temperature = 0}, 1, 1)[0], 2);
    EXPECT_EQ(draw_many({nan, 2, 2}, {.temperature = 0}, 1, 1)[0], 1);
}

TEST(SampleDistribution, TiesAtAThresholdAreAllKept) {
    std::vector<int> seen(6, 0);
    for (i32 token : draw_many({3, 1, 3, 1, 3, 0}, {.top_k = 2}, 1000, 9))
        ++seen[static_cast<std::size_t>(token)];
    EXPECT_GT(seen[0], 0);
    EXPECT_GT(seen[2], 0);
    EXPECT_GT(seen[4], 0);
    EXPECT_EQ(seen[1] + seen[3] + seen[5], 0);
}

}  // namespace
}  // namespace warpwright
