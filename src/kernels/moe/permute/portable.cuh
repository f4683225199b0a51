// SPDX-License-Identifier: Apache-2.0
// Permutation, portable. Where moe_count has counted, by counted.cuh; else in one launch: a block has some
// neighbouring experts and reads all slots twice, from L2.
//
//   count   slots of every expert, by all threads: where this block's rows begin
//           slots of its own experts, by warp: where a warp's begin
//   place   a warp's slots are neighbours and come in their order, 32 at a time
//   pad     up to the next expert's rows; behind the last expert all blocks share
#include "kernels/moe/permute/counted.cuh"
#include "kernels/moe/permute/rows.h"
#include "ptx/launch.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr MoePermuteRow kRow = row_at(kMoePermuteRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kNumWarps = kRow.threads / kWarpThreads;
constexpr bool kCounted = is_counted(kRow);
constexpr int kLoads = kCounted ? 1 : kRow.loads, kExperts = kCounted ? 1 : kRow.experts;

struct Shared {
    i32 counts[kMaxExperts];
    i32 own[kExperts][kNumWarps];  // slots of the block's experts
    i32 first_row[kExperts];
    i32 end_row;  // of all experts
};

// body(slot, expert) for a warp's slots in their order; the same number of calls in every lane. Expert -2:
// there is no such slot.
template <class Body>
__device__ inline void for_each_slot(const MoePermuteArgs& args, Body body) {
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    constexpr int kStep = kLoads * kWarpThreads;
    const int span = static_cast<int>(round_up(ceil_div(args.slots, kNumWarps), kStep));
    const int begin = warp * span, end = min(begin + span, args.slots);
    for (int start = begin + lane; start - lane < end; start += kStep) {
        i32 ids[kLoads];
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const int slot = start + i * kWarpThreads;
            ids[i] = slot < end ? args.ids[slot] : 0;
        }
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const int slot = start + i * kWarpThreads;
            body(slot, slot < end ? expert_of(args, ids[i]) : -2);
        }
    }
}

// Where the block's experts' rows begin, and where all rows end, by the first warp.
__device__ inline void find_rows(const MoePermuteArgs& args, Shared& shared, int first_expert, int lane) {
    u32 before = 0, all = 0;
    for (int i = lane; i < args.experts; i += kWarpThreads) {
        const u32 padded = static_cast<u32>(round_up(shared.counts[i], args.alignment));
        if (i < first_expert) before += padded;
        all += padded;
    }
    before = warp_sum(before);
    all = warp_sum(all);
    if (lane != 0) return;
    int row = static_cast<int>(before);
    for (int own = 0; own < kExperts; ++own) {
        shared.first_row[own] = row;
        const int expert = first_expert + own;
        if (expert < args.experts) row += static_cast<int>(round_up(shared.counts[expert], args.alignment));
    }
    shared.end_row = static_cast<int>(all);
}

__device__ inline void permute(const MoePermuteArgs& args, Shared& shared) {
    const int thread = threadIdx.x, warp = thread / kWarpThreads, lane = thread % kWarpThreads;
    const int first_expert = blockIdx.x * kExperts;
    const bool contiguous = args.expert_of_row != nullptr;
    const int capacity = args.rows / args.experts;  // of an expert, masked
    for (int i = thread; i < args.experts; i += kRow.threads) shared.counts[i] = 0;
    __syncthreads();
    u32 own[kExperts] = {};
    for_each_slot(args, [&](int, i32 id) {
        if (contiguous && id >= 0) atomicAdd(&shared.counts[id], 1);
#pragma unroll
        for (int i = 0; i < kExperts; ++i) own[i] += id == first_expert + i;
    });
#pragma unroll
    for (int i = 0; i < kExperts; ++i) {
        own[i] = warp_sum(own[i]);
        if (lane == 0) shared.own[i][warp] = static_cast<i32>(own[i]);
    }
    if (!contiguous && thread < kExperts) shared.first_row[thread] = (first_expert + thread) * capacity;
    __syncthreads();
    if (contiguous && warp == 0) find_rows(args, shared, first_expert, lane);
    int count[kExperts] = {}, rank[kExperts] = {};
#pragma unroll
    for (int i = 0; i < kExperts; ++i) {
        for (int other = 0; other < kNumWarps; ++other) {
            rank[i] += other < warp ? shared.own[i][other] : 0;
            count[i] += shared.own[i][other];
        }
    }
    __syncthreads();

    for_each_slot(args, [&](int slot, i32 id) {
#pragma unroll
        for (int i = 0; i < kExperts; ++i) {
            const u32 owners = __ballot_sync(~0u, id == first_expert + i);
            if (id == first_expert + i) {
                const int place = rank[i] + __popc(owners & ((1u << lane) - 1));
                const bool fits = contiguous || place < capacity;
                const int row = shared.first_row[i] + place;
                args.row_of_slot[slot] = fits ? row : -1;
                if (fits) args.token_of_row[row] = slot / args.top_k;
                if (contiguous) args.expert_of_row[row] = id;
            }
            rank[i] += __popc(owners);
        }
        if (id == -1 && first_expert == 0) args.row_of_slot[slot] = -1;
    });

#pragma unroll
    for (int i = 0; i < kExperts; ++i) {
        const int expert = first_expert + i;
        if (expert >= args.experts) break;
        if (thread == 0) args.expert_rows[expert] = count[i];
        const int padded = contiguous ? static_cast<int>(round_up(count[i], args.alignment)) : capacity;
        const int first = shared.first_row[i];
        pad(args, first + min(count[i], padded) + thread, first + padded, kRow.threads);
    }
    if (!contiguous) return;
    const int stride = gridDim.x * kRow.threads;
    pad(args, shared.end_row + static_cast<int>(blockIdx.x) * kRow.threads + thread, args.rows, stride);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::MoePermuteArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    if constexpr (kCounted) {
        __shared__ CountedShared shared;
        place_counted<kRow.threads>(args, shared);
    } else {
        __shared__ Shared shared;
        permute(args, shared);
    }
    ptx::release_successor();
}
