// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/merge_state.h"

#include <cmath>
#include <limits>

#include "kernels/attention/merge_state/oracle.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "merge_state";
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(MergeState, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(MergeState, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "merge_state.portable.bf16", "h200", {{"head_dim", "60"}}),
              "head dim: needs a multiple of 8, got 60");
    EXPECT_EQ(refusal(kOp, "merge_state.portable.f32", "a100", {{"dtype", "f32"}, {"head_dim", "60"}}), "");
    EXPECT_EQ(refusal(kOp, "merge_state.portable.f16", "h200", {}), "dtype: needs f16, got bf16");
    EXPECT_EQ(refusal(kOp, "merge_state.portable.bf16", "h200", {{"alignment_bytes", "2"}}),
              "alignment: needs a multiple of 16, got 2");
}

TEST(MergeState, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "merge_state.portable.bf16");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"alignment_bytes", "2"}, {"dtype", "f16"}}),
              "merge_state.portable.f16.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f32"}}), "merge_state.host.f32");
}

// Two states of one (token, head) of two columns: the second has three times the first one's weight.
struct SmallMerge {
    std::vector<float> a = {4, 0}, b = {8, 2}, a_lse = {1}, b_lse = {1}, out = {9, 9}, lse = {9};
    MergeState call{.a = Tensor::dense(a.data(), DType::f32, {1, 1, 2}),
                    .a_lse = Tensor::dense(a_lse.data(), DType::f32, {1, 1}),
                    .b = Tensor::dense(b.data(), DType::f32, {1, 1, 2}),
                    .b_lse = Tensor::dense(b_lse.data(), DType::f32, {1, 1}),
                    .out = Tensor::dense(out.data(), DType::f32, {1, 1, 2}),
                    .lse = Tensor::dense(lse.data(), DType::f32, {1, 1})};

    std::string error() { return merge_state(cpu_context(), {}, call).message(); }
};

TEST(MergeState, WeighsByTheBaseThatIsNamed) {
    for (LseBase base : {LseBase::two, LseBase::e}) {
        SmallMerge small;
        small.call.base = base;
        const double three = base == LseBase::e ? std::log(3) : std::log2(3);
        small.b_lse[0] = static_cast<float>(1 + three);
        EXPECT_EQ(small.error(), "");
        EXPECT_NEAR(small.out[0], 7, 1e-5);
        EXPECT_NEAR(small.out[1], 1.5, 1e-5);
        EXPECT_NEAR(small.lse[0], 1 + (base == LseBase::e ? std::log(4) : 2), 1e-5);
        const auto answer = merge_state_oracle({4, 0, 8, 2}, {1, small.b_lse[0]}, 2, 2,
                                               base == LseBase::e ? std::exp(1.0) : 2);
        EXPECT_NEAR(answer.out[0], 7, 1e-6);
        EXPECT_NEAR(answer.lse[0], small.lse[0], 1e-5);
    }
}

TEST(MergeState, ARowWithoutKeysIsZeros) {
    for (float empty : {-kInfinity, kInfinity}) {
        SmallMerge small;
        small.a_lse[0] = empty;
        small.a[0] = std::nanf("");
        EXPECT_EQ(small.error(), "");
        EXPECT_EQ(small.out, (std::vector<float>{8, 2}));
        EXPECT_EQ(small.lse[0], 1);
        small.b_lse[0] = empty;
        EXPECT_EQ(small.error(), "");
        EXPECT_EQ(small.out, (std::vector<float>{0, 0}));
        EXPECT_EQ(small.lse[0], -kInfinity);
    }
}

TEST(MergeState, NamesTheArgumentThatDisagrees) {
    SmallMerge small;
    small.call.b.shape[2] = 1;
    EXPECT_EQ(small.error(), "merge_state: b: dimension 2 (head_dim) is 1, but a has 2");
    small = {};
    small.call.b_lse = {};
    EXPECT_EQ(small.error(), "merge_state: b_lse is null");
    small = {};
    small.call.a.dtype = DType::i32;
    EXPECT_NE(small.error().find("merge_state: a"), std::string::npos) << small.error();
    float values[4] = {};
    const MergeStates none{.states = Tensor::dense(values, DType::f32, {0, 1, 1, 2}),
                           .states_lse = Tensor::dense(values, DType::f32, {0, 1, 1}),
                           .out = Tensor::dense(values, DType::f32, {1, 1, 2})};
    EXPECT_EQ(merge_states(cpu_context(), {}, none).message(),
              "merge_states: there must be at least one state");
}

}  // namespace
}  // namespace warpwright
