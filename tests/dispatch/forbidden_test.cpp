// SPDX-License-Identifier: Apache-2.0
// Rows that a context must not choose.
#include <gtest/gtest.h>

#include <vector>

#include "dispatch/operation.h"
#include "warpwright/ops/gated_activation.h"

namespace warpwright {
namespace {

TEST(Forbidden, TheNextBestRowIsChosenAndTheReasonGiven) {
    const auto operation = find_operation("gemm");
    const auto target = find_target("rtx-5090");
    const FieldTexts problem{{"m", "512"}, {"n", "4096"}, {"k", "4096"}};
    const auto free = (*operation)->explain(*target, problem, {});
    ASSERT_TRUE(free.ok() && free->choice() != nullptr);
    const ForbiddenRows forbidden{{free->choice()->row, "failed its check"}};
    const auto bound = (*operation)->explain(*target, problem, {.forbidden = &forbidden});
    ASSERT_TRUE(bound.ok() && bound->choice() != nullptr);
    EXPECT_NE(bound->choice()->row, free->choice()->row);
    EXPECT_GE(bound->choice()->prediction.us, free->choice()->prediction.us);
    const Candidate& refused = bound->candidates[*free->chosen];
    EXPECT_FALSE(refused.accepted);
    EXPECT_STREQ(refused.rejection.rule, "forbidden");
    EXPECT_EQ(refused.text, "forbidden: failed its check");
}

TEST(Forbidden, ContextsRefuseUntilAllowedAgain) {
    const auto context = *Context::open("cpu");
    std::vector<u16> data(64, 0);
    const auto x = Tensor::dense(data.data(), DType::bf16, {1, 64});
    const GatedActivation call{.gate = x, .up = x, .out = x};
    const std::string row = "gated_activation.host.bf16";
    ASSERT_TRUE(gated_activation(*context, Stream{}, call).ok());

    context->forbid(row, "failed its check");
    const Status refused = gated_activation(*context, Stream{}, call);
    EXPECT_EQ(refused.kind(), ErrorKind::no_kernel);
    EXPECT_NE(refused.message().find(row + " (forbidden: failed its check)"), std::string::npos)
        << refused.message();

    context->force("gated_activation", row);  // how a check still runs it
    EXPECT_TRUE(gated_activation(*context, Stream{}, call).ok());
    context->force("gated_activation", "");
    context->forbid(row, "");
    EXPECT_TRUE(gated_activation(*context, Stream{}, call).ok());
}

}  // namespace
}  // namespace warpwright
