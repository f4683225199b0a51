// SPDX-License-Identifier: Apache-2.0
// The best keys of each query, portable.
//
//   block        = one query; the logits of the keys that it sees as ordered integers (tile/ordered_float.h)
//   passes 1 to 3  count those of each value of 11, 11 and 10 bits, from the highest on, until the k-th
//                  largest is known
//   pass 4         a warp counts those above it, and those equal to it, of its share of the keys
//   pass 5         a warp writes its own in their order, behind those of the warps before it
//
// After the first pass logits come from L2. A query that sees no more than k keys has all of them.
#include "kernels/attention/index_topk/rows.h"
#include "ptx/launch.cuh"
#include "tile/ordered_float.h"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr IndexTopkRow kRow = row_at(kIndexTopkRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kThreads = kRow.threads, kNumWarps = kThreads / kWarpThreads;
constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;
constexpr int kLoads = 4;  // in flight per thread
static_assert(kNumWarps == kWarpThreads && kDigits == 2 * kThreads);

struct Shared {
    u32 counts[kDigits];
    u32 of_warps[kNumWarps];  // above the threshold, or of digits
    u32 equal_of_warps[kNumWarps];
    u32 digit, needed;
};

struct Query {
    const float* logits;
    const i32* pages;  // of its sequence, or null
    i32* indices;
    int visible;
};

__device__ inline u32 key_at(const Query& query, int position) {
    return key_of(clean_logit(query.logits[position]));
}

__device__ inline i32 index_of(const IndexTopkArgs& args, const Query& query, int position) {
    if (query.pages == nullptr) return position;
    return query.pages[position >> args.page_shift] << args.page_shift |
           (position & ((1 << args.page_shift) - 1));
}

__device__ inline u32 running_sum(u32 value) {
    return static_cast<u32>(warp_running_sum(u64{value}));
}

// The digit of the needed-th largest among the counted keys, and how many of that digit are needed.
__device__ inline void find_digit(u32 needed, Shared& shared) {
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    const int highest = kDigits - 1 - 2 * static_cast<int>(threadIdx.x);
    const u32 high = shared.counts[highest], low = shared.counts[highest - 1];
    const u32 up_to = running_sum(high + low);
    if (lane == kWarpThreads - 1) shared.of_warps[warp] = up_to;
    __syncthreads();
    const u32 warps_up_to = running_sum(shared.of_warps[lane]);
    u32 before = __shfl_sync(~0u, warps_up_to, max(warp - 1, 0));
    if (warp == 0) before = 0;
    before += up_to - high - low;
    if (before < needed && before + high >= needed) {
        shared.digit = highest;
        shared.needed = needed - before;
    } else if (before + high < needed && before + high + low >= needed) {
        shared.digit = highest - 1;
        shared.needed = needed - before - high;
    }
    __syncthreads();
}

struct Threshold {
    u32 key;
    u32 needed;  // of those that are equal to it, the first ones
};

__device__ inline Threshold find_threshold(const Query& query, u32 k, Shared& shared) {
    Threshold found = {0, k};
    int low_bit = 32;  // of what is known of the key
#pragma unroll 1
    while (low_bit > 0) {
        const int bits = min(kDigitBits, low_bit), shift = low_bit - bits;
        shared.counts[threadIdx.x] = shared.counts[kThreads + threadIdx.x] = 0;
        __syncthreads();
        const u32 mask = low_bit == 32 ? 0 : ~0u << low_bit;
        for (int first = threadIdx.x; first < query.visible; first += kLoads * kThreads) {
            u32 keys[kLoads];
#pragma unroll
            for (int i = 0; i < kLoads; ++i) {
                if (first + i * kThreads < query.visible) keys[i] = key_at(query, first + i * kThreads);
            }
#pragma unroll
            for (int i = 0; i < kLoads; ++i) {
                if (first + i * kThreads < query.visible && (keys[i] & mask) == found.key)
                    atomicAdd(&shared.counts[keys[i] >> shift & ((1u << bits) - 1)], 1u);
            }
        }
        __syncthreads();
        find_digit(found.needed, shared);
        found.key |= shared.digit << shift;
        found.needed = shared.needed;
        low_bit = shift;
    }
    return found;
}

__device__ inline void write_best(const IndexTopkArgs& args, const Query& query, const Threshold& threshold,
                                  Shared& shared) {
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    const int share = (query.visible + kNumWarps - 1) / kNumWarps;
    const int begin = min(query.visible, warp * share), end = min(query.visible, begin + share);
    u32 above = 0, equal = 0;
#pragma unroll 4
    for (int position = begin + lane; position < end; position += kWarpThreads) {
        const u32 key = key_at(query, position);
        above += key > threshold.key;
        equal += key == threshold.key;
    }
    above = warp_sum(above), equal = warp_sum(equal);
    if (lane == 0) shared.of_warps[warp] = above, shared.equal_of_warps[warp] = equal;
    __syncthreads();
    const u32 above_up_to = running_sum(shared.of_warps[lane]),
              equal_up_to = running_sum(shared.equal_of_warps[lane]);
    above = __shfl_sync(~0u, above_up_to, warp) - above;  // of the warps before this one
    equal = __shfl_sync(~0u, equal_up_to, warp) - equal;
    const u32 below_lane = (1u << lane) - 1;
#pragma unroll 1
    for (int first = begin; first < end; first += kWarpThreads) {
        const int position = first + lane;
        const u32 key = position < end ? key_at(query, position) : 0;  // no number's key
        const u32 are_above = __ballot_sync(~0u, key > threshold.key);
        const u32 are_equal = __ballot_sync(~0u, key == threshold.key);
        const u32 equal_before = equal + __popc(are_equal & below_lane);
        const bool is_taken =
            key > threshold.key || (key == threshold.key && equal_before < threshold.needed);
        if (is_taken)
            query.indices[above + __popc(are_above & below_lane) + min(equal_before, threshold.needed)] =
                index_of(args, query, position);
        above += __popc(are_above);
        equal += __popc(are_equal);
    }
}

__device__ inline void choose(const IndexTopkArgs& args, Shared& shared) {
    const int sequence = blockIdx.x / args.max_q_len, token = blockIdx.x % args.max_q_len;
    const int q_start = args.q_starts[sequence], q_len = args.q_starts[sequence + 1] - q_start;
    if (token >= q_len) return;
    const i64 row = q_start + token;
    const int kv_len = args.kv_lengths[sequence];
    const Query query = {
        args.logits + row * args.logits_stride,
        args.page_table == nullptr ? nullptr : args.page_table + i64{sequence} * args.page_table_stride,
        args.indices + row * args.indices_stride,
        max(0, min(args.max_kv_len, args.causal ? kv_len - q_len + token + 1 : kv_len))};
    if (threadIdx.x == 0 && args.index_lengths != nullptr)
        args.index_lengths[row] = min(query.visible, args.k);
    if (query.visible > args.k) {
        const Threshold threshold = find_threshold(query, args.k, shared);
        write_best(args, query, threshold, shared);
        return;
    }
    for (int i = threadIdx.x; i < args.k; i += kThreads)
        query.indices[i] = i < query.visible ? index_of(args, query, i) : -1;
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, 1)
    WW_ENTRY(const __grid_constant__ warpwright::IndexTopkArgs args) {
    using namespace warpwright;
    __shared__ Shared shared;
    ptx::wait_for_predecessor();
    choose(args, shared);
    ptx::release_successor();
}
