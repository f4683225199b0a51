// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_permute.h"

#include <vector>

#include "ops/check_test.h"

namespace warpwright {
namespace {

constexpr const char* kOp = "moe_permute";

TEST(MoePermute, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(MoePermute, CountsOfChunksAgreeWithTheirOracle) {
    expect_check_passes("moe_count");
}

TEST(MoePermute, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {{"tokens", "1"}}), "moe_permute.portable.t128");
    EXPECT_EQ(chosen(kOp, "h200", {{"tokens", "4096"}, {"experts", "256"}}), "moe_permute.portable.t1024");
    EXPECT_EQ(chosen(kOp, "h200", {{"tokens", "4096"}, {"experts", "256"}, {"space", "true"}}),
              "moe_permute.portable.count");
    EXPECT_EQ(chosen(kOp, "cpu", {}), "moe_permute.host");
    EXPECT_EQ(refusal(kOp, "moe_permute.portable.t128", "h200", {{"experts", "1025"}}),
              "experts: needs at most 1024, got 1025");
}

TEST(MoePermute, CapacityIsEnoughForAnyRouting) {
    EXPECT_EQ(moe_rows(8, 128, 128), 8 * 128);    // each slot another expert
    EXPECT_EQ(moe_rows(32768, 256, 128), 65280);  // 32768 and 256 times 127, rounded down to whole runs
    EXPECT_EQ(moe_rows(10, 4, 1), 10);
    EXPECT_EQ(moe_rows(0, 4, 128), 0);
}

// Three tokens of two choices among three experts; expert 1 has nothing.
struct Small {
    std::vector<i32> ids = {2, 0, 0, 2, -1, 0}, row_of_slot = std::vector<i32>(6), token_of_row,
                     expert_of_row, expert_rows = std::vector<i32>(3);
    MoePermute call;

    explicit Small(i64 rows, bool contiguous)
        : token_of_row(static_cast<std::size_t>(rows)), expert_of_row(token_of_row) {
        call.ids = Tensor::dense(ids.data(), DType::i32, {3, 2});
        call.row_of_slot = Tensor::dense(row_of_slot.data(), DType::i32, {3, 2});
        call.token_of_row = Tensor::dense(token_of_row.data(), DType::i32, {rows});
        call.expert_rows = Tensor::dense(expert_rows.data(), DType::i32, {3});
        if (contiguous) call.expert_of_row = Tensor::dense(expert_of_row.data(), DType::i32, {rows});
        call.alignment = 4;
    }
    std::string error() {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    }
};

TEST(MoePermute, ContiguousExpertsBeginAtMultiplesOfTheAlignment) {
    Small small(16, true);
    ASSERT_TRUE(moe_permute(cpu_context(), {}, small.call).ok());
    EXPECT_EQ(small.expert_rows, (std::vector<i32>{3, 0, 2}));
    EXPECT_EQ(small.row_of_slot, (std::vector<i32>{4, 0, 1, 5, -1, 2}));
    EXPECT_EQ(small.token_of_row,
              (std::vector<i32>{0, 1, 2, -1, 0, 1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
    EXPECT_EQ(small.expert_of_row,
              (std::vector<i32>{0, 0, 0, -1, 2, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
}

TEST(MoePermute, MaskedExpertsLeaveOutWhatHasNoRow) {
    Small small(6, false);
    ASSERT_TRUE(moe_permute(cpu_context(), {}, small.call).ok());
    EXPECT_EQ(small.expert_rows, (std::vector<i32>{3, 0, 2}));
    EXPECT_EQ(small.row_of_slot, (std::vector<i32>{4, 0, 1, 5, -1, -1}));
    EXPECT_EQ(small.token_of_row, (std::vector<i32>{0, 1, -1, -1, 0, 1}));
}

TEST(MoePermute, RefusesTooFewRows) {
    EXPECT_EQ(Small(11, true).error(),
              "moe_permute: contiguous: 6 slots of 3 experts, aligned to 4, need 12 rows, got 11");
    EXPECT_EQ(Small(7, false).error(), "moe_permute: masked: 3 experts do not divide 7 rows");
}

}  // namespace
}  // namespace warpwright
