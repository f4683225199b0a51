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
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.any", "cpu", {}),
              "architecture: needs compute capability 8.0 or later, cpu is a CPU");
    EXPECT_EQ(refusal(kOp, "rmsnorm.host.bf16", "rtx-5090", {}),
              "architecture: runs on the CPU, rtx-5090 is a GPU");
    EXPECT_EQ(refusal(kOp, "rmsnorm.portable.bf16.any", "a100", {{"alignment_bytes", "2"}}), "");
}

TEST(RmsNorm, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {{"hidden", "1024"}}), "rmsnorm.portable.bf16.t64v2");
    EXPECT_EQ(chosen(kOp, "h200", {{"hidden", "4096"}}), "rmsnorm.portable.bf16.t256v2");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"hidden", "8192"}, {"dtype", "f16"}}), "rmsnorm.portable.f16.t512v4");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"hidden", "32768"}}), "rmsnorm.portable.bf16.any");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "rmsnorm.host.bf16");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f32"}}), "");
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
}

}  // namespace
}  // namespace warpwright
