// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/attention.h"

#include <set>
#include <vector>

#include "dispatch/prepare.h"
#include "kernels/attention/operation.h"
#include "kernels/attention/oracle.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "attention";

TEST(Attention, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(AttentionMerge, AgreesWithItsOracle) {
    expect_check_passes("attention_merge");
}

TEST(Attention, RefusesWithTheReason) {
    const char* tile = "attention.portable.bf16.d64.r128";
    EXPECT_EQ(refusal(kOp, tile, "h200", {}), "head dim: needs at most 64, got 128");
    EXPECT_EQ(refusal(kOp, tile, "h200", {{"head_dim", "60"}}), "head dim: needs a multiple of 8, got 60");
    EXPECT_EQ(refusal(kOp, tile, "h200", {{"head_dim", "64"}, {"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal(kOp, tile, "h200", {{"dtype", "f16"}}), "dtype: needs bf16, got f16");
    EXPECT_EQ(refusal(kOp, tile, "h200", {{"head_dim", "64"}, {"page_size", "48"}}),
              "page size: needs a power of two, got 48");
    EXPECT_EQ(refusal(kOp, tile, "h200", {{"head_dim", "64"}, {"heads", "7"}, {"kv_heads", "2"}}),
              "heads: needs a multiple of 2, got 7");
    EXPECT_EQ(refusal(kOp, tile, "cpu", {}),
              "architecture: needs compute capability 8.0 or later, cpu is a CPU");
    EXPECT_EQ(refusal(kOp, "attention.host.bf16", "rtx-5090", {}),
              "architecture: runs on the CPU, rtx-5090 is a GPU");
    EXPECT_EQ(refusal(kOp, "attention.portable.bf16.d256.any", "a10",
                      {{"head_dim", "33"}, {"alignment_bytes", "2"}, {"page_size", "1"}}),
              "");
}

TEST(Attention, ChoosesByTheNumberOfQueries) {
    for (const char* target : {"a100", "rtx-4090", "h200", "b200", "rtx-pro-6000"}) {
        const FieldTexts decode = {{"sequences", "64"}, {"max_kv_len", "8192"}};
        const FieldTexts prefill = {{"max_q_len", "4096"}, {"paged", "false"}};
        EXPECT_EQ(chosen(kOp, target, decode), "attention.decode.bf16.d128") << target;
        EXPECT_EQ(chosen(kOp, target, prefill), "attention.portable.bf16.d128.r128") << target;
        EXPECT_EQ(chosen(kOp, target, {}), "attention.decode.bf16.d128") << target;
        EXPECT_EQ(chosen(kOp, target, {{"head_dim", "80"}, {"dtype", "f16"}}), "attention.decode.f16.d96")
            << target;
        EXPECT_EQ(chosen(kOp, target, {{"head_dim", "72"}, {"alignment_bytes", "2"}}),
                  "attention.portable.bf16.d128.any")
            << target;
        EXPECT_EQ(chosen(kOp, target, {{"head_dim", "256"}, {"max_q_len", "2048"}}),
                  "attention.portable.bf16.d256.r64")
            << target;
    }
    EXPECT_EQ(chosen(kOp, "cpu", {}), "attention.host.bf16");
    EXPECT_EQ(chosen(kOp, "h200", {{"head_dim", "320"}}), "");
}

TEST(Attention, EveryRowHasItsNameAndFitsEveryTarget) {
    std::set<std::string> names;
    for (const AttentionRow& row : AttentionOp::rows()) {
        EXPECT_TRUE(names.insert(row.name.text).second) << row.name.text;
        if (row.arch == ArchClass::host) continue;
        for (const Target& target : targets()) {
            if (target.facts.compute_capability == 0) continue;
            EXPECT_FALSE(target_misfit(row, target.facts)) << row.name.text << " on " << target.id;
        }
    }
}

TEST(Attention, SplitsKeysWhereSmsWouldBeIdle) {
    const auto splits = [](const char* row_name, AttentionProblem problem) -> i64 {
        for (const AttentionRow& row : AttentionOp::rows()) {
            if (std::string(row_name) == row.name.text)
                return AttentionOp::num_splits(row, find_target("h200")->facts, problem);
        }
        return 0;
    };
    const char* decode = "attention.decode.bf16.d128";
    EXPECT_EQ(splits(decode, {.sequences = 256, .max_kv_len = 8192}), 1);
    EXPECT_GT(splits(decode, {.sequences = 1, .max_kv_len = 8192}), 8);
    EXPECT_EQ(splits(decode, {.sequences = 1, .max_kv_len = 64}), 1);
    EXPECT_EQ(splits("attention.portable.bf16.d128.r128", {.max_q_len = 8192, .max_kv_len = 8192}), 1);
    EXPECT_EQ(splits("attention.host.bf16", {.sequences = 1, .max_kv_len = 8192}), 1);
}

TEST(Attention, FewerSplitsInASmallerWorkspace) {
    AttentionProblem problem{.max_kv_len = 8192};
    for (i64 splits : {1, 2, 7, 200}) {
        const i64 bytes = partial_bytes(problem, splits);
        EXPECT_EQ(max_splits_in(problem, bytes), splits);
        EXPECT_EQ(max_splits_in(problem, bytes - 1), std::max<i64>(1, splits - 1));
    }
    EXPECT_EQ(max_splits_in(problem, 0), 1);
    problem.max_splits = 3;
    for (const AttentionRow& row : AttentionOp::rows()) {
        EXPECT_LE(AttentionOp::num_splits(row, find_target("h200")->facts, problem), 3) << row.name.text;
    }
}

struct SmallCall {
    std::vector<u16> data = std::vector<u16>(4096);
    std::vector<i32> starts = {0, 2};
    std::vector<i32> integers = std::vector<i32>(16);
    Attention call{.q = Tensor::dense(data.data(), DType::bf16, {2, 4, 16}),
                   .out = Tensor::dense(data.data(), DType::bf16, {2, 4, 16}),
                   .k = Tensor::dense(data.data(), DType::bf16, {8, 2, 16}),
                   .v = Tensor::dense(data.data(), DType::bf16, {8, 2, 16}),
                   .kv_starts = Tensor::dense(starts.data(), DType::i32, {2}),
                   .q_starts = Tensor::dense(starts.data(), DType::i32, {2}),
                   .max_q_len = 2};

    std::string error() {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    }
};

TEST(Attention, NamesTheArgumentThatDisagrees) {
    SmallCall small;
    EXPECT_EQ(small.error(), "");
    small.call.max_kv_len = 9;
    EXPECT_EQ(small.error(), "attention: max_kv_len must be 0 to 8 (what k and v hold), got 9");
    small = {};
    small.call.scale = -1;
    EXPECT_EQ(small.error(), "attention: scale must not be negative, got -1");
    small = {};
    small.call.k.shape[1] = small.call.v.shape[1] = 3;
    EXPECT_EQ(small.error(), "attention: heads must be a multiple of kv_heads, got 4 and 3");
    small = {};
    small.call.v.shape[2] = 8;
    EXPECT_EQ(small.error(), "attention: v: dimension 2 (head_dim) is 8, but q has 16");
    small = {};
    small.call.kv_starts = {};
    EXPECT_EQ(small.error(), "attention: kv_starts is null");
    small = {};
    small.call.k_pages = Tensor::dense(small.data.data(), DType::bf16, {1, 8, 2, 16});
    EXPECT_EQ(small.error(), "attention: k and k_pages exclude each other");
    small.call.k = small.call.v = {};
    small.call.v_pages = small.call.k_pages;
    small.call.page_table = Tensor::dense(small.integers.data(), DType::i32, {3, 1});
    small.call.kv_lengths = Tensor::dense(small.integers.data(), DType::i32, {3});
    EXPECT_EQ(small.error(), "attention: page_table has 3 sequences, but q_starts has 1");
    small = {};
    small.call.workspace = Tensor::dense(small.data.data() + 4, DType::u8, {64});
    EXPECT_EQ(small.error(), "attention: workspace must start at a multiple of 16 bytes");
    small = {};
    small.call.max_q_len = 0;
    EXPECT_EQ(small.error(), "attention: max_q_len must be at least 1, got 0");
}

// Two keys with scores 0 and ln 3 under scale 1: weights 1/4 and 3/4, log2 of the sum 2.
TEST(Attention, OracleFollowsTheDefinition) {
    const AttentionInputs in{.q = {1, 1},
                             .k = {0, 1.0986122886681098f},
                             .v = {4, 8},
                             .q_starts = {0, 2},
                             .kv_starts = {0, 2},
                             .heads = 1,
                             .kv_heads = 1,
                             .head_dim = 1};
    const auto answer = attention_oracle<double>(in, DType::bf16);
    EXPECT_NEAR(answer.out[0], 4, 1e-6);  // causal: the first query sees the first key
    EXPECT_NEAR(answer.out[1], 7, 1e-6);
    EXPECT_NEAR(answer.lse[0], 0, 1e-6);
    EXPECT_NEAR(answer.lse[1], 2, 1e-6);
}

}  // namespace
}  // namespace warpwright
