// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/scaling.h"

#include <cmath>

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "scaling";

TEST(Scaling, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Scaling, ChoosesARow) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "scaling.portable.t256r4");
    EXPECT_EQ(chosen(kOp, "cpu", {{"length", "1024"}}), "scaling.host");
}

// The recipe's formula by hand, over some steps: a history of 3, margin 1, e4m3.
TEST(Scaling, StepsByHand) {
    float history[6] = {}, scale[2] = {1, 1}, scale_inv[2] = {};
    Scaling call{.amax_history = Tensor::dense(history, DType::f32, {3, 2}),
                 .scale = Tensor::dense(scale, DType::f32, {2}),
                 .scale_inv = Tensor::dense(scale_inv, DType::f32, {2}),
                 .margin = 1};
    const auto step = [&](float first, float second) {
        history[0] = first;
        history[1] = second;
        ASSERT_TRUE(scaling(cpu_context(), {}, call).ok());
        EXPECT_EQ(scale_inv[0], 1 / scale[0]);
        EXPECT_EQ(history[0], 0);
    };
    step(7, 0);
    EXPECT_EQ(scale[0], 448.0F / 2 / 7);
    EXPECT_EQ(scale[1], 1);  // nothing is known of it yet
    step(2, 14);
    EXPECT_EQ(scale[0], 448.0F / 2 / 7);
    EXPECT_EQ(scale[1], 448.0F / 2 / 14);
    EXPECT_EQ(history[4], 2);  // the last row is the newest
    EXPECT_EQ(history[2], 7);
    step(1, INFINITY);
    EXPECT_EQ(scale[0], 448.0F / 2 / 7);
    EXPECT_EQ(scale[1], 448.0F / 2 / 14);
    step(1.5F, 3);
    EXPECT_EQ(scale[0], 448.0F / 2 / 2);  // 7 has left
    EXPECT_EQ(scale[1], 448.0F / 2 / 14);
    call.largest_of_all = false;
    step(4, 1);
    EXPECT_EQ(scale[0], 448.0F / 2 / 4);
    EXPECT_EQ(scale[1], 448.0F / 2);
}

TEST(Scaling, NamesTheArgumentThatDisagrees) {
    float data[64] = {};
    Scaling call{.amax_history = Tensor::dense(data, DType::f32, {4, 2}),
                 .scale = Tensor::dense(data, DType::f32, {2}),
                 .scale_inv = Tensor::dense(data, DType::f32, {3})};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "scaling: scale_inv: dimension 0 (tensors) is 3, but amax_history has 2");
    call.scale_inv = call.scale;
    call.margin = 65;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "scaling: margin must be from -64 to 64, got 65");
    call.amax_history.shape[0] = 0;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "scaling: amax_history has no rows");
}

}  // namespace
}  // namespace warpwright
