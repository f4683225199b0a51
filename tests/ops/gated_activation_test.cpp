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

}  // namespace
}  // namespace warpwright
