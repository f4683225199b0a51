// SPDX-License-Identifier: Apache-2.0
// gemm: host rows against the oracle, refusals word for word, the table's properties, and what is chosen
// where.
#include "warpwright/ops/gemm.h"

#include <gtest/gtest.h>

#include <set>

#include "check/ops/checks.h"
#include "kernels/gemm/operation.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"

namespace warpwright {
namespace {

Target target(std::string_view name) {
    auto found = find_target(name);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.value();
}

const GemmRow& row(std::string_view name) {
    for (const GemmRow& candidate : kGemmRows) {
        if (name == candidate.name.text) return candidate;
    }
    ADD_FAILURE() << "no row " << name;
    return kGemmRows[0];
}

std::string refusal(std::string_view name, std::string_view gpu, const GemmProblem& problem) {
    const Target on = target(gpu);
    const Rejection rejection = GemmOp::why_not(row(name), on.facts, problem);
    return rejection ? rejection_text(rejection, on) : "accepted";
}

std::string chosen(std::string_view gpu, const GemmProblem& problem) {
    const auto best = choose<GemmOp>(target(gpu), problem);
    return best.ok() ? (*best)->name.text : best.status().message();
}

// Every row can exist on 8.0, but for the deepest ring. Where a block has but 99 KiB, each tile with few rows
// of A and each large one has a row all the same.
constexpr bool table_is_sound() {
    int small = 0, large = 0;
    for (const GemmRow& r : kGemmRows) {
        if (r.arch == ArchClass::host) continue;
        const bool deepest = r.tile_m == 16 && !is_bandwidth(r) && r.blocks_per_sm == 1;
        if (!image_fits(r, deepest ? BuildTarget::sm_90a : BuildTarget::sm_80)) return false;
        if (r.shared_bytes <= 0) return false;
        if (!is_bandwidth(r) && r.aligned && image_fits(r, BuildTarget::sm_120f)) {
            (r.tile_m * r.tile_n < 128 * 128 ? small : large) += 1;
        }
        if (num_threads(r) > 512 || num_threads(r) % 32 != 0) return false;
        if (is_bandwidth(r) && (r.tile_m != r.max_m || r.tile_m % 8 != 0 || r.tile_n % 8 != 0)) return false;
    }
    return small >= 2 * 4 && large >= 2 * 3;  // of two types
}
static_assert(table_is_sound());

TEST(Gemm, RowsHaveNamesOfTheirOwn) {
    std::set<std::string> names;
    for (const GemmRow& r : kGemmRows) {
        EXPECT_TRUE(names.insert(r.name.text).second) << r.name.text;
        EXPECT_EQ(std::string(r.name.text).find("gemm."), 0u);
    }
}

TEST(Gemm, RefusalsSayWhatAndHowMuch) {
    EXPECT_EQ(refusal("gemm.portable.bf16.128x256x64", "rtx-5090", {}),
              "shared memory: needs 147456 bytes, rtx-5090 has 101376");
    EXPECT_EQ(refusal("gemm.portable.bf16.128x256x32", "rtx-5090", {}), "accepted");
    EXPECT_EQ(refusal("gemm.portable.bf16.128x256x32", "a100", {.alignment_bytes = 2}),
              "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal("gemm.bandwidth.bf16.m8.n8", "h200", {.m = 9}), "m: needs at most 8, got 9");
    EXPECT_EQ(refusal("gemm.bandwidth.bf16.m8.n16", "h200", {.m = 5, .k = 4100}),
              "k: needs a multiple of 8, got 4100");
    EXPECT_EQ(refusal("gemm.portable.bf16.any", "h200", {.dtype = DType::f16, .out = DType::f16}),
              "dtype: needs bf16, got f16");
    EXPECT_EQ(refusal("gemm.portable.bf16.any", "h200", {.out = DType::f16}), "out: needs bf16, got f16");
    EXPECT_EQ(refusal("gemm.portable.bf16.any", "cpu", {}),
              "architecture: needs compute capability 8.0 or later, cpu is a CPU");
    EXPECT_EQ(refusal("gemm.host.bf16", "h200", {}), "architecture: runs on the CPU, h200 is a GPU");
}

TEST(Gemm, EveryTargetHasARowForEverything) {
    for (const Target& on : targets()) {
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (i64 m : {1, 5, 16, 17, 100, 4096}) {
                const GemmProblem odd{
                    .m = m, .n = 33, .k = 7, .dtype = dtype, .out = dtype, .alignment_bytes = 2};
                EXPECT_TRUE(choose<GemmOp>(on, odd).ok()) << on.id << " m=" << m;
            }
        }
    }
}

TEST(Gemm, ChoosesBySize) {
    for (const char* gpu : {"a100", "l40s", "h200", "b200", "rtx-4090", "rtx-5090", "rtx-pro-6000"}) {
        SCOPED_TRACE(gpu);
        const auto row_for = [&](i64 m, i64 n, i64 k) { return row(chosen(gpu, {.m = m, .n = n, .k = k})); };
        for (i64 n : {1024, 4096, 14336, 128256}) {
            EXPECT_LE(row_for(1, n, 4096).tile_m, 16) << n;
            EXPECT_LE(row_for(7, n, 4096).tile_m, 16) << n;
        }
        EXPECT_LE(row_for(64, 4096, 4096).tile_m, 64);
        const GemmRow large = row_for(8192, 8192, 8192);
        EXPECT_GE(large.tile_m * large.tile_n, 128 * 128) << large.name.text;
    }
    EXPECT_EQ(chosen("h200", {.m = 4096, .n = 4096, .k = 4096}), "gemm.portable.bf16.128x256x64");
    EXPECT_EQ(chosen("rtx-4090", {.m = 4096, .n = 4096, .k = 4096}), "gemm.portable.bf16.128x256x32");
    EXPECT_EQ(chosen("h200", {.m = 1, .n = 4096, .k = 4096, .dtype = DType::f16, .out = DType::f16}),
              "gemm.portable.f16.16x32x128.k4.deep");
    EXPECT_EQ(chosen("h200", {.m = 1, .n = 4096, .k = 4100}).find("gemm.bandwidth.bf16.m"),
              std::string::npos);
    EXPECT_EQ(chosen("cpu", {}), "gemm.host.bf16");
}

TEST(Gemm, CodesHaveRowsOfTheirOwn) {
    EXPECT_EQ(refusal("gemm.portable.bf16.128x128x64.codes", "h200", {}), "out: needs u8, got bf16");
    EXPECT_EQ(refusal("gemm.portable.bf16.128x128x64", "h200", {.out = DType::u8}),
              "out: needs bf16, got u8");
    EXPECT_EQ(refusal("gemm.host.bf16", "cpu", {.out = DType::f16}), "out: needs bf16, got f16");
    EXPECT_EQ(chosen("h200", {.m = 4096, .n = 4096, .k = 4096, .out = DType::u8}),
              "gemm.portable.bf16.128x256x64.codes");
    EXPECT_EQ(chosen("rtx-5090", {.m = 4096, .n = 4096, .k = 4096, .out = DType::u8}),
              "gemm.portable.bf16.64x128x64.codes");
    EXPECT_EQ(chosen("h200", {.m = 1, .n = 4096, .k = 4096, .out = DType::u8}),
              "gemm.portable.bf16.16x32x128.k4.codes");
    EXPECT_EQ(chosen("cpu", {.out = DType::u8}), "gemm.host.bf16");
    for (const Target& on : targets()) {
        const GemmProblem odd{.m = 5, .n = 33, .k = 7, .out = DType::u8, .alignment_bytes = 2};
        EXPECT_TRUE(choose<GemmOp>(on, odd).ok()) << on.id;
    }
}

TEST(Gemm, HostRowsEqualTheOracle) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    int passed = 0;
    CheckAnswers answers;
    for (const CheckResult& result : gemm_check().run(**context, {}, answers)) {
        if (result.outcome == CheckResult::Outcome::passed) ++passed;
        EXPECT_NE(result.outcome, CheckResult::Outcome::failed)
            << result.row << " " << result.problem << ": " << result.text;
    }
    EXPECT_GT(passed, 300);
}

TEST(Gemm, BadCallsAreNamed) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    u16 data[64] = {};
    const Tensor a = Tensor::dense(data, DType::bf16, {2, 8}), b = Tensor::dense(data, DType::bf16, {3, 8});
    const Tensor d = Tensor::dense(data, DType::bf16, {2, 3});
    const auto message = [&](const Gemm& call) {
        Prepared prepared;
        return prepare(**context, call, prepared).message();
    };
    EXPECT_EQ(message({.a = a, .b = b, .d = d}), "");
    EXPECT_EQ(message({.a = a, .b = Tensor::dense(data, DType::bf16, {3, 7}), .d = d}),
              "gemm: b: dimension 1 (k) is 7, but a has 8");
    EXPECT_EQ(message({.a = a, .b = b, .d = Tensor::dense(data, DType::f16, {2, 3})}),
              "gemm: d must be bf16 or f32 or u8, got f16");
    EXPECT_EQ(message({.a = a, .b = b, .d = d, .residual = Tensor::dense(data, DType::f32, {2, 3})}),
              "gemm: residual must be bf16, got f32");
    EXPECT_EQ(message({.a = a, .d = d}), "gemm: b is null");
    float scale = 1;
    const Tensor codes = Tensor::dense(data, DType::u8, {2, 3}), one = Tensor::dense(&scale, DType::f32, {1});
    EXPECT_EQ(message({.a = a, .b = b, .d = codes, .d_scale = one}), "");
    EXPECT_EQ(message({.a = a, .b = b, .d = codes}), "gemm: d_scale is null");
    EXPECT_EQ(message({.a = a, .b = b, .d = d, .d_scale = one}),
              "gemm: d_scale and d_amax go with codes: d in u8");
    EXPECT_EQ(message({.a = a, .b = b, .d = codes, .d_scale = one, .d_code = CodeType::e5m2}),
              "gemm: d_code must be e4m3 or i8, got e5m2");
    EXPECT_EQ(message({.a = a, .b = b, .d = codes, .residual = codes, .d_scale = one}),
              "gemm: residual must be bf16, got u8");
    EXPECT_EQ(message({.a = Tensor::dense(data, DType::bf16, {2, 0}),
                       .b = Tensor::dense(data, DType::bf16, {3, 0}),
                       .d = d}),
              "gemm: k must be at least 1, got 0");
}

// One sum, one order: neither the split over threads nor the grouping of rows and columns shows.
TEST(HostSimd, ResultsDoNotDependOnGrouping) {
    constexpr int kRows = 7, kColumns = 13;
    for (const i64 k : {1, 15, 64, 333}) {
        std::vector<float> x(kRows * k);
        std::vector<u16> w(kColumns * k);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
        for (std::size_t i = 0; i < w.size(); ++i) w[i] = float_to_bf16(std::cos(static_cast<float>(3 * i)));
        const HostSimdList list = host_simd_sets();
        for (int s = 0; s < list.count; ++s) {
            SCOPED_TRACE(std::string(list.sets[s]->name) + " k=" + std::to_string(k));
            std::vector<float> all(kRows * kColumns), one(1);
            list.sets[s]->products_bf16(x.data(), k, kRows, w.data(), k, kColumns, k, all.data(), kColumns);
            for (int i = 0; i < kRows; ++i) {
                for (int j = 0; j < kColumns; ++j) {
                    list.sets[s]->products_bf16(x.data() + i * k, k, 1, w.data() + j * k, k, 1, k, one.data(),
                                                1);
                    EXPECT_EQ(all[i * kColumns + j], one[0]) << i << "," << j;
                    double exact = 0;
                    for (i64 c = 0; c < k; ++c) exact += double{x[i * k + c]} * bf16_to_float(w[j * k + c]);
                    EXPECT_NEAR(one[0], exact, 1e-5 * static_cast<double>(k));
                }
            }
        }
    }
}

TEST(HostSimd, WidensEveryNumberExactly) {
    std::vector<u16> every(65536 + 3);
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<u16>(i);
    std::vector<float> wide(every.size()), added(every.size());
    const HostSimdList list = host_simd_sets();
    for (int s = 0; s < list.count; ++s) {
        for (DType type : {DType::bf16, DType::f16}) {
            const i64 count = static_cast<i64>(every.size());
            widen_of(*list.sets[s], type)(every.data(), count, wide.data());
            added.assign(added.size(), 1.0f);
            add_scaled_of(*list.sets[s], type)(0.5f, every.data(), count, added.data());
            int wrong = 0;
            for (std::size_t i = 0; i < every.size(); ++i) {
                const float expected = load_float(every.data(), type, static_cast<i64>(i));
                const bool both_nan = std::isnan(expected) && std::isnan(wide[i]) && std::isnan(added[i]);
                const bool same = std::bit_cast<u32>(expected) == std::bit_cast<u32>(wide[i]);
                wrong += !(both_nan || (same && added[i] == 1.0f + 0.5f * expected));
            }
            EXPECT_EQ(wrong, 0) << list.sets[s]->name << " " << dtype_name(type);
        }
    }
}

}  // namespace
}  // namespace warpwright
