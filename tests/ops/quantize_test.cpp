// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantize.h"

#include <cmath>
#include <limits>

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "quantize";

TEST(Quantize, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Quantize, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "quantize.lanes.bf16.t256v4.cvt", "a100", {}),
              "fp8 convert: needs compute capability 8.9 or later, a100-80 is compute capability 8.0");
    EXPECT_EQ(refusal(kOp, "quantize.lanes.bf16.t256v4.cvt", "rtx-4090", {}), "");
    EXPECT_EQ(refusal(kOp, "quantize.lanes.bf16.t256v4", "h200", {{"columns", "4160"}}),
              "columns: needs a multiple of 128, got 4160");
    EXPECT_EQ(refusal(kOp, "quantize.lanes.bf16.t256v4", "h200", {{"group_columns", "96"}}),
              "group columns: needs a power of two, got 96");
    EXPECT_EQ(refusal(kOp, "quantize.lanes.bf16.t256v4", "h200", {{"group_columns", "4"}}),
              "group columns: needs at least 16, got 4");
    EXPECT_EQ(refusal(kOp, "quantize.lanes.bf16.t256v4", "h200", {{"group_columns", "512"}}),
              "group columns: needs at most 256, got 512");
    EXPECT_EQ(refusal(kOp, "quantize.lanes.bf16.t256v4", "h200", {{"rows", "128"}, {"group_rows", "128"}}),
              "group rows: needs 1, got 128");
    EXPECT_EQ(refusal(kOp, "quantize.lanes.f16.t256v4", "h200", {{"dtype", "f16"}, {"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal(kOp, "quantize.block.bf16.t128v8", "h200",
                      {{"columns", "16384"}, {"group_columns", "16384"}}),
              "group: needs at most 8192, got 16384");
    EXPECT_EQ(refusal(kOp, "quantize.block.bf16.t128v8", "h200", {{"given_scale", "true"}}),
              "given scale: needs 0, got 1");
    const char* nvfp4 = "quantize.groups.bf16.nvfp4.t128v2.cvt";
    const FieldTexts groups_of_32{{"code", "e2m1"}, {"scale", "e8m0_up"}, {"group_columns", "32"}};
    EXPECT_EQ(refusal(kOp, nvfp4, "h200", {}), "codes e2m1: needs true, got false");
    EXPECT_EQ(refusal(kOp, nvfp4, "h200", groups_of_32), "scales e4m3: needs true, got false");
    EXPECT_EQ(refusal(kOp, nvfp4, "h200", {{"code", "e2m1"}, {"scale", "e4m3"}, {"group_columns", "32"}}),
              "group columns: needs 16, got 32");
    EXPECT_EQ(refusal(kOp, "quantize.groups.bf16.mxfp4.t128v2", "h200", groups_of_32), "");
    EXPECT_EQ(refusal(kOp, "quantize.groups.bf16.mxfp4.t128v2", "h200", {{"code", "e2m1"}}),
              "scales e8m0: needs true, got false");
    EXPECT_EQ(refusal(kOp, "quantize.portable.bf16.any", "h200", {{"dtype", "f16"}}),
              "dtype: needs bf16, got f16");
}

TEST(Quantize, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "quantize.lanes.bf16.t256v4.cvt");
    EXPECT_EQ(chosen(kOp, "h200", {{"rows", "8192"}}), "quantize.lanes.bf16.t256v4.cvt");
    EXPECT_EQ(chosen(kOp, "a100", {{"rows", "8192"}}), "quantize.lanes.bf16.t256v4");
    EXPECT_EQ(chosen(kOp, "rtx-pro-6000", {{"rows", "64"}, {"group_columns", "4096"}}),
              "quantize.block.bf16.t128v8.cvt");
    EXPECT_EQ(chosen(kOp, "h200", {{"rows", "64"}, {"columns", "16384"}, {"group_columns", "16384"}}),
              "quantize.block.bf16.t256v8.cvt");
    EXPECT_EQ(chosen(kOp, "h200", {{"rows", "64"}, {"columns", "28672"}, {"group_columns", "28672"}}),
              "quantize.block.bf16.t512v8.cvt");
    EXPECT_EQ(chosen(kOp, "b200", {{"rows", "4096"}, {"group_rows", "128"}}),
              "quantize.block.bf16.t256v8.cvt");
    EXPECT_EQ(chosen(kOp, "rtx-3090", {{"columns", "130"}, {"alignment_bytes", "2"}}),
              "quantize.portable.bf16.any");
    EXPECT_EQ(chosen(kOp, "h200", {{"code", "e2m1"}, {"scale", "e4m3"}, {"group_columns", "16"}}),
              "quantize.groups.bf16.nvfp4.t128v2.cvt");
    EXPECT_EQ(chosen(kOp, "a100", {{"code", "e2m1"}, {"scale", "e8m0"}, {"group_columns", "32"}}),
              "quantize.groups.bf16.mxfp4.t128v2");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f16"}}), "quantize.host.f16");
    EXPECT_EQ(chosen(kOp, "h200", {{"dtype", "f32"}}), "");
}

// What the header promises, number by number: e4m3 in one group of eight.
TEST(Quantize, RoundsAsItsHeaderSays) {
    const u16 x[8] = {0x43e0, 0xc3e0, 0x4388, 0x4398, 0x3a00, 0x0000, 0x8000, 0x3f80};  // bf16
    u8 codes[8] = {};
    float scale = 0;
    const Quantize call{.x = Tensor::dense(const_cast<u16*>(x), DType::bf16, {1, 8}),
                        .format = kFp8PerToken,
                        .codes = Tensor::dense(codes, DType::u8, {1, 8}),
                        .scales = Tensor::dense(&scale, DType::f32, {1, 1})};
    ASSERT_TRUE(quantize(cpu_context(), {}, call).ok());
    EXPECT_EQ(scale, 1.0F);
    // 448, -448, 272 (a tie: 256), 304 (a tie: 320), 2^-11 (less than half of the smallest), 0, -0, 1
    const u8 expected[8] = {0x7e, 0xfe, 0x78, 0x7a, 0x00, 0x00, 0x80, 0x38};
    for (int i = 0; i < 8; ++i) EXPECT_EQ(codes[i], expected[i]) << i;
}

// A static scale comes from the device: what is not positive and finite makes every code NaN's.
TEST(Quantize, AnUnusableGivenScaleIsNan) {
    const u16 x[8] = {0x3f80, 0xbf80, 0, 0x4000, 0x3f80, 0x3f80, 0x3f80, 0x3f80};
    for (float scale : {0.0F, -1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
        u8 codes[8] = {};
        const Quantize call{.x = Tensor::dense(const_cast<u16*>(x), DType::bf16, {1, 8}),
                            .format = kFp8PerTensor,
                            .codes = Tensor::dense(codes, DType::u8, {1, 8}),
                            .scales = Tensor::dense(&scale, DType::f32, {1, 1}),
                            .given_scale = true};
        ASSERT_TRUE(quantize(cpu_context(), {}, call).ok());
        for (u8 code : codes) EXPECT_EQ(code, 0x7f) << scale;
    }
}

// One NaN anywhere is a NaN of the whole tensor, as torch.amax has it.
TEST(Quantize, OneScaleForAll) {
    u16 x[16] = {0x43e0, 0x3f80};  // bf16: 448, 1
    alignas(16) float parts[512];
    u8 codes[16];
    float scale = 0;
    const Quantize call{.x = Tensor::dense(x, DType::bf16, {2, 8}),
                        .format = kFp8PerTensor,
                        .codes = Tensor::dense(codes, DType::u8, {2, 8}),
                        .scales = Tensor::dense(&scale, DType::f32, {1, 1}),
                        .amax_parts = Tensor::dense(parts, DType::f32, {512})};
    ASSERT_TRUE(quantize(cpu_context(), {}, call).ok());
    EXPECT_EQ(scale, 1.0F);
    EXPECT_EQ(codes[0], 0x7e);
    EXPECT_EQ(codes[1], 0x38);
    EXPECT_EQ(codes[15], 0);
    x[15] = 0x7fc0;
    ASSERT_TRUE(quantize(cpu_context(), {}, call).ok());
    EXPECT_TRUE(std::isnan(scale));
    for (u8 code : codes) EXPECT_EQ(code, 0x7f);
}

TEST(Quantize, NamesTheArgumentThatDisagrees) {
    float data[512] = {};
    const auto tensor = [&](DType dtype, i64 rows, i64 columns) {
        return Tensor::dense(data, dtype, {rows, columns});
    };
    const auto error = [](const Quantize& call) {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    };
    const Quantize good{.x = tensor(DType::bf16, 2, 256),
                        .codes = tensor(DType::u8, 2, 256),
                        .scales = tensor(DType::f32, 2, 2)};
    EXPECT_EQ(error(good), "");
    Quantize call = good;
    call.scales = tensor(DType::f32, 2, 1);
    EXPECT_EQ(error(call), "quantize: scales must be [2, 2], got [2, 1]");
    call.scales = tensor(DType::u8, 2, 2);
    EXPECT_EQ(error(call), "quantize: scales must be f32 for f32 scales, got u8");
    call.scales = {};
    EXPECT_EQ(error(call), "quantize: scales is null");
    call = good;
    call.codes = tensor(DType::u8, 2, 128);
    EXPECT_EQ(error(call), "quantize: codes must be [2, 256], got [2, 128]");
    call = good;
    call.given_scale = true;
    EXPECT_EQ(error(call), "quantize: a given scale must be fp32 and of the whole tensor");
    call = good;
    call.format = kFp8PerTensor;
    call.scales = tensor(DType::f32, 1, 1);
    EXPECT_EQ(error(call), "quantize: amax_parts is null");
    call.amax_parts = Tensor::dense(data, DType::f32, {100});
    EXPECT_EQ(error(call), "quantize: amax_parts must be [512], got [100]");
    call = good;
    call.swizzled = true;
    EXPECT_EQ(error(call), "quantize: only coded scales of one row can be swizzled");
    call = good;
    call.global_scale = Tensor::dense(data, DType::f32, {1});
    EXPECT_EQ(error(call), "quantize: global_scale goes with e4m3 scales only");
    call = good;
    call.least_amax = -1;
    EXPECT_EQ(error(call), "quantize: least_amax must be 0 or more, got -1");

    const Quantize mx{.x = tensor(DType::bf16, 2, 80),
                      .format = kMxfp4,
                      .codes = tensor(DType::u8, 2, 40),
                      .scales = tensor(DType::u8, 2, 3)};
    EXPECT_EQ(error(mx), "quantize: groups of 32 must divide columns, got 80");
    call = mx;
    call.codes = tensor(DType::u8, 2, 80);
    EXPECT_EQ(error(call), "quantize: codes must be [2, 40], got [2, 80]");
    call = mx;
    call.x = tensor(DType::bf16, 2, 96);
    call.codes = tensor(DType::u8, 2, 48);
    EXPECT_EQ(error(call), "");
    call.swizzled = true;
    EXPECT_EQ(error(call), "quantize: scales must be [128, 4], got [2, 3]");
}

}  // namespace
}  // namespace warpwright
