// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/gated_activation.h"

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "gated_activation";

TEST(GatedActivation, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(GatedActivation, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "gated_activation.portable.f16.t128v1", "h200",
                      {{"dtype", "f16"}, {"width", "333"}, {"activation", "gelu"}}),
              "width: needs a multiple of 8, got 333");
    EXPECT_EQ(refusal(kOp, "gated_activation.portable.bf16.t128v1", "h200", {{"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal(kOp, "gated_activation.portable.bf16.any", "h200", {{"dtype", "f16"}}),
              "dtype: needs bf16, got f16");
}

TEST(GatedActivation, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {{"activation", "gelu_tanh"}}), "gated_activation.portable.bf16.t128v1");
    EXPECT_EQ(chosen(kOp, "rtx-3090", {{"width", "11"}, {"alignment_bytes", "2"}}),
              "gated_activation.portable.bf16.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f16"}}), "gated_activation.host.f16");
    EXPECT_EQ(chosen(kOp, "h200", {{"dtype", "f32"}}), "");
}

TEST(GatedActivation, QuantizedRows) {
    const auto with = [](FieldTexts more) {
        more.insert(more.begin(), {"quantized", "true"});
        return more;
    };
    EXPECT_EQ(chosen(kOp, "h200", with({})), "gated_activation.quantized.bf16.t128v2.cvt");
    EXPECT_EQ(chosen(kOp, "a100", with({{"width", "8192"}})), "gated_activation.quantized.bf16.t128v2");
    EXPECT_EQ(chosen(kOp, "h200", with({{"group_columns", "14336"}})),
              "gated_activation.quantized.bf16.t512v4.cvt");
    EXPECT_EQ(chosen(kOp, "h200", with({{"width", "28672"}, {"group_columns", "28672"}})),
              "gated_activation.quantized.bf16.t1024v4.cvt");
    EXPECT_EQ(chosen(kOp, "h200", with({{"width", "65536"}, {"group_columns", "65536"}})),
              "gated_activation.quantized.bf16.any");
    EXPECT_EQ(refusal(kOp, "gated_activation.quantized.bf16.t512v4", "h200",
                      with({{"width", "28672"}, {"group_columns", "28672"}})),
              "group columns: needs at most 16384, got 28672");
    EXPECT_EQ(refusal(kOp, "gated_activation.quantized.bf16.t128v2", "h200", {}),
              "quantized: needs true, got false");
    EXPECT_EQ(chosen(kOp, "cpu", with({})), "gated_activation.host.bf16");
}

TEST(GatedActivation, NeedsSomethingToCompute) {
    float data[64] = {};
    const Tensor x = Tensor::dense(data, DType::bf16, {2, 16});
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), GatedActivation{.gate = x, .up = x}, prepared).message(),
              "gated_activation: out and codes are null: nothing is to be computed");
}

}  // namespace
}  // namespace warpwright
