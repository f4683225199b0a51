// SPDX-License-Identifier: Apache-2.0
// Permutation where moe_count has counted: a block is a chunk of slots, a thread one of them.
//
//   load    the thread's own slot, for later
//   add up  of every expert, a thread or several each: slots of all chunks, and of those before this one
//   scan    where each expert's rows begin
//   place   begin + slots of chunks before + number in the chunk
//   pad     chunks share out experts, and what is behind the last one
#pragma once

#include "kernels/moe/permute/pad.cuh"
#include "kernels/moe/permute/rows.h"
#include "tile/reduce.cuh"

namespace warpwright {

struct CountedShared {
    i32 first_row[kMaxExperts];
    i32 count[kMaxExperts];
    i32 before[kMaxExperts];  // slots of earlier chunks
    i32 sums[kWarpThreads];
    i32 end_row;
};

// first_row of each expert: the running sum of what experts before it take.
template <int threads>
__device__ inline void find_first_rows(const MoePermuteArgs& args, CountedShared& shared, i32 count) {
    static_assert(threads == kMaxExperts && threads / kWarpThreads == kWarpThreads);
    const int thread = threadIdx.x, warp = thread / kWarpThreads, lane = thread % kWarpThreads;
    const u64 own = thread < args.experts ? static_cast<u64>(round_up(count, args.alignment)) : 0;
    const u64 up_to = warp_running_sum(own);
    if (lane == kWarpThreads - 1) shared.sums[warp] = static_cast<i32>(up_to);
    __syncthreads();
    const i32 earlier = static_cast<i32>(warp_sum(lane < warp ? static_cast<u32>(shared.sums[lane]) : 0u));
    shared.first_row[thread] = earlier + static_cast<i32>(up_to - own);
    if (thread == threads - 1) shared.end_row = earlier + static_cast<i32>(up_to);
}

// count and before of each expert. Where there are several threads for one, each adds up some of the chunks.
template <int threads>
__device__ inline void add_up_chunks(const MoePermuteArgs& args, CountedShared& shared, int chunk,
                                     int chunks) {
    const int parts = threads / args.experts;
    const int part = static_cast<int>(threadIdx.x) / args.experts;
    const int expert = static_cast<int>(threadIdx.x) - part * args.experts;
    shared.count[threadIdx.x] = shared.before[threadIdx.x] = 0;
    i32 count = 0, before = 0;
    if (part < parts) {
        constexpr int kTogether = 8;  // loads under way
        for (int first = part; first < chunks; first += kTogether * parts) {
            i32 slots[kTogether];
#pragma unroll
            for (int i = 0; i < kTogether; ++i) {
                const int other = first + i * parts;
                slots[i] = other < chunks ? args.chunk_counts[i64{other} * args.experts + expert] : 0;
            }
#pragma unroll
            for (int i = 0; i < kTogether; ++i) {
                count += slots[i];
                before += first + i * parts < chunk ? slots[i] : 0;
            }
        }
    }
    __syncthreads();
    if (part < parts) {
        atomicAdd(&shared.count[expert], count);
        atomicAdd(&shared.before[expert], before);
    }
    __syncthreads();
}

template <int threads>
__device__ inline void place_counted(const MoePermuteArgs& args, CountedShared& shared) {
    const int thread = threadIdx.x, chunk = blockIdx.x, chunks = gridDim.x;
    const bool contiguous = args.expert_of_row != nullptr;
    const int capacity = args.rows / args.experts;  // of an expert, masked
    const int slot = chunk * kChunkSlots + thread;
    const i32 expert = slot < args.slots ? expert_of(args, args.ids[slot]) : -1;
    const i32 number = slot < args.slots ? args.row_of_slot[slot] : 0;
    add_up_chunks<threads>(args, shared, chunk, chunks);
    const i32 count = shared.count[thread];
    if (chunk == 0 && thread < args.experts) args.expert_rows[thread] = count;
    if (contiguous) {
        find_first_rows<threads>(args, shared, count);
    } else {
        shared.first_row[thread] = thread * capacity;
    }
    __syncthreads();

    if (expert >= 0) {
        const int place = shared.before[expert] + number;
        const bool fits = contiguous || place < capacity;
        const int row = shared.first_row[expert] + place;
        args.row_of_slot[slot] = fits ? row : -1;
        if (fits) args.token_of_row[row] = slot / args.top_k;
        if (contiguous) args.expert_of_row[row] = expert;
    }
    const int warp = thread / kWarpThreads, lane = thread % kWarpThreads;
    const int num_warps = threads / kWarpThreads;
    for (int i = chunk * num_warps + warp; i < args.experts; i += chunks * num_warps) {
        const int used = shared.count[i], first = shared.first_row[i];
        const int end = contiguous ? static_cast<int>(round_up(used, args.alignment)) : capacity;
        pad(args, first + min(used, end) + lane, first + end, kWarpThreads);
    }
    if (contiguous) pad(args, shared.end_row + chunk * threads + thread, args.rows, chunks * threads);
}

}  // namespace warpwright
