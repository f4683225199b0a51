// SPDX-License-Identifier: Apache-2.0
// Where vectors lie in shared memory: every place is used once, and eight rows of a matrix meet in no bank.
#include "tile/swizzle.h"

#include <gtest/gtest.h>

#include <set>

namespace warpwright {
namespace {

constexpr int kRows = 64;

template <class Map>
class SwizzleTest : public testing::Test {};

template <int kVectors>
struct Vectors {
    static constexpr int kCount = kVectors;
};
using Sizes = testing::Types<Vectors<4>, Vectors<8>, Vectors<12>, Vectors<16>, Vectors<32>>;
TYPED_TEST_SUITE(SwizzleTest, Sizes);

TYPED_TEST(SwizzleTest, IsAPermutation) {
    constexpr int kVectors = TypeParam::kCount;
    std::set<u32> offsets;
    for (int row = 0; row < kRows; ++row) {
        for (int vector = 0; vector < kVectors; ++vector) {
            const u32 offset = Swizzle<kVectors>::offset_bytes(row, vector);
            EXPECT_EQ(offset % 16, 0u);
            EXPECT_LT(offset, kRows * kVectors * 16u);
            EXPECT_TRUE(offsets.insert(offset).second) << row << ", " << vector;
        }
    }
}

TYPED_TEST(SwizzleTest, EightRowsOfAVectorTouchEveryBankOnce) {
    constexpr int kVectors = TypeParam::kCount;
    for (int first_row = 0; first_row < kRows; first_row += 8) {
        for (int vector = 0; vector < kVectors; ++vector) {
            std::set<u32> bank_groups;  // four banks of four bytes each
            for (int row = first_row; row < first_row + 8; ++row) {
                bank_groups.insert(Swizzle<kVectors>::offset_bytes(row, vector) / 16 % 8);
            }
            EXPECT_EQ(bank_groups.size(), 8u) << first_row << ", " << vector;
        }
    }
}

TYPED_TEST(SwizzleTest, AdvanceFindsEveryVectorOfARow) {
    constexpr int kVectors = TypeParam::kCount;
    for (u32 tile : {0u, 128u, 4096u, 98304u}) {
        for (int row = 0; row < kRows; ++row) {
            for (int vector = 0; vector < kVectors; ++vector) {
                const u32 base = tile + Swizzle<kVectors>::offset_bytes(row, vector % 2);
                EXPECT_EQ(Swizzle<kVectors>::advance(base, vector - vector % 2),
                          tile + Swizzle<kVectors>::offset_bytes(row, vector))
                    << row << ", " << vector;
            }
        }
    }
}

}  // namespace
}  // namespace warpwright
