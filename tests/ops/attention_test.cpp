// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "dispatch/prepare.h"
#include "kernels/attention/operation.h"
#include "kernels/attention/oracle.h"
#include "kernels/host_math.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "attention";

TEST(Attention, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(MaskBits, AgreesWithItsOracle) {
    expect_check_passes("mask_bits");
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
        // Where an SM has no room for two blocks of four warps, one of eight.
        const bool has_room = find_target(target)->facts.shared_per_sm_bytes > 128 * 1024;
        EXPECT_EQ(chosen(kOp, target, prefill),
                  has_room ? "attention.portable.bf16.d128.r128w32" : "attention.portable.bf16.d128.r128")
            << target;
        EXPECT_EQ(chosen(kOp, target, {{"sequences", "64"}, {"head_dim", "80"}, {"dtype", "f16"}}),
                  "attention.decode.f16.d96")
            << target;
        EXPECT_EQ(chosen(kOp, target, {{"head_dim", "72"}, {"alignment_bytes", "2"}}),
                  "attention.portable.bf16.d128.any")
            << target;
        EXPECT_EQ(chosen(kOp, target, {{"head_dim", "256"}, {"max_q_len", "2048"}}),
                  has_room ? "attention.portable.bf16.d256.r128k96" : "attention.portable.bf16.d256.r128")
            << target;
    }
    // Between them, when the packed rows are more than a decode row's 16 and fewer than a prefill row's 128.
    for (const char* target : {"h200", "a100", "b200"}) {
        const auto row = [&](const char* heads, const char* q_len) {
            return chosen(kOp, target,
                          {{"sequences", "64"},
                           {"max_kv_len", "8192"},
                           {"heads", heads},
                           {"max_q_len", q_len},
                           {"page_size", "64"}});
        };
        EXPECT_EQ(row("32", "4"), "attention.decode.bf16.d128") << target;
        EXPECT_EQ(row("32", "8"), "attention.portable.bf16.d128.r64") << target;
        EXPECT_EQ(row("64", "8"), "attention.portable.bf16.d128.r64") << target;
        EXPECT_EQ(row("64", "16"), "attention.portable.bf16.d128.r128w32") << target;
    }
    // One sequence: a single launch where there are clusters, and the keys are not too many for one part of
    // the GPU.
    EXPECT_EQ(chosen(kOp, "a100", {}), "attention.decode.bf16.d128");
    EXPECT_EQ(chosen(kOp, "h200", {}), "attention.cluster.bf16.d128");
    EXPECT_EQ(chosen(kOp, "rtx-pro-6000", {}), "attention.cluster.bf16.d128.s2");
    EXPECT_EQ(chosen(kOp, "h200", {{"max_kv_len", "32768"}}), "attention.decode.bf16.d128");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "attention.host.bf16");
    EXPECT_EQ(chosen(kOp, "h200", {{"head_dim", "320"}}), "");
}

TEST(Attention, ServesEveryMultipleOfEightUpTo256) {
    const auto is_served = [](const TargetFacts& facts, const AttentionProblem& problem) {
        return std::ranges::any_of(AttentionOp::rows(), [&](const AttentionRow& row) {
            return !row.clusters && !AttentionOp::why_not(row, facts, problem);
        });
    };
    for (const char* target : {"a100", "l40s", "h200", "b200", "rtx-5090", "cpu"}) {
        const TargetFacts facts = find_target(target)->facts;
        for (const DType dtype : {DType::bf16, DType::f16}) {
            for (const KvFormat format : {KvFormat::same, KvFormat::fp8_e4m3, KvFormat::fp8_e5m2}) {
                for (i64 head_dim = 8; head_dim <= 256; head_dim += 8) {
                    AttentionProblem problem{.head_dim = head_dim, .dtype = dtype, .kv_format = format};
                    EXPECT_TRUE(is_served(facts, problem)) << target << " " << head_dim;
                    problem.sinks = problem.alibi = problem.mask = true;
                    problem.softcap = 50, problem.window_left = 99, problem.chunk = 512;
                    EXPECT_TRUE(is_served(facts, problem)) << target << " " << head_dim;
                    problem.max_q_len = 2048, problem.block_queries = 16, problem.block_keys = 1;
                    EXPECT_TRUE(is_served(facts, problem)) << target << " " << head_dim;
                }
                const AttentionProblem beyond{.head_dim = 264, .dtype = dtype, .kv_format = format};
                EXPECT_FALSE(is_served(facts, beyond)) << target;
            }
        }
    }
}

TEST(Attention, EveryRowHasItsNameAndFitsEveryTargetButForShared) {
    std::set<std::string> names;
    for (const AttentionRow& row : AttentionOp::rows()) {
        EXPECT_TRUE(names.insert(row.name.text).second) << row.name.text;
        if (row.arch == ArchClass::host || row.clusters) continue;
        // A row may be for large shared memory only where another of its kind is not.
        if (row.shared_bytes > 99 * 1024) {
            EXPECT_TRUE(std::ranges::any_of(AttentionOp::rows(), [&](const AttentionRow& other) {
                return other.head_dim == row.head_dim && other.dtype == row.dtype &&
                       other.kv_warps == row.kv_warps && !other.elementwise &&
                       other.shared_bytes <= 99 * 1024 && other.arch == row.arch;
            })) << row.name.text;
            continue;
        }
        for (const Target& target : targets()) {
            if (target.facts.compute_capability == 0) continue;
            EXPECT_FALSE(target_misfit(row, target.facts)) << row.name.text << " on " << target.id;
        }
    }
}

TEST(Attention, ClusterRowsNeedClusters) {
    const char* row = "attention.cluster.bf16.d128";
    EXPECT_EQ(refusal(kOp, row, "h200", {}), "");
    EXPECT_EQ(refusal(kOp, row, "b200", {}), "");
    EXPECT_NE(refusal(kOp, row, "a100", {}).find("clusters"), std::string::npos)
        << refusal(kOp, row, "a100", {});
    EXPECT_NE(refusal(kOp, row, "rtx-5090", {}).find("shared memory"), std::string::npos);
    EXPECT_EQ(refusal(kOp, "attention.cluster.bf16.d128.s2", "rtx-5090", {}), "");
    for (const AttentionRow& each : AttentionOp::rows()) {
        EXPECT_EQ(AttentionOp::image_fits(each, BuildTarget::sm_90a), each.arch != ArchClass::host);
        if (each.clusters) {
            EXPECT_FALSE(AttentionOp::image_fits(each, BuildTarget::sm_89)) << each.name.text;
            EXPECT_FALSE(AttentionOp::image_fits(each, BuildTarget::compute_80)) << each.name.text;
        }
    }
}

// Few rows are merged by several warps each, which read all splits at once; many by one.
TEST(Attention, MergeIsChosenByHowManyRowsThereAre) {
    const char* op = "attention_merge";
    EXPECT_EQ(chosen(op, "h100-sxm", {{"splits", "16"}}), "attention_merge.portable.bf16.w4");
    EXPECT_EQ(chosen(op, "h100-sxm", {{"splits", "2"}, {"q_tokens", "2048"}}),
              "attention_merge.portable.bf16");
}

// A cluster's blocks divide the keys without a workspace, however small that is.
TEST(Attention, ClustersNeedNoWorkspace) {
    const TargetFacts& facts = find_target("h200")->facts;
    for (const AttentionRow& row : AttentionOp::rows()) {
        if (!row.clusters || row.dtype != DType::bf16 || row.head_dim != 128) continue;
        EXPECT_EQ(AttentionOp::num_splits(row, facts, {.max_kv_len = 8192, .max_splits = 1}), 8);
        EXPECT_EQ(AttentionOp::num_splits(row, facts, {.max_kv_len = 64}), 1);
        EXPECT_EQ(AttentionOp::num_splits(row, facts, {.max_kv_len = 8192, .max_cluster = 1}), 1);
        const LaunchConfig config = AttentionOp::launch_config(row, facts, {.max_kv_len = 8192});
        EXPECT_EQ(config.cluster.x, 8u);
        EXPECT_EQ(config.grid.x, 64u);
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

// A window makes a decode step as short as its keys; what is beyond it costs nothing.
TEST(Attention, AWindowIsPaidForByItsKeys) {
    const TargetFacts& facts = find_target("h200")->facts;
    const auto predicted = [&](const char* row_name, AttentionProblem problem) {
        for (const AttentionRow& row : AttentionOp::rows()) {
            if (std::string(row_name) == row.name.text) return AttentionOp::predict(row, facts, problem).us;
        }
        return 0.0;
    };
    for (const char* row : {"attention.decode.bf16.d128", "attention.portable.bf16.d128.r128"}) {
        for (i64 q_len : {1, 8}) {
            AttentionProblem all{.sequences = 64, .max_q_len = q_len, .max_kv_len = 65536};
            AttentionProblem window = all, short_one = all;
            window.window_left = 4095;
            short_one.max_kv_len = 4096 + q_len - 1;
            EXPECT_LT(predicted(row, window), 0.2 * predicted(row, all)) << row << " " << q_len;
            EXPECT_NEAR(predicted(row, window), predicted(row, short_one), 0.03 * predicted(row, short_one))
                << row << " " << q_len;
            window.window_left = 1 << 20;  // no limit
            EXPECT_EQ(predicted(row, window), predicted(row, all)) << row << " " << q_len;
        }
    }
    AttentionProblem prefill{.max_q_len = 32768, .max_kv_len = 32768, .paged = false};
    const double all = predicted("attention.portable.bf16.d128.r128", prefill);
    prefill.window_left = 1023;
    EXPECT_LT(predicted("attention.portable.bf16.d128.r128", prefill), 0.1 * all);
    prefill.softcap = 50;
    EXPECT_LT(predicted("attention.portable.bf16.d128.r128", prefill), 0.2 * all);

    const auto found = std::ranges::find_if(AttentionOp::rows(), [](const AttentionRow& row) {
        return std::string_view(row.name.text) == "attention.decode.bf16.d128";
    });
    ASSERT_NE(found, AttentionOp::rows().end());
    const AttentionRow& decode = *found;
    EXPECT_EQ(AttentionOp::num_splits(decode, facts, {.max_kv_len = 131072, .window_left = 63}), 1);
    EXPECT_GT(AttentionOp::num_splits(decode, facts, {.max_kv_len = 131072, .window_left = 8191}), 8);
}

// The same of lists, as far as the length of block_columns tells.
TEST(Attention, ListsArePaidForByTheirKeys) {
    const TargetFacts& facts = find_target("h200")->facts;
    int num_rows = 0;
    for (const AttentionRow& row : AttentionOp::rows()) {
        AttentionProblem all{
            .max_q_len = 16384, .max_kv_len = 16384, .block_queries = 128, .block_keys = 128};
        if (AttentionOp::why_not(row, facts, all)) continue;
        AttentionProblem few = all;
        few.listed_keys = 1024;
        const auto us = [&](const AttentionProblem& problem) {
            return AttentionOp::predict(row, facts, problem).us;
        };
        EXPECT_LT(us(few), 0.2 * us(all)) << row.name.text;
        few.listed_keys = 16384;
        EXPECT_EQ(us(few), us(all)) << row.name.text;
        ++num_rows;
    }
    EXPECT_GE(num_rows, 3);

    auto context = Context::open("emulated:h200");
    ASSERT_TRUE(context.ok()) << context.status().message();
    const auto workspace_bytes = [&](i64 num_listed) {
        std::vector<std::byte> memory(16);  // not read
        const auto tensor = [&](DType dtype, std::initializer_list<i64> shape) {
            return Tensor::dense(memory.data(), dtype, shape);
        };
        const Attention call{.q = tensor(DType::bf16, {1, 4, 128}),
                             .out = tensor(DType::bf16, {1, 4, 128}),
                             .k = tensor(DType::bf16, {65536, 1, 128}),
                             .v = tensor(DType::bf16, {65536, 1, 128}),
                             .kv_starts = tensor(DType::i32, {2}),
                             .q_starts = tensor(DType::i32, {2}),
                             .block_starts = tensor(DType::i32, {1, 1, 2}),
                             .block_columns = tensor(DType::i32, {num_listed}),
                             .block_queries = 128,
                             .block_keys = 128};
        return *attention_workspace_bytes(**context, call);
    };
    EXPECT_LT(workspace_bytes(1), workspace_bytes(512) / 8);
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
        if (row.clusters) continue;  // they have no part of it
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
    EXPECT_EQ(small.error(), "attention: v: dimension 2 (head_dim_v) is 8, but out has 16");
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
    small.call.window_left = -2;
    EXPECT_EQ(small.error(), "attention: window_left must be -1 (all keys) or more, got -2");
    small = {};
    small.call.softcap = -50;
    EXPECT_EQ(small.error(), "attention: softcap must be finite and not negative, got -50");
    small = {};
    small.call.window_right = -2;
    EXPECT_EQ(small.error(), "attention: window_right must be -1 (all keys) or more, got -2");
    small = {};
    small.call.chunk = -1;
    EXPECT_EQ(small.error(), "attention: chunk must be 0 (all keys) to 2^31 - 1, got -1");
    small = {};
    small.call.chunk = 4;
    EXPECT_EQ(small.error(), "");
    small.call.causal = false;
    EXPECT_EQ(small.error(), "attention: chunk is for causal calls only");
    small = {};
    small.call.max_q_len = 0;
    EXPECT_EQ(small.error(), "attention: max_q_len must be at least 1, got 0");
}

TEST(Attention, NamesTheTensorOfHeadsOrTheMaskThatDisagrees) {
    std::vector<float> floats(16);
    SmallCall small;
    small.call.sinks = Tensor::dense(floats.data(), DType::f32, {3});
    EXPECT_EQ(small.error(), "attention: sinks: dimension 0 (heads) is 3, but q has 4");
    small = {};
    small.call.alibi_slopes = Tensor::dense(floats.data(), DType::bf16, {4});
    EXPECT_NE(small.error().find("attention: alibi_slopes"), std::string::npos) << small.error();
    small = {};
    small.call.lse_base2 = small.call.lse_base_e = Tensor::dense(floats.data(), DType::f32, {2, 4});
    EXPECT_EQ(small.error(), "attention: lse_base2 and lse_base_e exclude each other");
    small = {};
    small.call.mask = Tensor::dense(small.integers.data(), DType::i32, {3, 1});
    EXPECT_EQ(small.error(), "attention: mask: dimension 0 (q_tokens) is 3, but q has 2");
    small.call.mask = Tensor::dense(small.integers.data(), DType::i32, {2, 0});
    EXPECT_EQ(small.error(),
              "attention: mask has 0 words of 32 keys in a row, too few for 8 keys (max_kv_len)");
    small.call.mask_of_queries = true;
    EXPECT_EQ(small.error(),
              "attention: mask has 0 words of 32 keys in a row, too few for 2 keys (max_q_len)");
    small.call.mask = Tensor::dense(small.integers.data(), DType::i32, {2, 1});
    EXPECT_EQ(small.error(), "");
    small.call.mask = Tensor::dense(small.integers.data(), DType::u8, {2, 1});
    EXPECT_EQ(small.error(), "attention: mask has 1 keys in a row, too few for 2 (max_q_len)");
    small.call.mask = Tensor::dense(small.integers.data(), DType::u8, {2, 2});
    EXPECT_EQ(small.error(), "attention: workspace has 0 bytes, but a mask of bytes needs 256");
}

TEST(Attention, NamesWhatIsWrongWithLists) {
    SmallCall small;
    small.call.block_starts = Tensor::dense(small.integers.data(), DType::i32, {1, 1, 1});
    EXPECT_EQ(small.error(), "attention: block_starts and block_columns are given together");
    small.call.block_columns = Tensor::dense(small.integers.data(), DType::i32, {0});
    EXPECT_EQ(small.error(), "attention: block_queries must be a multiple of 16, got 0");
    small.call.block_queries = 16;
    EXPECT_EQ(small.error(), "attention: block_keys must be a power of two to 2^29, got 0");
    small.call.block_keys = i64{1} << 32;
    EXPECT_EQ(small.error(), "attention: block_keys must be a power of two to 2^29, got 4294967296");
    small.call.block_keys = 8;
    EXPECT_EQ(small.error(), "attention: block_starts has 0 blocks of 16 queries, too few for 2 (max_q_len)");
    small.call.block_starts.shape[1] = 3;
    EXPECT_EQ(small.error(), "attention: block_starts must have lists of 1 or kv_heads = 2 heads, got 3");
    small.call.block_starts.shape[0] = 2;
    EXPECT_EQ(small.error(), "attention: block_starts has 2 sequences, but q_starts has 1");
}

TEST(Attention, RefusesListsThatTilesDoNotFit) {
    const FieldTexts lists{{"heads", "32"},
                           {"kv_heads", "32"},
                           {"max_q_len", "2048"},
                           {"block_queries", "64"},
                           {"block_keys", "64"}};
    const char* row = "attention.portable.bf16.d128.lists";
    EXPECT_EQ(refusal(kOp, row, "h200", lists), "block queries: needs a multiple of 128, got 64");
    FieldTexts grouped = lists;
    grouped[1].second = "16";
    EXPECT_EQ(refusal(kOp, row, "h200", grouped), "");
    grouped.back().second = "16";
    EXPECT_EQ(refusal(kOp, row, "h200", grouped), "block keys: needs a multiple of 32, got 16");
    EXPECT_EQ(refusal(kOp, "attention.portable.bf16.d128.r128", "h200", lists),
              "block lists: needs false, got true");
    EXPECT_EQ(chosen(kOp, "h200", lists), "attention.portable.bf16.d128.r64.lists");
}

TEST(Attention, ListsAreServedOfEverySizeAndWithAllElse) {
    const auto chosen_with = [](const char* target, FieldTexts fields, const FieldTexts& changes) {
        fields.insert(fields.end(), changes.begin(), changes.end());
        return chosen(kOp, target, fields);
    };
    const FieldTexts whole{{"max_q_len", "2048"}, {"block_queries", "128"}, {"block_keys", "128"}};
    const FieldTexts small{{"max_q_len", "2048"}, {"block_queries", "16"}, {"block_keys", "16"}};
    const char* any = "attention.portable.bf16.d256.any.biased";
    for (const char* target : {"a100", "rtx-4090", "h200", "b200", "rtx-5090"}) {
        for (const char* head_dim : {"64", "96", "128"}) {
            const std::string fast = chosen_with(target, whole, {{"head_dim", head_dim}});
            EXPECT_TRUE(fast.ends_with("d128.lists") || fast.ends_with("d128.r64.lists"))
                << target << " " << head_dim << " " << fast;
            EXPECT_EQ(chosen_with(target, small, {{"head_dim", head_dim}}), any) << target;
        }
        for (const FieldTexts& lists : {whole, small}) {
            EXPECT_EQ(chosen_with(target, lists, {{"head_dim", "256"}}), any) << target;
            EXPECT_EQ(chosen_with(target, lists, {{"head_dim", "80"}, {"head_dim_v", "33"}}), any) << target;
            EXPECT_EQ(chosen_with(target, lists, {{"alibi", "true"}}), any) << target;
            EXPECT_EQ(chosen_with(target, lists, {{"mask", "true"}, {"heads", "8"}}), any) << target;
            EXPECT_EQ(chosen_with(target, lists, {{"kv_format", "fp8_e4m3"}}),
                      "attention.portable.bf16.e4m3.d256.any.biased")
                << target;
            EXPECT_EQ(chosen_with(target, lists, {{"kv_format", "fp8_e5m2"}, {"dtype", "f16"}}),
                      "attention.portable.f16.e5m2.d256.any.biased")
                << target;
            EXPECT_EQ(chosen_with(target, lists, {{"kv_format", "nvfp4"}}),
                      "attention.portable.bf16.nvfp4.d256.any")
                << target;
        }
    }
    FieldTexts single_keys = small;
    single_keys.back().second = "1";
    EXPECT_EQ(chosen(kOp, "h200", single_keys), any);
    EXPECT_EQ(refusal(kOp, "attention.portable.bf16.d256.any", "h200", small),
              "block lists: needs false, got true");
    EXPECT_EQ(refusal(kOp, any, "h200", {}), "");
}

TEST(Attention, ValuesOfOtherColumnsHaveRowsOfTheirOwn) {
    const FieldTexts latent{{"head_dim", "192"}, {"head_dim_v", "128"}, {"heads", "16"},
                            {"kv_heads", "16"},  {"max_q_len", "2048"}, {"max_kv_len", "2048"}};
    EXPECT_EQ(refusal(kOp, "attention.portable.bf16.d256.r128k96", "h200", latent),
              "head dim v: needs 192, got 128");
    for (const char* target : {"a100", "l40s", "h200", "b200", "rtx-5090"})
        EXPECT_EQ(chosen(kOp, target, latent), "attention.portable.bf16.d192v128.r128") << target;
    FieldTexts odd = latent;
    odd[1].second = "100";
    EXPECT_EQ(chosen(kOp, "h200", odd), "attention.portable.bf16.d256.any");
}

// Random queries and keys of one sequence, through the host row.
struct RandomCall {
    static constexpr i64 kQueries = 5, kKeys = 90, kHeads = 4, kKvHeads = 2, kHeadDim = 32;
    std::vector<u16> q, k, v, out;
    std::vector<float> lse;
    std::vector<i32> q_starts = {0, kQueries}, kv_starts = {0, kKeys};
    std::vector<float> sinks, slopes;  // of the call; empty: none
    i64 window_right = -1;
    AttentionInputs in{.q_starts = q_starts,
                       .kv_starts = kv_starts,
                       .heads = kHeads,
                       .kv_heads = kKvHeads,
                       .head_dim = kHeadDim,
                       .scale = 1 / std::sqrt(32.0)};

    RandomCall() {
        std::mt19937_64 random(5);
        std::normal_distribution<float> normal(0, 3);
        const auto draw = [&](i64 count, std::vector<u16>& bits, std::vector<float>& values) {
            for (i64 i = 0; i < count; ++i) {
                bits.push_back(float_to_bf16(normal(random)));
                values.push_back(bf16_to_float(bits.back()));
            }
        };
        draw(kQueries * kHeads * kHeadDim, q, in.q);
        draw(kKeys * kKvHeads * kHeadDim, k, in.k);
        draw(kKeys * kKvHeads * kHeadDim, v, in.v);
    }

    // Of the last queries.
    std::vector<float> result(i64 window_left, float softcap, i64 queries = kQueries) {
        q_starts[1] = static_cast<i32>(queries);
        out.assign(static_cast<std::size_t>(queries * kHeads * kHeadDim), 0);
        lse.assign(static_cast<std::size_t>(queries * kHeads), 0);
        u16* last = q.data() + (kQueries - queries) * kHeads * kHeadDim;
        Attention call{.q = Tensor::dense(last, DType::bf16, {queries, kHeads, kHeadDim}),
                       .out = Tensor::dense(out.data(), DType::bf16, {queries, kHeads, kHeadDim}),
                       .lse_base2 = Tensor::dense(lse.data(), DType::f32, {queries, kHeads}),
                       .k = Tensor::dense(k.data(), DType::bf16, {kKeys, kKvHeads, kHeadDim}),
                       .v = Tensor::dense(v.data(), DType::bf16, {kKeys, kKvHeads, kHeadDim}),
                       .kv_starts = Tensor::dense(kv_starts.data(), DType::i32, {2}),
                       .q_starts = Tensor::dense(q_starts.data(), DType::i32, {2}),
                       .max_q_len = queries,
                       .causal = window_right < 0,
                       .window_left = window_left,
                       .window_right = window_right,
                       .softcap = softcap};
        if (!sinks.empty()) call.sinks = Tensor::dense(sinks.data(), DType::f32, {kHeads});
        if (!slopes.empty()) call.alibi_slopes = Tensor::dense(slopes.data(), DType::f32, {kHeads});
        EXPECT_TRUE(attention(cpu_context(), {}, call).ok());
        std::vector<float> values;
        for (u16 bits : out) values.push_back(bf16_to_float(bits));
        return values;
    }

    // Whether the check takes the result for what an oracle with these limits says.
    bool passes(const std::vector<float>& result, i64 window_left, double softcap) {
        in.window_left = window_left;
        in.softcap = softcap;
        const auto answer = attention_oracle<double>(in, DType::bf16);
        return compare(result, answer.out, attention_oracle<float>(in, DType::bf16).out, 12).ok;
    }
};

// The check's bound is narrower than what the neighbouring windows and softcaps give.
TEST(Attention, TheCheckSeesAWindowThatIsOneOff) {
    RandomCall random;
    const std::vector<float> all = random.result(-1, 0), window = random.result(7, 0),
                             capped = random.result(-1, 10);
    EXPECT_TRUE(random.passes(all, -1, 0));
    EXPECT_TRUE(random.passes(all, 1000, 0));
    EXPECT_FALSE(random.passes(all, 60, 0));
    EXPECT_TRUE(random.passes(window, 7, 0));
    EXPECT_FALSE(random.passes(window, 6, 0));
    EXPECT_FALSE(random.passes(window, 8, 0));
    EXPECT_TRUE(random.passes(capped, -1, 10));
    EXPECT_FALSE(random.passes(capped, -1, 10.5));
    EXPECT_FALSE(random.passes(capped, -1, 0));
}

TEST(Attention, MultiplesOfAChunkAreThoseOfADivision) {
    for (i64 size :
         {2, 3, 5, 7, 48, 100, 127, 128, 129, 1000, 8192, 65537, 1 << 30, (1 << 30) + 1, 0x7fffffff}) {
        const ChunkSize chunk = chunk_size(size);
        for (i64 n :
             {i64{0}, size - 1, size, size + 1, 3 * size - 1, 3 * size, i64{123456789}, i64{0x7ffffffe},
              i64{0x7fffffff}, 0x7fffffff / size * size, 0x7fffffff / size * size - 1}) {
            if (n > 0x7fffffff) continue;
            ASSERT_EQ(chunk.multiple_below(static_cast<i32>(n)), n / size * size) << n << " " << size;
        }
    }
    EXPECT_EQ(chunk_size(0).multiple_below(12345), 0);
}

// Nor do a sink, a slope or a right window that are a little off pass.
TEST(Attention, TheCheckSeesALogitASlopeOrARightWindowThatIsOff) {
    RandomCall random;
    random.sinks = {20, 24, 22, 18};  // as large as the largest scores
    const std::vector<float> with_sinks = random.result(-1, 0);
    random.in.sinks = random.sinks;
    EXPECT_TRUE(random.passes(with_sinks, -1, 0));
    random.in.sinks[2] += 0.5f;
    EXPECT_FALSE(random.passes(with_sinks, -1, 0));
    random.in.sinks.clear();
    EXPECT_FALSE(random.passes(with_sinks, -1, 0));
    random.sinks.clear();

    random.slopes = {0.5f, 0.25f, 1, 2};
    const std::vector<float> with_slopes = random.result(-1, 0);
    random.in.alibi_slopes = random.slopes;
    EXPECT_TRUE(random.passes(with_slopes, -1, 0));
    random.in.alibi_slopes[3] = 1.9f;
    EXPECT_FALSE(random.passes(with_slopes, -1, 0));
    random.slopes.clear();
    random.in.alibi_slopes.clear();

    random.window_right = 2;
    const std::vector<float> with_right = random.result(5, 0);
    random.in.causal = false;
    for (i64 right : {1, 2, 3}) {
        random.in.window_right = right;
        EXPECT_EQ(random.passes(with_right, 5, 0), right == 2);
    }
}

// Neither a window nor the queries beside it change the order in which a query's keys are summed.
TEST(Attention, AQuerysBitsDoNotDependOnTheQueriesBesideIt) {
    RandomCall random;
    const auto ends_with = [](const auto& all, const auto& last) {
        return std::equal(last.begin(), last.end(), all.end() - std::ssize(last));
    };
    for (float softcap : {0.1f, 1.0f, 10.0f}) {
        for (i64 window_left = -1; window_left < RandomCall::kKeys; ++window_left) {
            const std::vector<float> out = random.result(window_left, softcap), lse = random.lse;
            EXPECT_TRUE(ends_with(out, random.result(window_left, softcap, 1))) << window_left;
            EXPECT_TRUE(ends_with(lse, random.lse)) << window_left;
        }
    }
}

// The polynomial and the exponential of tile/tanh.h, across their seam and to the ends of the range.
TEST(Attention, TanhKeepsItsRelativePrecision) {
    double worst = 0;
    for (float x = 1e-30f; x < 20; x *= 1.0003f) {
        for (float signed_x : {x, -x}) {
            const double exact = std::tanh(double{signed_x});
            worst = std::max(worst, std::abs((tanh_fp32(signed_x) - exact) / exact));
        }
    }
    EXPECT_LT(worst, 5e-7);
    const float infinity = std::numeric_limits<float>::infinity();
    EXPECT_EQ(tanh_fp32(0), 0);
    EXPECT_EQ(tanh_fp32(infinity), 1);
    EXPECT_EQ(tanh_fp32(-infinity), -1);
    EXPECT_TRUE(std::isnan(tanh_fp32(std::nanf(""))));
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
    AttentionInputs limited = in;
    limited.window_left = 0;  // each query sees its own key only
    const auto own = attention_oracle<double>(limited, DType::bf16);
    EXPECT_NEAR(own.out[0], 4, 1e-6);
    EXPECT_NEAR(own.out[1], 8, 1e-6);
    EXPECT_NEAR(own.lse[1], std::log2(3), 1e-6);
    // Of three weights 1, 3 and 1 the sink's has no value.
    AttentionInputs sinks = in;
    sinks.sinks = {0};
    const auto sunk = attention_oracle<double>(sinks, DType::bf16);
    EXPECT_NEAR(sunk.out[1], 28 / 5.0, 1e-6);
    EXPECT_NEAR(sunk.lse[1], std::log2(5), 1e-6);
    sinks.kv_starts = {0, 0};  // no keys: zeros, and the sink's logit
    sinks.sinks = {2};
    const auto alone = attention_oracle<double>(sinks, DType::bf16);
    EXPECT_EQ(alone.out[1], 0);
    EXPECT_NEAR(alone.lse[1], 2 / std::log(2.0), 1e-6);
    AttentionInputs slopes = in;
    slopes.alibi_slopes = {1.0986122886681098f};  // the first key's score becomes - ln 3: weights 1 and 9
    EXPECT_NEAR(attention_oracle<double>(slopes, DType::bf16).out[1], 7.6, 1e-6);
    AttentionInputs masked = in;
    masked.mask = {3, 1};
    masked.mask_words = 1;
    EXPECT_NEAR(attention_oracle<double>(masked, DType::bf16).out[1], 4, 1e-6);
    masked.mask = {0, 2};
    masked.mask_of_queries = true;  // here the same keys
    EXPECT_NEAR(attention_oracle<double>(masked, DType::bf16).out[1], 8, 1e-6);
    EXPECT_EQ(attention_oracle<double>(masked, DType::bf16).out[0], 0);
    limited = in;
    limited.chunk = 1;
    EXPECT_NEAR(attention_oracle<double>(limited, DType::bf16).out[1], 8, 1e-6);
    limited = in;
    limited.causal = false;
    EXPECT_NEAR(attention_oracle<double>(limited, DType::bf16).out[0], 7, 1e-6);
    limited.window_right = 0;
    EXPECT_NEAR(attention_oracle<double>(limited, DType::bf16).out[0], 4, 1e-6);
    limited = in;
    limited.softcap = 2;  // the score ln 3 becomes 2 tanh(ln 3 / 2) = 1: weights 1 / (1 + e) and e / (1 + e)
    EXPECT_NEAR(attention_oracle<double>(limited, DType::bf16).out[1], 8 - 4 / (1 + std::exp(1.0)), 1e-6);
}

}  // namespace
}  // namespace warpwright
