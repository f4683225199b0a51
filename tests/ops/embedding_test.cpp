// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/embedding.h"

#include <cmath>
#include <limits>

#include "kernels/host_math.h"
#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "embedding";

TEST(Embedding, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Embedding, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "embedding.portable.t128v1", "h200", {{"width", "4098"}}),
              "width: needs a multiple of 8, got 4098");
    EXPECT_EQ(refusal(kOp, "embedding.portable.t128v1", "h200", {{"width", "4098"}, {"dtype", "f32"}}),
              "width: needs a multiple of 4, got 4098");
    EXPECT_EQ(refusal(kOp, "embedding.portable.t128v1", "h200", {{"alignment_bytes", "8"}}),
              "alignment: needs a multiple of 16, got 8");
    EXPECT_EQ(refusal(kOp, "embedding.portable.any", "cpu", {}),
              "architecture: needs compute capability 8.0 or later, cpu is a CPU");
}

TEST(Embedding, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "embedding.portable.t128v1");
    EXPECT_EQ(chosen(kOp, "rtx-pro-6000", {{"width", "33"}, {"alignment_bytes", "2"}}),
              "embedding.portable.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f32"}}), "embedding.host");
}

// fp32 products, rounded once: 1 + 2^-7 times 45.25 lies between two bf16 numbers, 45.5 and 45.75. Zeros are
// zeros whatever the scale, and a scale of 1 moves NaN payloads.
TEST(Embedding, ScalesInFp32AndRoundsOnce) {
    u16 table[] = {0x3f81, 0xff83}, out[4] = {};
    i32 ids[] = {0, 2};
    Embedding call{.ids = Tensor::dense(ids, DType::i32, {2}),
                   .table = Tensor::dense(table, DType::bf16, {1, 2}),
                   .out = Tensor::dense(out, DType::bf16, {2, 2})};
    ASSERT_TRUE(embedding(cpu_context(), {}, call).ok());
    EXPECT_EQ(out[0], table[0]);
    EXPECT_EQ(out[1], table[1]);
    call.scale = 45.25f;
    ASSERT_TRUE(embedding(cpu_context(), {}, call).ok());
    EXPECT_EQ(bf16_to_float(out[0]), 45.5f);  // 45.6035...
    EXPECT_TRUE(std::isnan(bf16_to_float(out[1])));
    call.scale = std::numeric_limits<float>::infinity();
    ASSERT_TRUE(embedding(cpu_context(), {}, call).ok());
    EXPECT_EQ(out[2], 0);
    EXPECT_EQ(out[3], 0);
}

TEST(Embedding, NamesTheArgumentThatDisagrees) {
    float data[64] = {};
    Embedding call{.ids = Tensor::dense(data, DType::i32, {3}),
                   .table = Tensor::dense(data, DType::f32, {4, 8}),
                   .out = Tensor::dense(data, DType::bf16, {3, 8})};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(), "embedding: out must be f32, got bf16");
    call.out = Tensor::dense(data, DType::f32, {2, 8});
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "embedding: out: dimension 0 (tokens) is 2, but ids has 3");
}

}  // namespace
}  // namespace warpwright
