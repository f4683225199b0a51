// SPDX-License-Identifier: Apache-2.0
// Counting of chunks, portable. A block is a chunk, a thread a slot.
//
//   match    lanes of a warp with the same expert: a slot's number among them
//   add up   warp after warp: how many slots of an expert earlier warps have
#include "kernels/moe/count/rows.h"
#include "ptx/launch.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr MoeCountRow kRow = row_at(kMoeCountRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kNumWarps = kRow.threads / kWarpThreads;

__device__ inline void count(const MoeCountArgs& args, i32* counts) {
    const int thread = threadIdx.x, warp = thread / kWarpThreads, lane = thread % kWarpThreads;
    const int slot = blockIdx.x * kChunkSlots + thread;
    for (int i = thread; i < args.experts; i += kRow.threads) counts[i] = 0;
    const i32 expert = slot < args.slots ? expert_of(args, args.ids[slot]) : -1;
    const u32 equal = __match_any_sync(~0u, expert);
    const u32 below = equal & ((1u << lane) - 1);
    int rank = __popc(below);
    for (int turn = 0; turn < kNumWarps; ++turn) {
        __syncthreads();
        if (turn != warp || expert < 0) continue;
        const i32 earlier = counts[expert];
        rank += earlier;
        __syncwarp(equal);
        if (below == 0) counts[expert] = earlier + __popc(equal);
    }
    __syncthreads();
    if (slot < args.slots) args.row_of_slot[slot] = expert < 0 ? -1 : rank;
    for (int i = thread; i < args.experts; i += kRow.threads) {
        args.chunk_counts[static_cast<i64>(blockIdx.x) * args.experts + i] = counts[i];
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::MoeCountArgs args) {
    using namespace warpwright;
    __shared__ i32 counts[kMaxExperts];
    ptx::wait_for_predecessor();
    count(args, counts);
    ptx::release_successor();
}
