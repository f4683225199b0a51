// SPDX-License-Identifier: Apache-2.0
// Block scales in the order in which matrix units read them: atoms of 128 rows x 4 scales, 512 bytes each.
// One layout for cuBLASLt (block scaling factors layout), CUTLASS, TransformerEngine and FlashInfer
// ("128x4"), on every chip that has block-scaled products.
#pragma once

#include <vector>

#include "warpwright/types.h"

namespace warpwright::formats {

constexpr i64 kSwizzleRows = 128;
constexpr i64 kSwizzleColumns = 4;

// Bytes of [rows, columns] scales; rows and columns are filled up to whole atoms.
constexpr i64 swizzled_bytes(i64 rows, i64 columns) {
    const i64 whole_rows = (rows + kSwizzleRows - 1) / kSwizzleRows * kSwizzleRows;
    return whole_rows * ((columns + kSwizzleColumns - 1) / kSwizzleColumns * kSwizzleColumns);
}

// Where scale [row, column] of `columns` in a row lies.
constexpr i64 swizzled_offset(i64 row, i64 column, i64 columns) {
    const i64 atoms = (columns + kSwizzleColumns - 1) / kSwizzleColumns;
    const i64 atom = row / kSwizzleRows * atoms + column / kSwizzleColumns;
    return atom * 512 + row % 32 * 16 + row % kSwizzleRows / 32 * 4 + column % kSwizzleColumns;
}

// What fills up is zero.
inline std::vector<u8> swizzle_scales(const std::vector<u8>& linear, i64 rows, i64 columns) {
    std::vector<u8> swizzled(static_cast<std::size_t>(swizzled_bytes(rows, columns)));
    for (i64 row = 0; row < rows; ++row) {
        for (i64 column = 0; column < columns; ++column) {
            swizzled[static_cast<std::size_t>(swizzled_offset(row, column, columns))] =
                linear[static_cast<std::size_t>(row * columns + column)];
        }
    }
    return swizzled;
}

inline std::vector<u8> unswizzle_scales(const std::vector<u8>& swizzled, i64 rows, i64 columns) {
    std::vector<u8> linear;
    for (i64 row = 0; row < rows; ++row) {
        for (i64 column = 0; column < columns; ++column) {
            linear.push_back(swizzled[static_cast<std::size_t>(swizzled_offset(row, column, columns))]);
        }
    }
    return linear;
}

}  // namespace warpwright::formats
