// SPDX-License-Identifier: Apache-2.0
// Which part of D a block computes, and of which group.
#pragma once

#include "kernels/gemm/groups.h"
#include "kernels/legality.h"

namespace warpwright {

struct Block {
    i32 m, n;   // first row and column of D, in its group where groups are masked
    i32 end_m;  // rows from here on do not exist
    i32 group;
};

// Columns of blocks, 2048 rows high, one after another: those that run together share rows of A and B in L2.
template <int tile_m, int tile_n>
__device__ inline Block this_block(const GemmArgs& args, const GroupArgs& groups) {
    constexpr u32 kHeight = 2048 / tile_m;
    const u32 blocks_m = static_cast<u32>(ceil_div(args.m, tile_m));
    const u32 blocks_n = static_cast<u32>(ceil_div(args.n, tile_n));
    u32 index = blockIdx.x, group = 0;
    if (groups.kind == Grouping::masked) {
        group = index / (blocks_m * blocks_n);
        index %= blocks_m * blocks_n;
    }
    const u32 column = index / (kHeight * blocks_n), rest = index % (kHeight * blocks_n);
    const u32 left = blocks_m - column * kHeight, height = left < kHeight ? left : kHeight;
    return {static_cast<i32>((column * kHeight + rest % height) * tile_m),
            static_cast<i32>(rest / height * tile_n), args.m, static_cast<i32>(group)};
}

// Reads what the lists say of this block, behind the wait for the predecessor, which may be making them.
// False: it has no rows.
__device__ inline bool enter_group(Block& block, const GroupArgs& groups) {
    if (groups.kind == Grouping::none) return true;
    if (groups.kind == Grouping::masked) {
        const i32 rows = groups.num_rows[block.group];
        block.end_m = rows < block.end_m ? rows : block.end_m;
        return block.m < block.end_m;
    }
    block.group = groups.of_row[block.m];
    return block.group >= 0;
}

// Whether a row of the block, below its end_m, is to be written.
__device__ inline bool row_exists(const GroupArgs& groups, i64 m) {
    return groups.kind != Grouping::contiguous || groups.of_row[m] >= 0;
}

__device__ inline const void* moved(const void* base, i64 elements, int element_bytes) {
    return base == nullptr ? nullptr : static_cast<const char*>(base) + elements * element_bytes;
}

// The operands of one group's product, elements of `element_bytes`; and behind the products, where registers
// are free again, what the epilogue reads and writes: bias and gate have 16-bit elements.
__device__ inline void move_operands(GemmArgs& args, const GroupArgs& groups, i32 group, int element_bytes) {
    if (groups.kind == Grouping::none) return;
    args.a = moved(args.a, group * groups.a_stride, element_bytes);
    args.b = moved(args.b, group * groups.b_stride, element_bytes);
}
__device__ inline void move_results(GemmArgs& args, const GroupArgs& groups, i32 group) {
    if (groups.kind == Grouping::none) return;
    const int out_bytes = args.out_f32 ? 4 : 2;
    args.d = const_cast<void*>(moved(args.d, group * groups.d_stride, out_bytes));
    args.bias = moved(args.bias, group * groups.bias_stride, 2);
    args.gate = moved(args.gate, group * groups.gate_stride, 2);
    args.residual = moved(args.residual, group * groups.residual_stride, out_bytes);
}

}  // namespace warpwright
