// SPDX-License-Identifier: Apache-2.0
// Counting of chunks, portable. A block is a chunk, a thread a slot.
//
//   match   lanes of a warp with the same expert: a slot's number among them, and the warp's count
//   add up  over the warps of a group, and over the groups: how many slots of an expert are in earlier ones
#include "kernels/moe/count/rows.h"
#include "ptx/launch.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr MoeCountRow kRow = row_at(kMoeCountRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kNumWarps = kRow.threads / kWarpThreads;

// Eight warps: what seven of them can have of an expert fits into a byte, so that four experts are added up
// in a word.
constexpr int kGroupWarps = 8, kNumGroups = kNumWarps / kGroupWarps;
static_assert((kGroupWarps - 1) * kWarpThreads < 256 && kNumWarps % kGroupWarps == 0);

struct Shared {
    alignas(4) u8 of_warp[kNumWarps][kMaxExperts];  // then of the earlier warps of its group
    u16 of_group[kNumGroups][kMaxExperts];

    __device__ u32& word(int warp, int i) { return reinterpret_cast<u32*>(of_warp[warp])[i]; }
};

// Four experts and a group, by a thread.
__device__ inline void add_up(Shared& shared, int group, int word) {
    constexpr u32 kEven = 0x00ff00ff;
    u32 earlier = 0, even = 0, odd = 0;
#pragma unroll
    for (int i = 0; i < kGroupWarps; ++i) {
        u32& place = shared.word(group * kGroupWarps + i, word);
        const u32 own = place;
        place = earlier;
        even += own & kEven;
        odd += own >> 8 & kEven;
        earlier += own;
    }
    u16* counts = shared.of_group[group] + word * 4;
    counts[0] = static_cast<u16>(even);
    counts[1] = static_cast<u16>(odd);
    counts[2] = static_cast<u16>(even >> 16);
    counts[3] = static_cast<u16>(odd >> 16);
}

__device__ inline void count(const MoeCountArgs& args, Shared& shared) {
    const int thread = threadIdx.x, warp = thread / kWarpThreads, lane = thread % kWarpThreads;
    const int slot = blockIdx.x * kChunkSlots + thread;
    const int words = static_cast<int>(ceil_div(args.experts, 4));
    const i32 expert = slot < args.slots ? expert_of(args, args.ids[slot]) : -1;
    for (int i = lane; i < words; i += kWarpThreads) shared.word(warp, i) = 0;
    const u32 equal = __match_any_sync(~0u, expert);
    const u32 below = equal & ((1u << lane) - 1);
    __syncwarp();
    if (below == 0 && expert >= 0) shared.of_warp[warp][expert] = static_cast<u8>(__popc(equal));
    __syncthreads();
    constexpr int kMaxWords = kMaxExperts / 4;
    static_assert(kNumGroups * kMaxWords == kRow.threads);
    if (thread % kMaxWords < words) add_up(shared, thread / kMaxWords, thread % kMaxWords);
    __syncthreads();
    if (slot < args.slots) {
        int rank = -1;
        if (expert >= 0) {
            rank = __popc(below) + shared.of_warp[warp][expert];
            for (int group = 0; group < warp / kGroupWarps; ++group) rank += shared.of_group[group][expert];
        }
        args.row_of_slot[slot] = rank;
    }
    for (int i = thread; i < args.experts; i += kRow.threads) {
        i32 all = 0;
#pragma unroll
        for (int group = 0; group < kNumGroups; ++group) all += shared.of_group[group][i];
        args.chunk_counts[static_cast<i64>(blockIdx.x) * args.experts + i] = all;
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::MoeCountArgs args) {
    using namespace warpwright;
    __shared__ Shared shared;
    ptx::release_successor();
    ptx::wait_for_predecessor();
    count(args, shared);
}
