// SPDX-License-Identifier: Apache-2.0
// A mask of bytes as bits, portable. A row of booleans may begin anywhere: where it is not aligned, or ends
// within the warp's words, a lane reads a byte at a time, and a vote of the warp is a word.
//
//   warp = 32 words of a row      read 1024 bytes | half words of vectors, or 32 votes | store
#include "kernels/attention/mask_bits/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"

namespace warpwright {

constexpr MaskBitsRow kRow = row_at(kMaskBitsRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

// Which of four bytes are not 0.
__device__ inline u32 bits_of_bytes(u32 bytes) {
    const u32 signs = (((bytes & 0x7f7f7f7f) + 0x7f7f7f7f) | bytes) & 0x80808080;
    return signs * 0x00204081u >> 28;
}
__device__ inline u32 bits_of_bytes(U32x4 v) {
    return bits_of_bytes(v.x) | bits_of_bytes(v.y) << 4 | bits_of_bytes(v.z) << 8 | bits_of_bytes(v.w) << 12;
}

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
    u32* to = args.bits + row * words + first_word;
    const u8* own_vector = from + first_word * 32 + 16 * lane;
    if (reinterpret_cast<u64>(own_vector) % 16 == 0 && (first_word + kWarpWords) * 32 <= args.columns) {
        // Even lanes store words of the first half, odd ones of the second.
        const u32 first = bits_of_bytes(ptx::load_streaming(own_vector));
        const u32 second = bits_of_bytes(ptx::load_streaming(own_vector + 16 * 32));
        const bool is_odd = lane % 2 == 1;
        const u32 received = __shfl_xor_sync(~0u, is_odd ? first : second, 1);
        to[lane / 2 + (is_odd ? 16 : 0)] = is_odd ? received | second << 16 : first | received << 16;
        return;
    }
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
    if (first_word + lane < words) to[lane] = own;
}
