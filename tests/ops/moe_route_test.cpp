// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_route.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/moe/route/score.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "moe_route";
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                kInfinity = std::numeric_limits<float>::infinity();

TEST(MoeRoute, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(MoeRoute, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "moe_route.portable.e128", "h200", {{"experts", "160"}}),
              "experts: needs at most 128, got 160");
    EXPECT_EQ(refusal(kOp, "moe_route.portable.e256", "h200", {{"top_k", "33"}}),
              "top k: needs at most 32, got 33");
    EXPECT_EQ(refusal(kOp, "moe_route.host", "h200", {{"num_groups", "64"}}),
              "architecture: runs on the CPU, h200 is a GPU");
}

TEST(MoeRoute, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {{"experts", "128"}}), "moe_route.portable.e128");
    EXPECT_EQ(chosen(kOp, "rtx-5090", {{"experts", "256"}, {"score", "sigmoid"}}), "moe_route.portable.e256");
    EXPECT_EQ(chosen(kOp, "a10", {{"experts", "384"}}), "moe_route.portable.e1024");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "moe_route.host");
}

// Errors of the shared arithmetic, over all magnitudes that matter.
TEST(MoeRoute, ScoresAreWithinTwoUnitsInTheLastPlace) {
    const auto off = [](float got, double exact) { return std::abs(got - exact) / exact * 0x1p24; };
    for (float x = -80; x < 90; x += 0.0371f) {
        const double e = std::exp(double{x});
        if (x <= 0) {
            EXPECT_LT(off(route::exp_nonpositive(x), e), 3) << x;
        }
        EXPECT_LT(off(route::sigmoid(x), e / (1 + e)), 4) << x;
        EXPECT_LT(off(route::sqrt_softplus(x), std::sqrt(x > 0 ? x + std::log1p(1 / e) : std::log1p(e))), 4)
            << x;
    }
    EXPECT_EQ(route::exp_nonpositive(-kInfinity), 0);
    EXPECT_EQ(route::sigmoid(-kInfinity), 0);
    EXPECT_EQ(route::sqrt_softplus(-kInfinity), 0);
}

// One token of some experts; each test sets what it is about.
struct Small {
    std::vector<float> logits, weights, bias;
    std::vector<i32> ids, table, token_ids = {0}, nan_count = {0};
    MoeRoute call;

    Small(std::vector<float> values, i64 top_k)
        : logits(std::move(values)),
          weights(static_cast<std::size_t>(top_k)),
          ids(static_cast<std::size_t>(top_k)) {
        call.logits = Tensor::dense(logits.data(), DType::f32, {1, static_cast<i64>(logits.size())});
        call.ids = Tensor::dense(ids.data(), DType::i32, {1, top_k});
        call.weights = Tensor::dense(weights.data(), DType::f32, {1, top_k});
    }
    void add_bias(std::vector<float> values) {
        bias = std::move(values);
        call.bias = Tensor::dense(bias.data(), DType::f32, {static_cast<i64>(bias.size())});
    }
    std::string error() {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    }
    const std::vector<i32>& routed() {
        EXPECT_TRUE(moe_route(cpu_context(), {}, call).ok());
        return ids;
    }
};

TEST(MoeRoute, EqualLogitsGoToTheLowerIds) {
    Small small({1, 3, 2, 3, 2, 1}, 4);
    EXPECT_EQ(small.routed(), (std::vector<i32>{1, 3, 2, 4}));
}

TEST(MoeRoute, TheBiasChoosesButDoesNotWeigh) {
    Small small({0, 0, 2}, 2);
    small.call.score = ExpertScore::sigmoid;
    small.add_bias({1, 0.5f, 0});
    EXPECT_EQ(small.routed(), (std::vector<i32>{0, 1}));
    EXPECT_EQ(small.weights, (std::vector<float>{0.5f, 0.5f}));
}

TEST(MoeRoute, RenormalisedSoftmaxIsSoftmaxOfTheChosen) {
    Small small({std::log(6.0f), std::log(1.0f), std::log(2.0f), std::log(1.0f)}, 2);
    EXPECT_EQ(small.routed(), (std::vector<i32>{0, 2}));
    EXPECT_NEAR(small.weights[0], 0.6f, 1e-6f);
    EXPECT_NEAR(small.weights[1], 0.2f, 1e-6f);
    small.call.renormalize = true;
    small.call.scale = 4;
    small.routed();
    EXPECT_NEAR(small.weights[0], 3, 1e-6f);
    EXPECT_NEAR(small.weights[1], 1, 1e-6f);
}

// The best expert of all is in a group whose two best are not the best two.
TEST(MoeRoute, GroupsAreChosenByTheirTwoBestOrByTheBest) {
    Small small({5, -9, 4, 4, 3, -9}, 2);
    small.call.score = ExpertScore::sigmoid;
    small.call.num_groups = 3;
    EXPECT_EQ(small.routed(), (std::vector<i32>{2, 3}));
    small.call.by_pairs = false;
    EXPECT_EQ(small.routed(), (std::vector<i32>{0, 1}));
}

TEST(MoeRoute, NanIsTheLastChoiceWithoutWeightAndIsCounted) {
    Small small({kNan, 1, kNan, -kInfinity}, 3);
    small.call.renormalize = true;
    small.call.nan_count = Tensor::dense(small.nan_count.data(), DType::i32, {1});
    EXPECT_EQ(small.routed(), (std::vector<i32>{1, 0, 2}));
    EXPECT_EQ(small.weights, (std::vector<float>{1, 0, 0}));
    EXPECT_EQ(small.nan_count[0], 2);

    Small all({kNan, kNan}, 1);
    all.call.renormalize = true;
    EXPECT_EQ(all.routed(), (std::vector<i32>{0}));
    EXPECT_EQ(all.weights[0], 0);
}

TEST(MoeRoute, AnInfinityTakesAll) {
    Small small({1, kInfinity, 2}, 2);
    EXPECT_EQ(small.routed(), (std::vector<i32>{1, 2}));
    EXPECT_EQ(small.weights, (std::vector<float>{1, 0}));
}

TEST(MoeRoute, ATableRoutesByTokenIds) {
    Small small({0, 0, 0, 0}, 2);
    small.table = {3, 1, 2, 7};
    small.call.score = ExpertScore::sigmoid;
    small.call.table = Tensor::dense(small.table.data(), DType::i32, {2, 2});
    EXPECT_EQ(small.routed(), (std::vector<i32>{3, 1}));
    small.call.token_ids = Tensor::dense(small.token_ids.data(), DType::i32, {1});
    small.token_ids = {1};
    EXPECT_EQ(small.routed(), (std::vector<i32>{2, -1}));
    EXPECT_EQ(small.weights, (std::vector<float>{0.5f, 0}));
    small.token_ids = {2};
    EXPECT_EQ(small.routed(), (std::vector<i32>{-1, -1}));
}

TEST(MoeRoute, RefusesWhatCannotBeChosen) {
    Small small({1, 2, 3, 4}, 5);
    EXPECT_EQ(small.error(), "moe_route: top_k = 5, but only 4 experts can be chosen");
    Small groups({1, 2, 3, 4}, 3);
    groups.call.num_groups = 2;
    EXPECT_EQ(groups.error(), "moe_route: top_k = 3, but only 2 experts can be chosen");
    groups.call.num_groups = 3;
    EXPECT_EQ(groups.error(), "moe_route: num_groups must be 1 to 32 and divide 4 experts, got 3");
    groups.call.num_groups = 2;
    groups.call.top_groups = 3;
    EXPECT_EQ(groups.error(), "moe_route: top_groups must be 1 to num_groups = 2, got 3");
}

}  // namespace
}  // namespace warpwright
