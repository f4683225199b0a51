// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/amax.h"

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "amax";

TEST(Amax, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Amax, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "amax.portable.bf16.t256v8", "h200", {{"columns", "333"}}),
              "columns: needs a multiple of 8, got 333");
    EXPECT_EQ(refusal(kOp, "amax.portable.bf16.t256v8", "h200", {{"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
    EXPECT_EQ(refusal(kOp, "amax.portable.bf16.any", "h200", {{"dtype", "f16"}}),
              "dtype: needs bf16, got f16");
}

TEST(Amax, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "amax.portable.bf16.t256v8");
    EXPECT_EQ(chosen(kOp, "rtx-3090", {{"columns", "11"}, {"dtype", "f16"}}), "amax.portable.f16.any");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "amax.host.bf16");
}

TEST(Amax, NamesTheArgumentThatDisagrees) {
    float data[64] = {};
    Amax call{.x = Tensor::dense(data, DType::bf16, {2, 16}), .out = Tensor::dense(data, DType::f32, {0})};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "amax: out has no parts, or more than 2^31");
    call.out.dtype = DType::bf16;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "amax: out must be f32, got bf16");
    call.out = {};
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "amax: out is null");
}

}  // namespace
}  // namespace warpwright
