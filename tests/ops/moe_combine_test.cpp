// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_combine.h"

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "moe_combine";

TEST(MoeCombine, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(MoeCombine, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "moe_combine.portable.bf16.t128", "h200", {{"width", "2050"}}),
              "width: needs a multiple of 8, got 2050");
    EXPECT_EQ(refusal(kOp, "moe_combine.portable.f16.t128", "h200", {}), "dtype: needs f16, got bf16");
}

TEST(MoeCombine, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "moe_combine.portable.bf16.t128");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"alignment_bytes", "2"}, {"dtype", "f16"}}),
              "moe_combine.portable.f16.any");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "moe_combine.host.bf16");
}

}  // namespace
}  // namespace warpwright
