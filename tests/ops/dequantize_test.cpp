// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/dequantize.h"

#include <cmath>

#include "ops/check_test.h"
#include "warpwright/ops/quantize.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "dequantize";

TEST(Dequantize, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Dequantize, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "dequantize.portable.bf16.t256v4", "h200", {{"columns", "333"}}),
              "columns: needs a multiple of 8, got 333");
    EXPECT_EQ(refusal(kOp, "dequantize.portable.bf16.t256v4", "h200", {{"group_columns", "12"}}),
              "group columns: needs a multiple of 8, got 12");
    EXPECT_EQ(refusal(kOp, "dequantize.portable.f16.t256v4", "h200", {}), "out: needs f16, got bf16");
}

TEST(Dequantize, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {{"rows", "8192"}}), "dequantize.portable.bf16.t256v4");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"out", "f32"}, {"alignment_bytes", "2"}}),
              "dequantize.portable.f32.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"out", "f16"}}), "dequantize.host.f16");
}

// What has few digits comes back as it went in.
TEST(Dequantize, IsTheOppositeOfQuantize) {
    for (const QuantizeFormat& format :
         {QuantizeFormat{CodeType::e4m3, ScaleType::power_of_two, 1, 128}, kMxfp8, kMxfp4}) {
        u16 x[256], back[256] = {};
        for (int i = 0; i < 256; ++i) x[i] = static_cast<u16>(0x3f80 + i % 2 * 0x40 + i % 3 * 0x80);  // bf16
        u8 codes[256];
        float scales[8];
        const i64 bytes = 256 * facts_of(format.code).bits / 8;
        const Tensor c = Tensor::dense(codes, DType::u8, {1, bytes});
        const Tensor s = Tensor::dense(scales, dtype_of(format.scale), {1, 256 / format.group_columns});
        const Quantize to{
            .x = Tensor::dense(x, DType::bf16, {1, 256}), .format = format, .codes = c, .scales = s};
        ASSERT_TRUE(quantize(cpu_context(), {}, to).ok());
        const Dequantize from{
            .codes = c, .scales = s, .format = format, .out = Tensor::dense(back, DType::bf16, {1, 256})};
        ASSERT_TRUE(dequantize(cpu_context(), {}, from).ok());
        for (int i = 0; i < 256; ++i) EXPECT_EQ(back[i], x[i]) << i;
    }
}

TEST(Dequantize, NamesTheArgumentThatDisagrees) {
    float data[512] = {};
    Dequantize call{.codes = Tensor::dense(data, DType::u8, {2, 128}),
                    .scales = Tensor::dense(data, DType::f32, {2, 2}),
                    .out = Tensor::dense(data, DType::bf16, {2, 256})};
    const auto error = [&] {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    };
    EXPECT_EQ(error(), "dequantize: codes must be [2, 256], got [2, 128]");
    call.format = kMxfp4;
    EXPECT_EQ(error(), "dequantize: scales must be u8 for e8m0 scales, got f32");
    call.scales = Tensor::dense(data, DType::u8, {2, 4});
    EXPECT_EQ(error(), "dequantize: scales must be [2, 8], got [2, 4]");
    call.out.dtype = DType::u8;
    EXPECT_EQ(error(), "dequantize: out must be bf16 or f16 or f32, got u8");
}

}  // namespace
}  // namespace warpwright
