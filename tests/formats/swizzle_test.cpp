// SPDX-License-Identifier: Apache-2.0
#include "formats/swizzle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace warpwright::formats {
namespace {

// As cuBLASLt's documentation draws it: a matrix of atoms by rows; an atom is 32 lines of four groups of four
// bytes, line l of group g has the four scales of row l + 32 g.
TEST(Swizzle, AtomsAsDocumented) {
    const i64 rows = 256, columns = 8;
    std::vector<i64> expected;
    for (i64 atom_row = 0; atom_row < rows; atom_row += 128) {
        for (i64 atom_column = 0; atom_column < columns; atom_column += 4) {
            for (i64 line = 0; line < 32; ++line) {
                for (i64 group = 0; group < 4; ++group) {
                    for (i64 byte = 0; byte < 4; ++byte) {
                        expected.push_back((atom_row + line + 32 * group) * columns + atom_column + byte);
                    }
                }
            }
        }
    }
    for (i64 at = 0; at < static_cast<i64>(expected.size()); ++at) {
        const i64 scale = expected[static_cast<std::size_t>(at)];
        EXPECT_EQ(swizzled_offset(scale / columns, scale % columns, columns), at);
    }
}

TEST(Swizzle, EverySizeComesBackAndIsFilledUpWithZeros) {
    std::mt19937 random(5);
    for (const auto& [rows, columns] : {std::pair<i64, i64>{1, 1}, {128, 4}, {130, 5}, {31, 9}, {257, 16}}) {
        std::vector<u8> linear(static_cast<std::size_t>(rows * columns));
        for (u8& scale : linear) scale = static_cast<u8>(1 + random() % 255);
        const std::vector<u8> swizzled = swizzle_scales(linear, rows, columns);
        EXPECT_EQ(static_cast<i64>(swizzled.size()) % 512, 0);
        EXPECT_EQ(unswizzle_scales(swizzled, rows, columns), linear);
        const auto num_zeros = std::count(swizzled.begin(), swizzled.end(), u8{0});
        EXPECT_EQ(num_zeros, static_cast<i64>(swizzled.size()) - rows * columns);
    }
}

}  // namespace
}  // namespace warpwright::formats
