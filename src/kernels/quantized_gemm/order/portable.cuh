// SPDX-License-Identifier: Apache-2.0
// Columns in a given order, portable: a few reads of two bytes each, all of one row of x, which the first
// level of caches holds.
//
//   block = `threads` columns of `block_rows` rows      read the order | gather, store, row by row
#include "kernels/quantized_gemm/order/rows.h"
#include "ptx/launch.cuh"

namespace warpwright {

constexpr GatherColumnsRow kRow = row_at(kGatherColumnsRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::GatherColumnsArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    ptx::release_successor();
    const u32 chunks = static_cast<u32>(args.columns + kRow.threads - 1) / kRow.threads;
    const i32 column = static_cast<i32>(blockIdx.x % chunks) * kRow.threads + static_cast<i32>(threadIdx.x);
    const i32 first = static_cast<i32>(blockIdx.x / chunks) * kRow.block_rows;
    if (column >= args.columns) return;

    // All rows are under way together.
    u16 values[kRow.block_rows] = {};
    bool found[kRow.block_rows];
    i32 known = -1, from = 0;  // the group whose order is at hand
#pragma unroll
    for (int i = 0; i < kRow.block_rows; ++i) {
        const GatherPlace place = first + i < args.rows ? gather_place(args, first + i) : GatherPlace{-1, 0};
        found[i] = place.group >= 0;
        if (!found[i]) continue;
        if (place.group != known) from = args.order[i64{place.group} * args.columns + column];
        known = place.group;
        values[i] = static_cast<const u16*>(args.x)[place.first + from];
    }
    u16* const out = static_cast<u16*>(args.out) + column;
#pragma unroll
    for (int i = 0; i < kRow.block_rows; ++i) {
        if (found[i]) out[i64{first + i} * args.columns] = values[i];
    }
}
