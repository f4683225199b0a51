// SPDX-License-Identifier: Apache-2.0
// Where a 16-byte chunk of a tile row lies in shared memory. Eight rows that follow one another, read at the
// same chunk (what ldmatrix does), must lie in eight different sixteen-byte groups of the 32 banks: a chunk's
// number is XORed with the number of the 128-byte line, modulo the chunks of a row.
//
//   64-byte rows (tile_k 32):  line = row / 2     128-byte rows (64):  line = row     256 (128):  line = row
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// Row length in 16-byte chunks: 4, 8 or a multiple of 8. Adding a multiple of 8 to `row` keeps the key.
template <int row_chunks>
constexpr int swizzle_key(int row) {
    static_assert(row_chunks == 4 || row_chunks % 8 == 0);
    return row_chunks == 4 ? row / 2 % 4 : row % 8;
}

// In bytes from the start of the tile. As a row's start is a multiple of its length,
// swizzled_offset(row, c ^ x) == (swizzled_offset(row, c) ^ 16 * x).
template <int row_chunks>
constexpr int swizzled_offset(int row, int chunk) {
    return (row * row_chunks + (chunk ^ swizzle_key<row_chunks>(row))) * 16;
}

}  // namespace warpwright
