// SPDX-License-Identifier: Apache-2.0
// scaled_gemm: refusals word for word, host rows against the oracle, what serves where.
#include "warpwright/ops/scaled_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "check/ops/checks.h"
#include "formats/codecs.h"
#include "kernels/scaled_gemm/operation.h"
#include "kernels/scaled_gemm/oracle.h"

namespace warpwright {
namespace {

Target target(std::string_view name) {
    auto found = find_target(name);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.value();
}

std::string refusal(std::string_view name, std::string_view gpu, const ScaledGemmProblem& problem) {
    for (const ScaledGemmRow& row : kScaledGemmRows) {
        if (name != row.name.text) continue;
        const Target on = target(gpu);
        const Rejection rejection = ScaledGemmOp::why_not(row, on.facts, problem);
        return rejection ? rejection_text(rejection, on) : "accepted";
    }
    return "no such row";
}

TEST(ScaledGemm, RefusalsSayWhatAndHowMuch) {
    constexpr const char* kInt8 = "scaled_gemm.portable.i8.outer.128x128";
    constexpr const char* kAny = "scaled_gemm.portable.cvt.blocks.any";
    constexpr const char* kNative = "scaled_gemm.portable.e4m3.outer.any";
    constexpr const char* kBits = "scaled_gemm.portable.bits.mx.any";
    const ScaledGemmProblem int8{.code = CodeType::i8}, blocks{.scaling = Scaling::blocks};
    const ScaledGemmProblem mx{.scaling = Scaling::mx};
    EXPECT_EQ(refusal(kInt8, "h200", int8), "accepted");
    EXPECT_EQ(refusal(kInt8, "a100", int8), "accepted");
    EXPECT_EQ(refusal(kInt8, "h200", {}), "i8 codes: needs true, got false");
    EXPECT_EQ(refusal(kInt8, "h200", {.k = 131072, .code = CodeType::i8}),
              "k: needs at most 131071, got 131072");
    EXPECT_EQ(refusal(kInt8, "h200", {.code = CodeType::i8, .alignment_bytes = 8}),
              "alignment: needs a multiple of 16, got 8");
    EXPECT_EQ(refusal(kAny, "h200", blocks), "accepted");
    EXPECT_EQ(refusal(kAny, "h200", {}), "scales of blocks: needs true, got false");
    EXPECT_EQ(refusal(kAny, "h200", int8), "e4m3 codes: needs true, got false");
    EXPECT_EQ(refusal(kAny, "rtx-4090", blocks), "native e4m3 products: needs false, got true");
    EXPECT_EQ(refusal(kAny, "a100", blocks),
              "e4m3 conversion: needs compute capability 8.9 or later, a100-80 is compute capability 8.0");
    EXPECT_EQ(refusal(kNative, "rtx-4090", {}), "accepted");
    EXPECT_EQ(refusal(kNative, "rtx-5090", {}), "accepted");
    EXPECT_EQ(refusal(kNative, "h200", {}), "native e4m3 products: needs true, got false");
    EXPECT_EQ(refusal(kNative, "rtx-5090", mx), "scales of rows or tensors: needs true, got false");
    EXPECT_EQ(refusal(kBits, "a100", mx), "accepted");
    EXPECT_EQ(refusal(kBits, "h200", mx), "e4m3 conversion: needs false, got true");
    EXPECT_EQ(refusal(kNative, "rtx-5090", {.dtype = DType::bf16, .out = DType::f16}),
              "out: needs bf16, got f16");
    EXPECT_EQ(refusal(kNative, "rtx-5090", {.out = DType::u8}), "accepted");
    const ScaledGemmProblem mx_codes{.scaling = Scaling::mx, .out = DType::u8};
    EXPECT_EQ(refusal("scaled_gemm.portable.cvt.mx.any", "h200", mx_codes), "accepted");
    EXPECT_EQ(refusal("scaled_gemm.portable.cvt.mx.any", "b200", mx_codes), "out: needs bf16, got u8");
    EXPECT_EQ(refusal("scaled_gemm.portable.cvt.mx.32x64", "b200", mx_codes), "accepted");
    EXPECT_EQ(refusal(kInt8, "a100", {.code = CodeType::i8, .dtype = DType::f16, .out = DType::u8}),
              "accepted");
    EXPECT_EQ(
        refusal(kAny, "h200",
                {.scaling = Scaling::blocks, .out = DType::u8, .grouping = Grouping::masked, .groups = 4}),
        "grouping: needs false, got true");
    EXPECT_EQ(refusal(kNative, "cpu", {}),
              "architecture: needs compute capability 8.0 or later, cpu is a CPU");
    EXPECT_EQ(refusal("scaled_gemm.host.i8", "h200", int8), "architecture: runs on the CPU, h200 is a GPU");
}

// Whatever the GPU: every code and scaling, odd sizes without alignment, every form of groups.
TEST(ScaledGemm, EveryTargetHasARowForEverything) {
    for (const Target& on : targets()) {
        for (const CodeType code : {CodeType::e4m3, CodeType::i8}) {
            for (const Scaling scaling : {Scaling::outer, Scaling::blocks, Scaling::mx}) {
                if (code == CodeType::i8 && scaling != Scaling::outer) continue;
                for (const Grouping grouping : {Grouping::none, Grouping::contiguous, Grouping::masked}) {
                    ScaledGemmProblem odd{.m = 5,
                                          .n = 33,
                                          .k = 64,
                                          .code = code,
                                          .scaling = scaling,
                                          .grouping = grouping,
                                          .groups = 3,
                                          .alignment_bytes = 1};
                    EXPECT_TRUE(choose<ScaledGemmOp>(on, odd).ok())
                        << on.id << " " << enum_text(code) << " " << enum_text(scaling);
                    odd.out = DType::u8;
                    if (scaling == Scaling::mx) odd.alignment_bytes = 16;
                    EXPECT_EQ(choose<ScaledGemmOp>(on, odd).ok(), grouping == Grouping::none)
                        << on.id << " " << enum_text(code) << " " << enum_text(scaling);
                }
            }
        }
    }
}

TEST(ScaledGemm, HostRowsEqualTheOracle) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    int passed = 0;
    CheckAnswers answers;
    for (const CheckResult& result : scaled_gemm_check().run(**context, {}, answers)) {
        if (result.outcome == CheckResult::Outcome::passed) ++passed;
        EXPECT_NE(result.outcome, CheckResult::Outcome::failed)
            << result.row << " " << result.problem << ": " << result.text;
    }
    EXPECT_GT(passed, 50);
}

// A sum that does not fit fp32's 24 bits, and is right to the last of them.
TEST(ScaledGemm, SumsOfIntegersAreExact) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    constexpr i64 kK = 5001;
    std::vector<u8> a(kK, 127), b(kK, 0x80);  // 127 x -128
    a[0] = 1, b[0] = 1;
    float one = 1, d = 0;
    ScaledGemm call{.a = Tensor::dense(a.data(), DType::u8, {1, kK}),
                    .b = Tensor::dense(b.data(), DType::u8, {1, kK}),
                    .a_scales = Tensor::dense(&one, DType::f32, {1, 1}),
                    .b_scales = Tensor::dense(&one, DType::f32, {1, 1}),
                    .a_format = kInt8PerToken,
                    .b_format = kInt8PerToken,
                    .d = Tensor::dense(&d, DType::f32, {1, 1})};
    ASSERT_TRUE(scaled_gemm(**context, {}, call).ok());
    EXPECT_EQ(d, static_cast<float>(1 - 5000 * 127 * 128));
    i32 zero = 127, sum = 1 - 5000 * 128;  // all but the first are nothing then
    call.a_zeros = Tensor::dense(&zero, DType::i32, {1});
    call.b_sums = Tensor::dense(&sum, DType::i32, {1});
    ASSERT_TRUE(scaled_gemm(**context, {}, call).ok());
    EXPECT_EQ(d, -126);
}

// A NaN is e4m3's code of it and i8's zero, and the largest magnitude.
TEST(ScaledGemm, CodesOfNanAndOfTooMuch) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    u8 a[3][2] = {{0x38, 0x38}, {0x7e, 0x7e}, {0xff, 0}};  // 1, 448, NaN
    u8 b[2] = {0x38, 0x38}, d[3] = {};
    float one = 1, scale = 0.5, amax = 3;
    ScaledGemm call{.a = Tensor::dense(a, DType::u8, {2, 2}),
                    .b = Tensor::dense(b, DType::u8, {1, 2}),
                    .a_scales = Tensor::dense(&one, DType::f32, {1, 1}),
                    .b_scales = Tensor::dense(&one, DType::f32, {1, 1}),
                    .a_format = kFp8PerTensor,
                    .b_format = kFp8PerTensor,
                    .d = Tensor::dense(d, DType::u8, {2, 1}),
                    .d_scale = Tensor::dense(&scale, DType::f32, {1}),
                    .d_amax = Tensor::dense(&amax, DType::f32, {1})};
    ASSERT_TRUE(scaled_gemm(**context, {}, call).ok());
    EXPECT_EQ(d[0], 0x48);  // 2 / 0.5 is 4
    EXPECT_EQ(d[1], 0x7e);
    EXPECT_EQ(amax, 896);
    call.a = Tensor::dense(a, DType::u8, {3, 2}), call.d = Tensor::dense(d, DType::u8, {3, 1});
    ASSERT_TRUE(scaled_gemm(**context, {}, call).ok());
    EXPECT_EQ(d[2] & 0x7f, 0x7f);
    EXPECT_TRUE(std::isnan(amax));
    call.d_code = CodeType::i8, call.d_amax = {};
    ASSERT_TRUE(scaled_gemm(**context, {}, call).ok());
    EXPECT_EQ(d[0], 4);
    EXPECT_EQ(d[1], 127);
    EXPECT_EQ(d[2], 0);
}

TEST(ScaledGemm, BadCallsAreNamed) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok()) << context.status().message();
    alignas(16) static u8 data[512 * 64];
    const auto message = [&](const auto& change) {
        ScaledGemm call{.a = Tensor::dense(data, DType::u8, {2, 320}),
                        .b = Tensor::dense(data, DType::u8, {5, 320}),
                        .a_scales = Tensor::dense(data, DType::f32, {2, 1}),
                        .b_scales = Tensor::dense(data, DType::f32, {5, 1}),
                        .d = Tensor::dense(data, DType::bf16, {2, 5})};
        change(call);
        Prepared prepared;
        return prepare(**context, call, prepared).message();
    };
    EXPECT_EQ(message([](auto&) {}), "");
    EXPECT_EQ(message([](auto& c) {
                  c.b = Tensor::dense(data, DType::u8, {5, 64});
              }),
              "scaled_gemm: a: dimension 1 (k) is 320, but b has 64");
    EXPECT_EQ(message([](auto& c) { c.a.dtype = DType::bf16; }), "scaled_gemm: a must be u8, got bf16");
    EXPECT_EQ(message([](auto& c) {
                  c.a_scales = Tensor::dense(data, DType::f32, {1, 2});
              }),
              "scaled_gemm: a_scales must be [2, 1], got [1, 2]");
    EXPECT_EQ(message([](auto& c) { c.b_scales = {}; }), "scaled_gemm: b_scales is null");
    EXPECT_EQ(message([](auto& c) { c.b_scales.dtype = DType::bf16; }),
              "scaled_gemm: b_scales must be f32, got bf16");
    EXPECT_EQ(message([](auto& c) { c.b_format = kFp8Blocks; }),
              "scaled_gemm: a is e4m3 with f32 scales of 1 x all and b e4m3 with f32 scales of 128 x 128: "
              "expected e4m3 or i8 in both, with f32 scales of rows or of all; or e4m3 with f32 scales of "
              "1 x 128 and 128 x 128, or with e8m0 scales of 1 x 32");
    EXPECT_EQ(message([](auto& c) { c.a_format = kFp8Groups, c.b_format = kFp8Blocks; }),
              "scaled_gemm: a_scales must be [2, 3], got [2, 1]");
    EXPECT_EQ(message([](auto& c) { c.a_zeros = Tensor::dense(data, DType::i32, {2}); }),
              "scaled_gemm: a_zeros: e4m3 has no zero points");
    EXPECT_EQ(message([](auto& c) { c.rows_of_group = Tensor::dense(data, DType::i32, {3}); }),
              "scaled_gemm: b must have 3 dimensions, got 2");
    EXPECT_EQ(message([](auto& c) {
                  c.rows_of_group = Tensor::dense(data, DType::i32, {3});
                  c.group_of_row = Tensor::dense(data, DType::i32, {2});
              }),
              "scaled_gemm: group_of_row and rows_of_group exclude each other");
    EXPECT_EQ(message([](auto& c) {
                  c.b = Tensor::dense(data, DType::u8, {3, 5, 320});
                  c.b_scales = Tensor::dense(data, DType::f32, {3, 5, 1});
                  c.group_of_row = Tensor::dense(data, DType::i32, {4});
              }),
              "scaled_gemm: group_of_row: dimension 0 (m) is 4, but a has 2");
    const Tensor codes = Tensor::dense(data, DType::u8, {2, 5}), scale = Tensor::dense(data, DType::f32, {1});
    EXPECT_EQ(message([&](auto& c) { c.d = codes, c.d_scale = scale; }), "");
    EXPECT_EQ(message([&](auto& c) {
                  c.d = codes, c.d_scale = scale, c.residual = Tensor::dense(data, DType::f16, {2, 5});
              }),
              "");
    EXPECT_EQ(message([&](auto& c) { c.d = codes; }), "scaled_gemm: d_scale is null");
    EXPECT_EQ(message([&](auto& c) { c.d_scale = scale; }),
              "scaled_gemm: d_scale and d_amax go with codes: d in u8");
    EXPECT_EQ(message([&](auto& c) { c.d_amax = scale; }),
              "scaled_gemm: d_scale and d_amax go with codes: d in u8");
    EXPECT_EQ(message([&](auto& c) { c.d = codes, c.d_scale = scale, c.d_code = CodeType::e5m2; }),
              "scaled_gemm: d_code must be e4m3 or i8, got e5m2");
    EXPECT_EQ(message([&](auto& c) { c.d = codes, c.d_scale = Tensor::dense(data, DType::f32, {2}); }),
              "scaled_gemm: d_scale and d_amax must have one element");
    EXPECT_EQ(message([&](auto& c) { c.d = c.residual = codes, c.d_scale = scale; }),
              "scaled_gemm: residual must be bf16, got u8");
    EXPECT_EQ(message([&](auto& c) {
                  c.d = codes, c.d_scale = scale, c.bias = Tensor::dense(data, DType::f16, {5});
                  c.residual = Tensor::dense(data, DType::bf16, {2, 5});
              }),
              "scaled_gemm: residual must be f16, got bf16");
    EXPECT_EQ(message([&](auto& c) {
                  c.b = Tensor::dense(data, DType::u8, {3, 5, 320});
                  c.b_scales = Tensor::dense(data, DType::f32, {3, 5, 1});
                  c.group_of_row = Tensor::dense(data, DType::i32, {2});
                  c.d = codes, c.d_scale = scale;
              }),
              "scaled_gemm: codes of d are not made of groups of rows");
    EXPECT_EQ(message([](auto& c) { c.expected_m = -1; }),
              "scaled_gemm: expected_m must be 0 or more, got -1");
}

// The reference of Ada's sums is one that loses bits, and not all of them.
TEST(ScaledGemm, AdasSumsKeepThirteenBits) {
    AdaSum sum;
    sum += 1;
    sum += 0x1p-13F;
    EXPECT_EQ(static_cast<float>(sum), 1 + 0x1p-13F);
    sum += 0x1.8p-14F;
    EXPECT_EQ(static_cast<float>(sum), 1 + 0x1p-13F);
    sum += -4;
    EXPECT_EQ(static_cast<float>(sum), -3 + 0x1p-12F);  // cut toward zero
    sum += NAN;
    EXPECT_TRUE(std::isnan(static_cast<float>(sum)));
}

}  // namespace
}  // namespace warpwright
