// SPDX-License-Identifier: Apache-2.0
// A mask of bytes as bits, portable: a byte a lane, and a vote of the warp is a word. No demands on
// alignment: a row of booleans may begin anywhere.
//
//   warp = 32 words of a row      read 1024 bytes | 32 votes | store
#include "kernels/attention/mask_bits/rows.h"
#include "ptx/launch.cuh"

namespace warpwright {

constexpr MaskBitsRow kRow = row_at(kMaskBitsRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::MaskBitsArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    ptx::release_successor();
    const i32 lane = static_cast<i32>(threadIdx.x) % 32;
    const i32 words = static_cast<i32>(words_of(args.columns)), parts = (words + kWarpWords - 1) / kWarpWords;
    const i64 warp = i64{blockIdx.x} * (kRow.threads / 32) + threadIdx.x / 32;
    const i64 row = warp / parts;
    const i32 first_word = static_cast<i32>(warp - row * parts) * kWarpWords;
    if (row >= args.rows) return;

    const u8* from = args.mask + row * args.row_stride;
    u8 bytes[kWarpWords];  // all under way together
#pragma unroll
    for (int i = 0; i < kWarpWords; ++i) {
        const i32 column = (first_word + i) * 32 + lane;
        bytes[i] = column < args.columns ? from[column] : 0;
    }
    u32 own = 0;
#pragma unroll
    for (int i = 0; i < kWarpWords; ++i) {
        const u32 word = __ballot_sync(~0u, bytes[i] != 0);
        if (lane == i) own = word;
    }
    if (first_word + lane < words) args.bits[row * words + first_word + lane] = own;
}
