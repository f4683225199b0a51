// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/logits.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/fused/logits/oracle.h"
#include "kernels/fused/logits/rows.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "logits";
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Logits, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Logits, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "logits.portable.t256v8", "h200", {{"vocabulary", "50257"}}),
              "vocabulary: needs a multiple of 4, got 50257");
    EXPECT_EQ(refusal(kOp, "logits.portable.t256v8", "h200", {{"alignment_bytes", "4"}}),
              "alignment: needs a multiple of 16, got 4");
    EXPECT_EQ(refusal(kOp, "logits.portable.any", "cpu", {}),
              "architecture: needs compute capability 8.0 or later, cpu is a CPU");
    EXPECT_EQ(refusal(kOp, "logits.host", "a10", {}), "architecture: runs on the CPU, a10 is a GPU");
}

TEST(Logits, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {{"softcap", "30"}}), "logits.portable.t256v8");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"vocabulary", "50257"}, {"in_place", "false"}}),
              "logits.portable.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"softcap", "30"}}), "logits.host");
}

// In place without a softcap the vocabulary is not paid for.
TEST(Logits, ListsAloneCostWhatTheyAre) {
    const auto us = [](const FieldTexts& settings) {
        return explain(kOp, "h200", settings).choice()->prediction.us;
    };
    EXPECT_LT(us({{"rows", "256"}, {"entries", "4096"}}), 3);
    EXPECT_GT(us({{"rows", "256"}, {"entries", "4096"}, {"softcap", "30"}}), 60);
    EXPECT_GT(us({{"rows", "256"}, {"entries", "4096"}, {"in_place", "false"}}), 60);

    const LogitsRow row = kLogitsRows[0];
    EXPECT_EQ(blocks_per_row(row, {.vocabulary = 128256, .softcap = 30}), 16);
    EXPECT_EQ(blocks_per_row(row, {.rows = 8, .entries = 100}), 1);
    EXPECT_EQ(blocks_per_row(row, {.rows = 2, .entries = 2 * 256 * 3}), 3);
    EXPECT_EQ(blocks_per_row(row, {.rows = 1, .entries = 100000}), 8);
}

// Two rows of four logits; each test sets what it is about.
struct Small {
    std::vector<float> in = {2, -2, 0, 5, 2, -2, 0, 5}, out = std::vector<float>(8);
    std::vector<i32> starts = {0, 2, 3}, tokens = {0, 1, 1};
    std::vector<float> repetition = {2, 2, 1}, addend = {0, 1, -kInfinity}, bias = {-3, 4, 0};
    Logits call{.in = Tensor::dense(in.data(), DType::f32, {2, 4}),
                .out = Tensor::dense(out.data(), DType::f32, {2, 4})};

    void list(bool with_bias) {
        call.starts = Tensor::dense(starts.data(), DType::i32, {3});
        call.tokens = Tensor::dense(tokens.data(), DType::i32, {3});
        call.repetition = Tensor::dense(repetition.data(), DType::f32, {3});
        call.addend = Tensor::dense(addend.data(), DType::f32, {3});
        if (with_bias) call.bias = Tensor::dense(bias.data(), DType::f32, {3});
    }
    std::string error() {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    }
    const std::vector<float>& result() {
        EXPECT_TRUE(logits(cpu_context(), {}, call).ok());
        return out;
    }
};

TEST(Logits, RepetitionComesBeforeTheAddendAndAfterTheBias) {
    Small small;
    EXPECT_EQ(small.result(), small.in);
    small.list(false);
    EXPECT_EQ(small.result(), (std::vector<float>{1, -3, 0, 5, 2, -kInfinity, 0, 5}));
    small.list(true);  // 2 - 3 is negative: times 2. -2 + 4 is positive: halved.
    EXPECT_EQ(small.result(), (std::vector<float>{-2, 2, 0, 5, 2, -kInfinity, 0, 5}));
}

TEST(Logits, SoftcapComesFirst) {
    Small small;
    small.list(false);
    small.call.softcap = 4;
    const std::vector<float> result = small.result();
    EXPECT_NEAR(result[0], 2 * std::tanh(0.5), 1e-6);
    EXPECT_NEAR(result[1], -8 * std::tanh(0.5) + 1, 1e-6);
    EXPECT_NEAR(result[7], 4 * std::tanh(1.25), 1e-6);
    EXPECT_EQ(result[5], -kInfinity);
}

// What a captured graph relies on: lists are read when the launch runs.
TEST(Logits, OnePreparedLaunchServesChangingLists) {
    Small small;
    small.list(false);
    Prepared prepared;
    ASSERT_TRUE(prepare(cpu_context(), small.call, prepared).ok());
    ASSERT_TRUE(prepared.launch(cpu_context().device(), {}).ok());
    EXPECT_EQ(small.out[0], 1);
    small.starts = {0, 0, 1};
    small.tokens = {3, -1, 99};
    small.addend = {7, 0, 0};
    ASSERT_TRUE(prepared.launch(cpu_context().device(), {}).ok());
    EXPECT_EQ(small.out, (std::vector<float>{2, -2, 0, 5, 2, -2, 0, 9.5f}));
    small.starts = {0, 2, 3};  // outside the vocabulary
    small.tokens = {-1, 4, 2147483647};
    ASSERT_TRUE(prepared.launch(cpu_context().device(), {}).ok());
    EXPECT_EQ(small.out, small.in);
}

TEST(Logits, NothingToDoPreparesNothing) {
    Small small;
    small.call.out = small.call.in;
    Prepared prepared;
    ASSERT_TRUE(prepare(cpu_context(), small.call, prepared).ok());
    EXPECT_TRUE(prepared.steps.empty());
    small.call.softcap = 1;
    ASSERT_TRUE(prepare(cpu_context(), small.call, prepared).ok());
    EXPECT_EQ(prepared.steps.size(), 1u);
}

TEST(Logits, NamesTheArgumentThatDisagrees) {
    Small small;
    small.call.softcap = -1;
    EXPECT_EQ(small.error(), "logits: softcap must be finite and not negative, got -1");
    small = {};
    small.list(true);
    small.call.starts.shape[0] = 2;
    EXPECT_EQ(small.error(), "logits: starts must have rows + 1 = 3 elements, got 2");
    small = {};
    small.list(true);
    small.call.bias.shape[0] = 2;
    EXPECT_EQ(small.error(), "logits: bias: dimension 0 (entries) is 2, but tokens has 3");
    small = {};
    small.list(true);
    small.call.addend = {};
    EXPECT_EQ(small.error(), "logits: addend is null");
    small.list(true);
    small.call.starts = {};
    EXPECT_EQ(small.error(), "logits: starts is null, but there are lists");
    small = {};
    small.call.in.dtype = DType::bf16;
    EXPECT_EQ(small.error(), "logits: in must be f32, got bf16");
    small = {};
    small.call.out = small.call.in;
    small.call.out.stride[0] = 8;
    EXPECT_EQ(small.error(), "logits: out begins where in does, so its stride must be 4, got 8");
}

// The check's bound is narrower than what a wrong order or a forgotten entry gives.
TEST(Logits, TheCheckSeesAnotherOrder) {
    const LogitsInputs in{.values = {3, -3, 0.5f},
                          .vocabulary = 3,
                          .starts = {0, 2},
                          .tokens = {0, 1},
                          .repetition = {1.1f, 1.1f},
                          .addend = {-0.5f, 0.25f}};
    const std::vector<double> answer = logits_oracle<double>(in);
    const auto passes = [&](const std::vector<float>& result) {
        return compare(result, answer, logits_oracle<float>(in), 3).ok;
    };
    EXPECT_TRUE(passes({3 / 1.1f - 0.5f, -3 * 1.1f + 0.25f, 0.5f}));
    EXPECT_FALSE(passes({(3 - 0.5f) / 1.1f, (-3 + 0.25f) * 1.1f, 0.5f}));
    EXPECT_FALSE(passes({3 * 1.1f - 0.5f, -3 / 1.1f + 0.25f, 0.5f}));
    EXPECT_FALSE(passes({3 / 1.1f - 0.5f, -3, 0.5f}));
}

}  // namespace
}  // namespace warpwright
