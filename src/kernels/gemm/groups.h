// SPDX-License-Identifier: Apache-2.0
// Groups of a grouped product as a kernel's argument: what the lists of warpwright/grouping.h are, and how
// far apart two groups lie.
#pragma once

#include "kernels/gemm/problem.h"
#include "warpwright/grouping.h"

namespace warpwright {

struct GroupArgs {
    const i32* of_row;    // contiguous: [m]
    const i32* num_rows;  // masked: [groups]
    i64 a_stride;         // of groups, in elements; 0 of what all rows of a contiguous product share
    i64 b_stride;
    i64 d_stride;
    i64 bias_stride;
    i64 gate_stride;
    i64 residual_stride;
    i32 groups;
    Grouping kind;
};

// What a tile of `tile_m` rows needs of groups: all its rows are of one.
constexpr bool tile_fits_groups(int tile_m, Grouping grouping) {
    return grouping != Grouping::contiguous || kGroupRows % tile_m == 0;
}

// Blocks of a product: any number of rows, `tile_m` x `tile_n` of D each.
constexpr i64 num_blocks(i64 m, i64 n, Grouping grouping, i64 groups, int tile_m, int tile_n) {
    const i64 of_group = (m + tile_m - 1) / tile_m * ((n + tile_n - 1) / tile_n);
    return of_group * (grouping == Grouping::masked ? groups : 1);
}

}  // namespace warpwright
