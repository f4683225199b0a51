// SPDX-License-Identifier: Apache-2.0
// grouped_gemm: host rows against the oracle, refusals word for word, what serves where.
#include "warpwright/ops/grouped_gemm.h"

#include <cmath>
#include <set>
#include <vector>

#include "kernels/grouped_gemm/operation.h"
#include "kernels/host_math.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "grouped_gemm";

TEST(GroupedGemm, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(GroupedGemm, RefusesWithTheReason) {
    const auto tile = [](const FieldTexts& set) {
        return refusal(kOp, "grouped_gemm.portable.bf16.64x128x64", "h200", set);
    };
    const auto slots = [](FieldTexts set) {
        set.insert(set.begin(), {{"by", "slots"}, {"m", "8"}, {"top_k", "8"}});
        return refusal(kOp, "grouped_gemm.slots.bf16.m8.n16", "h200", set);
    };
    EXPECT_EQ(tile({}), "");
    EXPECT_EQ(tile({{"group_rows", "16"}}), "group rows: needs a multiple of 64, got 16");
    EXPECT_EQ(tile({{"group_rows", "16"}, {"grouping", "masked"}}), "");
    EXPECT_EQ(tile({{"alignment_bytes", "8"}}), "alignment: needs a multiple of 16, got 8");
    EXPECT_EQ(tile({{"dtype", "f16"}}), "dtype: needs bf16, got f16");
    EXPECT_EQ(tile({{"out", "f16"}}), "out: needs bf16, got f16");
    EXPECT_EQ(tile({{"by", "slots"}, {"top_k", "2"}}), "groups of rows: needs true, got false");
    EXPECT_EQ(slots({}), "");
    EXPECT_EQ(slots({{"by", "sums"}}), "");
    EXPECT_EQ(slots({{"m", "9"}}), "m: needs at most 8, got 9");
    EXPECT_EQ(slots({{"top_k", "33"}}), "slots: needs at most 256, got 264");
    EXPECT_EQ(slots({{"groups", "1025"}}), "groups: needs at most 1024, got 1025");
    EXPECT_EQ(slots({{"k", "4100"}}), "k: needs a multiple of 8, got 4100");
    EXPECT_EQ(slots({{"by", "rows"}}), "choices of tokens: needs true, got false");
}

TEST(GroupedGemm, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "cpu", {}), "grouped_gemm.host.bf16");
    EXPECT_EQ(chosen(kOp, "h200", {{"alignment_bytes", "2"}}), "grouped_gemm.portable.bf16.any");
    const std::string few =
        chosen(kOp, "h200", {{"by", "sums"}, {"m", "1"}, {"top_k", "8"}, {"groups", "128"}});
    EXPECT_TRUE(few.starts_with("grouped_gemm.slots.bf16.m8.")) << few;
    const std::string many = chosen(
        kOp, "h200", {{"m", "40960"}, {"n", "768"}, {"k", "2048"}, {"groups", "128"}, {"gated", "true"}});
    EXPECT_TRUE(many.starts_with("grouped_gemm.portable.bf16.128x")) << many;
    const std::string thin = chosen(kOp, "h200",
                                    {{"m", "2176"},
                                     {"n", "768"},
                                     {"k", "2048"},
                                     {"groups", "128"},
                                     {"group_rows", "16"},
                                     {"gated", "true"},
                                     {"expected_m", "2"}});
    EXPECT_TRUE(thin.starts_with("grouped_gemm.portable.bf16.16x")) << thin;
}

// Whatever the GPU: odd sizes without alignment in every form of groups, few tokens by their choices.
TEST(GroupedGemm, EveryTargetHasARowForEverything) {
    for (const Target& on : targets()) {
        const auto serves = [&](const GroupedGemmProblem& problem) {
            for (const GroupedGemmRow& row : kGroupedGemmRows)
                if (!GroupedGemmOp::why_not(row, on.facts, problem)) return true;
            return false;
        };
        for (const Grouping grouping : {Grouping::contiguous, Grouping::masked}) {
            EXPECT_TRUE(serves({.m = 5,
                                .n = 33,
                                .k = 65,
                                .grouping = grouping,
                                .groups = 3,
                                .group_rows = 16,
                                .gated = true,
                                .alignment_bytes = 2}))
                << on.id;
        }
        for (const RowsBy by : {RowsBy::slots, RowsBy::sums}) {
            EXPECT_TRUE(serves({.m = 16, .n = 33, .k = 64, .by = by, .groups = 3, .top_k = 16})) << on.id;
        }
    }
}

// Two experts of two columns and one of k, three tokens of two choices.
struct Small {
    std::vector<float> unused;
    std::vector<u16> a, b, d;
    std::vector<i32> ids = {1, 0, 0, 7, -1, 1};
    std::vector<float> weights = {0.5F, 2, 1, 1, 1, 4};
    GroupedGemm call;

    Small() {
        for (const float value : {1.0F, 2.0F, 3.0F}) a.push_back(float_to_bf16(value));
        for (const float value : {1.0F, 10.0F, 100.0F, 1000.0F}) b.push_back(float_to_bf16(value));
        d.assign(12, float_to_bf16(-1));
        call.a = Tensor::dense(a.data(), DType::bf16, {3, 1});
        call.b = Tensor::dense(b.data(), DType::bf16, {2, 2, 1});
        call.d = Tensor::dense(d.data(), DType::bf16, {6, 2});
        call.ids = Tensor::dense(ids.data(), DType::i32, {3, 2});
    }
    std::vector<float> run() {
        const Status status = grouped_gemm(cpu_context(), {}, call);
        EXPECT_TRUE(status.ok()) << status.message();
        std::vector<float> values;
        for (const u16 bits : d) values.push_back(bf16_to_float(bits));
        return values;
    }
    std::string error() {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    }
};

TEST(GroupedGemm, ChoicesOfTokensHaveARowEach) {
    EXPECT_EQ(Small().run(), (std::vector<float>{100, 1000, 1, 10, 2, 20, -1, -1, -1, -1, 300, 3008}));
}

TEST(GroupedGemm, SumsAreWeightedByChoice) {
    Small small;
    small.call.weights = Tensor::dense(small.weights.data(), DType::f32, {3, 2});
    small.call.d = Tensor::dense(small.d.data(), DType::bf16, {3, 2});
    const std::vector<float> d = small.run();
    EXPECT_EQ((std::vector<float>{d.begin(), d.begin() + 6}),
              (std::vector<float>{52, 520, 2, 20, 1200, 12032}));
}

TEST(GroupedGemm, RefusesWhatDoesNotAgree) {
    Small small;
    std::vector<i32> rows(3);
    small.call.group_of_row = Tensor::dense(rows.data(), DType::i32, {3});
    EXPECT_EQ(small.error(), "grouped_gemm: give one of group_of_row, rows_of_group and ids");
    small = Small();
    small.call.d = Tensor::dense(small.d.data(), DType::bf16, {3, 2});
    EXPECT_EQ(small.error(), "grouped_gemm: d must have a row for each of 6 slots");
    small = Small();
    small.call.weights = Tensor::dense(small.weights.data(), DType::f32, {3, 2});
    small.call.b_gate = small.call.b;
    small.call.d = Tensor::dense(small.d.data(), DType::bf16, {3, 2});
    EXPECT_EQ(small.error(), "grouped_gemm: weights exclude b_gate and an activation");
    small = Small();
    small.call.limit = 7;
    EXPECT_EQ(small.error(), "grouped_gemm: limit, alpha and up_offset go with b_gate");
    small = Small();
    small.call.b_gate = small.call.b;
    small.call.b_gate.stride[1] = 3;
    EXPECT_EQ(small.error(), "grouped_gemm: b_gate must have the strides of b");
    small = Small();
    small.call.row_of_a = small.call.ids;
    EXPECT_NE(small.error().find("row_of_a"), std::string::npos) << small.error();
}

TEST(GroupedGemm, NothingToDoIsNoError) {
    Small small;
    small.call.ids.shape[0] = small.call.a.shape[0] = small.call.d.shape[0] = 0;
    Prepared prepared;
    EXPECT_TRUE(prepare(cpu_context(), small.call, prepared).ok());
    EXPECT_TRUE(prepared.steps.empty());
}

}  // namespace
}  // namespace warpwright
