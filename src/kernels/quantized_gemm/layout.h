// SPDX-License-Identifier: Apache-2.0
// Where a packed weight's codes, scales and zero points lie ("prepacked", version 2). Kernels of every
// architecture class read this one layout; pack.h writes it.
//
// Codes: tiles of 16 rows of n and 32 bytes of each (64 of k with 4 bits, 32 with 8), 512 bytes that a warp
// reads as 16 a lane. Four tiles, 64 rows, stand side by side; then k, then n:
//     data[n / 64][k / tile_k][n / 16 % 4][lane][16 bytes]
// A lane (4 * group + member) holds rows `group` and `group + 8` of a tile and, of each 32 of k, the eight
// from 8 * member on: the sixteen bytes of activations that the same lane loads. Its words are mma.m16n8k16's
// A operand, register r of pair (k, k + 1) = a[r], one step of 16 after another:
//     step j takes k = 32 * (j / 2) + 8 * member + 4 * (j % 2) + {0, 1 | 2, 3}: a[0], a[1] | a[2], a[3]
//     4 bits: one word a step, whose halves hold the first and the second of each pair
//     8 bits: two words a step, of a[0] and a[1], and of a[2] and a[3]
// A half's bits are spread so that few shifts bring those of floating-point codes to the places of a 16-bit
// number (packed_bit). k is padded to 64 and n to 64 with codes of zero.
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

// Where in its half word bit `bit` of the code in register r lies.
constexpr int packed_bit(WeightFormat format, int r, int bit) {
    switch (format) {
        case WeightFormat::int4: return 4 * r + bit;
        case WeightFormat::int8: return 8 * (r % 2) + bit;
        case WeightFormat::fp8_e4m3:  // bf16's places; what they leave
            if (r % 2 == 0) return bit == 7 ? 15 : 4 + bit;
            return bit == 7 ? 11 : bit >= 4 ? 8 + bit : bit;
        case WeightFormat::mxfp4:
        case WeightFormat::nvfp4:  // bf16's places, the same 3 and 6 bits lower; what they leave
            if (r < 3) return (bit == 3 ? 15 : 6 + bit) - 3 * r;
            return bit >= 2 ? 11 + bit : 10 + bit;
    }
    return 0;
}

// How the code of register r is taken out of both half words of a word, to where its last bit is at `last`
// and the others begin at `lowest`: bits that go the same way, together.
struct Moves {
    u32 mask[4];   // of what has been shifted; 0: no more
    int shift[4];  // to the left
};
constexpr Moves moves_of(WeightFormat format, int r, int lowest, int last) {
    Moves moves{};
    const int bits = facts_of(format).bits;
    int count = 0;
    for (int bit = 0; bit < bits; ++bit) {
        const int to = bit == bits - 1 ? last : lowest + bit, shift = to - packed_bit(format, r, bit);
        int i = 0;
        while (i < count && moves.shift[i] != shift) ++i;
        if (i == count) ++count;
        moves.shift[i] = shift;
        moves.mask[i] |= 0x00010001u << to;
    }
    return moves;
}
constexpr u32 shifted(u32 word, int left) {
    return left >= 0 ? word << left : word >> -left;
}

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
