// SPDX-License-Identifier: Apache-2.0
// Where a packed weight's codes, scales and zero points lie ("prepacked", version 1). Kernels of every
// architecture class read this one layout; pack.h writes it.
//
// Codes: tiles of 16 rows of n and 32 bytes of each (64 of k with 4 bits, 32 with 8), 512 bytes that a warp
// reads as 16 a lane. Four tiles, 64 rows, stand side by side; then k, then n:
//     data[n / 64][k / tile_k][n / 16 % 4][lane][16 bytes]
// A lane (4 * group + member) holds rows `group` and `group + 8` of a tile and, of each 32 of k, the eight
// from 8 * member on: the sixteen bytes of activations that the same lane loads. Its words are mma.m16n8k16's
// A operand, register r of pair (k, k + 1) = a[r], one step of 16 after another:
//     step j takes k = 32 * (j / 2) + 8 * member + 4 * (j % 2) + {0, 1 | 2, 3}: a[0], a[1] | a[2], a[3]
//     4 bits: one word a step;  register r is nibbles r and r + 4
//     8 bits: two words a step; register r is bytes r % 2 and r % 2 + 2 of word r / 2
// k is padded to 64 and n to 64 with codes of zero.
//
// Scales and zero points: scales[n / 64][k / group][64], of the 64 first those of tile 0. Rows that one lane
// holds are neighbours: row r of a tile is at 2 * (r % 8) + r / 8.
#pragma once

#include "kernels/legality.h"
#include "warpwright/weight_format.h"

namespace warpwright {

constexpr int kPackedRows = 64;  // of n that stand side by side
constexpr int kPackedK = 64;     // k is padded to this: what every kernel takes at a time
constexpr int kPackedTileBytes = 512;

constexpr int packed_tile_k(WeightFormat format) {
    return 256 / facts_of(format).bits;
}
constexpr i64 packed_data_bytes(WeightFormat format, i64 n, i64 k) {
    return round_up(n, kPackedRows) * round_up(k, kPackedK) * facts_of(format).bits / 8;
}

// Of a row, in memory: the last 64 of k have all their scales. `group` 0: the whole row.
constexpr i64 packed_groups(i64 k, i64 group) {
    if (group == 0) return 1;
    return round_up(ceil_div(k, group), group < kPackedK ? kPackedK / group : 1);
}
constexpr i64 packed_scales(i64 n, i64 k, i64 group) {
    return round_up(n, kPackedRows) * packed_groups(k, group);
}

// Of row n and group g in scales or zero points, in elements.
constexpr i64 packed_scale_index(i64 n, i64 g, i64 num_groups) {
    const i64 row = n % 16;
    return (n / kPackedRows * num_groups + g) * kPackedRows + n % kPackedRows / 16 * 16 + row % 8 * 2 +
           row / 8;
}

}  // namespace warpwright
