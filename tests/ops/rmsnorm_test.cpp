// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rmsnorm.h"

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "rmsnorm";

TEST(RmsNorm, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(RmsNorm, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.t256v2", "h200", {{"hidden", "8192"}}),
              "hidden: needs at most 4096, got 8192");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.t256v2", "h200", {{"hidden", "4092"}}),
              "hidden: needs a multiple of 8, got 4092");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.t256v2", "h200", {{"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.t256v2", "h200", {{"dtype", "f16"}}),
              "dtype: needs bf16, got f16");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.l16v1", "h200", {{"hidden", "136"}, {"heads", "8"}}),
              "hidden: needs at most 128, got 136");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.any", "cpu", {}),
              "architecture: needs compute capability 8.0 or later, cpu is a CPU");
    EXPECT_EQ(refusal(kOp, "rmsnorm.host.bf16", "rtx-5090", {}),
              "architecture: runs on the CPU, rtx-5090 is a GPU");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.any", "a100", {{"alignment_bytes", "2"}}), "");
}

TEST(RmsNorm, LayerNormHasARowOfItsOwn) {
    EXPECT_EQ(chosen(kOp, "h200", {{"hidden", "128"}, {"residual", "false"}, {"bias", "true"}}),
              "rmsnorm.portable.bf16.l32bias");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.any", "h200", {{"residual", "false"}, {"bias", "true"}}),
              "bias: needs false, got true");
    for (const auto& [row, device] :
         {std::pair{"rmsnorm.portable.bf16.l32bias", "h200"}, std::pair{"rmsnorm.host.bf16", "cpu"}}) {
        EXPECT_EQ(refusal(kOp, row, device, {{"residual", "true"}, {"bias", "true"}}),
                  "residual: needs false, got true");
        EXPECT_EQ(refusal(kOp, row, device, {{"residual", "false"}, {"bias", "true"}, {"quantized", "true"}}),
                  "quantized: needs false, got true");
    }
    std::vector<u16> values(128);
    const Tensor x = Tensor::dense(values.data(), DType::bf16, {1, 128}),
                 weight = Tensor::dense(values.data(), DType::bf16, {128});
    RmsNorm call{.x = x, .weight = weight, .out = x, .residual = x, .bias = weight};
    EXPECT_EQ(rmsnorm(cpu_context(), {}, call).message(),
              "rmsnorm: residual must be null where there is a bias");
    call.residual = {};
    EXPECT_TRUE(rmsnorm(cpu_context(), {}, call).ok());
}

TEST(RmsNorm, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {{"hidden", "1024"}}), "rmsnorm.portable.bf16.t64v2");
    EXPECT_EQ(chosen(kOp, "h200", {{"hidden", "4096"}}), "rmsnorm.portable.bf16.t256v2");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"hidden", "8192"}, {"dtype", "f16"}}), "rmsnorm.portable.f16.t512v4");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"hidden", "32768"}}), "rmsnorm.portable.bf16.any");
    EXPECT_EQ(chosen(kOp, "h200", {{"hidden", "4096"}, {"weight_offset", "1"}}),
              "rmsnorm.portable.bf16.t256v2");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "rmsnorm.host.bf16");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f32"}}), "");
}

// Heads of 64 to 256 elements: a part of a warp each, whether they are few or many.
TEST(RmsNorm, ShortRowsShareABlock) {
    for (const char* target : {"a100", "rtx-4090", "h200", "b200", "rtx-pro-6000"}) {
        for (const char* tokens : {"1", "64", "8192"}) {
            const auto row = [&](const char* head_dim, const char* alignment_bytes) {
                return chosen(kOp, target,
                              {{"tokens", tokens},
                               {"heads", "40"},
                               {"hidden", head_dim},
                               {"residual", "false"},
                               {"alignment_bytes", alignment_bytes}});
            };
            EXPECT_EQ(row("64", "16"), "rmsnorm.portable.bf16.l8v1") << target << " " << tokens;
            EXPECT_EQ(row("96", "16"), "rmsnorm.portable.bf16.l16v1") << target << " " << tokens;
            EXPECT_EQ(row("128", "16"), "rmsnorm.portable.bf16.l16v1") << target << " " << tokens;
            EXPECT_EQ(row("256", "16"), "rmsnorm.portable.bf16.l32v1") << target << " " << tokens;
            EXPECT_EQ(row("80", "2"), "rmsnorm.portable.bf16.l32any") << target << " " << tokens;
        }
    }
}

TEST(RmsNorm, QuantizedRows) {
    const auto with = [](FieldTexts more) {
        more.insert(more.begin(), {"quantized", "true"});
        return more;
    };
    EXPECT_EQ(chosen(kOp, "h200", with({})), "rmsnorm.quantized.bf16.t256v2.cvt");
    EXPECT_EQ(chosen(kOp, "a100", with({})), "rmsnorm.quantized.bf16.t256v2");
    EXPECT_EQ(chosen(kOp, "rtx-5090", with({{"code", "e2m1"}, {"scale", "e4m3"}, {"group_columns", "16"}})),
              "rmsnorm.quantized.bf16.t256v2");
    EXPECT_EQ(chosen(kOp, "h200", with({{"hidden", "7168"}, {"group_columns", "7168"}})),
              "rmsnorm.quantized.bf16.t256v4.cvt");
    EXPECT_EQ(chosen(kOp, "h200", with({{"hidden", "1023"}, {"alignment_bytes", "2"}})),
              "rmsnorm.quantized.bf16.any");
    EXPECT_EQ(chosen(kOp, "cpu", with({})), "rmsnorm.host.bf16");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.any", "h200", with({})),
              "quantized: needs false, got true");
    EXPECT_EQ(refusal(kOp, "rmsnorm.quantized.bf16.any", "h200", {}), "quantized: needs true, got false");
    EXPECT_EQ(refusal(kOp, "rmsnorm.quantized.bf16.t256v2.cvt", "a100", with({})),
              "fp8 convert: needs compute capability 8.9 or later, a100-80 is compute capability 8.0");
    EXPECT_EQ(refusal(kOp, "rmsnorm.quantized.bf16.t256v2", "h200", with({{"group_columns", "24"}})),
              "group columns: needs a power of two, got 24");
    EXPECT_EQ(refusal(kOp, "rmsnorm.quantized.bf16.any", "h200", with({{"heads", "4"}})),
              "heads: needs 1, got 4");
}

TEST(RmsNorm, NamesTheQuantizedArgumentThatDisagrees) {
    float data[512] = {};
    const auto error = [&](const auto& change) {
        RmsNorm call{.x = Tensor::dense(data, DType::bf16, {2, 256}),
                     .weight = Tensor::dense(data, DType::bf16, {256}),
                     .quantized = {.codes = Tensor::dense(data, DType::u8, {2, 256}),
                                   .scales = Tensor::dense(data, DType::f32, {2, 2})}};
        change(call);
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    };
    EXPECT_EQ(error([](RmsNorm&) {}), "");
    EXPECT_EQ(error([](RmsNorm& c) { c.quantized = {}; }),
              "rmsnorm: out and codes are null: nothing is to be computed");
    EXPECT_EQ(error([&](RmsNorm& c) {
                  c.out = c.x;
                  c.quantized.codes = {};
              }),
              "rmsnorm: codes is null, but scales or amax is given");
    EXPECT_EQ(error([&](RmsNorm& c) { c.quantized.codes.shape[1] = 128; }),
              "rmsnorm: codes must be [2, 256], got [2, 128]");
    EXPECT_EQ(error([&](RmsNorm& c) { c.quantized.format = kFp8PerToken; }),
              "rmsnorm: scales must be [2, 1], got [2, 2]");
    EXPECT_EQ(error([&](RmsNorm& c) {
                  c.quantized.format = kFp8PerTensor;
                  c.quantized.scales = Tensor::dense(data, DType::f32, {1, 1});
              }),
              "rmsnorm: scales must be of one row, or given for the whole tensor");
    EXPECT_EQ(error([&](RmsNorm& c) { c.quantized.given_scale = true; }),
              "rmsnorm: a given scale must be fp32 and of the whole tensor");
    EXPECT_EQ(error([&](RmsNorm& c) { c.quantized.amax = Tensor::dense(data, DType::f32, {2}); }),
              "rmsnorm: amax must have one element");
    EXPECT_EQ(error([&](RmsNorm& c) {
                  c.x = Tensor::dense(data, DType::bf16, {2, 2, 64});
                  c.weight = Tensor::dense(data, DType::bf16, {64});
              }),
              "rmsnorm: codes must be null where heads are normalised");
}

TEST(RmsNorm, NamesTheArgumentThatDisagrees) {
    float data[64] = {};
    RmsNorm call{.x = Tensor::dense(data, DType::bf16, {2, 16}),
                 .weight = Tensor::dense(data, DType::bf16, {8}),
                 .out = Tensor::dense(data, DType::bf16, {2, 16})};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "rmsnorm: weight: dimension 0 (hidden) is 8, but x has 16");
    call.weight = {};
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "rmsnorm: weight is null");
    call.x.dtype = DType::f32;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "rmsnorm: x must be bf16 or f16, got f32");

    call = {.x = Tensor::dense(data, DType::bf16, {2, 4, 8}),
            .weight = Tensor::dense(data, DType::bf16, {4}),
            .out = Tensor::dense(data, DType::bf16, {2, 4, 8})};
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "rmsnorm: weight: dimension 0 (head_dim) is 4, but x has 8");
    call.weight = Tensor::dense(data, DType::bf16, {8});
    call.out.rank = 2;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "rmsnorm: out must have 3 dimensions, got 2");
    call.out.rank = 3;
    call.residual = call.out;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "rmsnorm: residual must be null where heads are normalised");
    call.residual = {};
    call.x.shape[0] = call.out.shape[0] = i64{1} << 30;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "rmsnorm: x has 4294967296 rows to normalise, at most 2147483647 can be");
    call.x.shape[0] = call.out.shape[0] = 0;
    EXPECT_TRUE(prepare(cpu_context(), call, prepared).ok());
}

}  // namespace
}  // namespace warpwright
