// SPDX-License-Identifier: Apache-2.0
// The best keys of each query, portable.
//
//   block    = one query; the logits of the keys that it sees as ordered integers (tile/ordered_float.h), a
//              warp has a share of them
//   counts     of each value of the 11 highest bits: those of the k-th largest
//   gather     what is above that value is counted by each warp, what has it is collected
//   threshold  of the collected: counts of 11 bits, then of 10, and the k-th largest is known
//   write      a warp writes its own in their order, behind those of the warps before it
//
// So logits are read three times, from L2 but for the first. Too many of one value for the collection are
// read again for each count instead. A query that sees no more than k keys has all of them.
#include "kernels/attention/index_topk/rows.h"
#include "ptx/launch.cuh"
#include "tile/ordered_float.h"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr IndexTopkRow kRow = row_at(kIndexTopkRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kThreads = kRow.threads, kNumWarps = kThreads / kWarpThreads;
constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;
constexpr int kLoads = 8;  // in flight per thread
constexpr int kCollected = 4096;
static_assert(kNumWarps == kWarpThreads && kDigits == 2 * kThreads);

struct Shared {
    u32 counts[kDigits];
    u32 of_warps[kNumWarps];  // above the threshold, or of digits
    u32 equal_of_warps[kNumWarps];
    u32 digit, of_digit, needed;
    u32 num_collected;
    u32 collected[kCollected];  // keys
    u8 warp_of[kCollected];     // whose share they are of
};

struct Query {
    const float* logits;
    const i32* pages;  // of its sequence, or null
    i32* indices;
    int visible;
    int begin, end;  // of the warp's share
};

// A warp's share in order: visit(key, position) by lanes; behind its end the key is 0, which no number has.
template <class Visit>
__device__ inline void each_key(const Query& query, Visit&& visit) {
    const int lane = threadIdx.x % kWarpThreads;
#pragma unroll 1
    for (int first = query.begin; first < query.end; first += kLoads * kWarpThreads) {
        float logits[kLoads];
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const int position = first + i * kWarpThreads + lane;
            logits[i] = position < query.end ? query.logits[position] : 0;
        }
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const int position = first + i * kWarpThreads + lane;
            visit(position < query.end ? key_of(clean_logit(logits[i])) : 0, position);
        }
    }
}

__device__ inline i32 index_of(const IndexTopkArgs& args, const Query& query, int position) {
    if (query.pages == nullptr) return position;
    return query.pages[position >> args.page_shift] << args.page_shift |
           (position & ((1 << args.page_shift) - 1));
}

__device__ inline u32 running_sum(u32 value) {
    return static_cast<u32>(warp_running_sum(u64{value}));
}

// The digit of the needed-th largest among the counted keys, how many there are of it, and how many of those
// are needed.
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
        shared.of_digit = high;
        shared.needed = needed - before;
    } else if (before + high < needed && before + high + low >= needed) {
        shared.digit = highest - 1;
        shared.of_digit = low;
        shared.needed = needed - before - high;
    }
    __syncthreads();
}

struct Threshold {
    u32 key;
    u32 needed;  // of those that are equal to it, the first ones
};

// The next bits of the threshold: count(shift, mask) counts the values of keys that are as known so far.
template <class Count>
__device__ inline void find_bits(int low_bit, int bits, Threshold& found, Shared& shared, Count&& count) {
    const u32 mask = low_bit + bits == 32 ? 0 : ~0u << (low_bit + bits);
    shared.counts[threadIdx.x] = shared.counts[kThreads + threadIdx.x] = 0;
    __syncthreads();
    count([&](u32 key) {
        if (key != 0 && (key & mask) == found.key)
            atomicAdd(&shared.counts[key >> low_bit & ((1u << bits) - 1)], 1u);
    });
    __syncthreads();
    find_digit(found.needed, shared);
    found.key |= shared.digit << low_bit;
    found.needed = shared.needed;
}

// The threshold; above, equal: of the warp's share.
__device__ inline Threshold find_threshold(const Query& query, u32 k, Shared& shared, u32& above,
                                           u32& equal) {
    constexpr int kFirstBit = 32 - kDigitBits, kSecondBit = kFirstBit - kDigitBits;
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    Threshold found = {0, k};
    const auto of_all = [&](auto&& add) { each_key(query, [&](u32 key, int) { add(key); }); };
    find_bits(kFirstBit, kDigitBits, found, shared, of_all);
    const u32 num_collected = shared.of_digit;
    above = equal = 0;
    if (num_collected > kCollected) {
        find_bits(kSecondBit, kDigitBits, found, shared, of_all);
        find_bits(0, kSecondBit, found, shared, of_all);
        each_key(query, [&](u32 key, int) {
            above += key > found.key;
            equal += key == found.key;
        });
        above = warp_sum(above), equal = warp_sum(equal);
        return found;
    }
    if (threadIdx.x == 0) shared.num_collected = 0;
    shared.of_warps[lane] = shared.equal_of_warps[lane] = 0;
    __syncthreads();
    each_key(query, [&](u32 key, int) {
        above += key >> kFirstBit > found.key >> kFirstBit;
        const bool has_digit = key >> kFirstBit == found.key >> kFirstBit;
        const u32 have_digit = __ballot_sync(~0u, has_digit);
        if (have_digit == 0) return;
        u32 slot = 0;
        if (lane == 0) slot = atomicAdd(&shared.num_collected, static_cast<u32>(__popc(have_digit)));
        slot = __shfl_sync(~0u, slot, 0) + __popc(have_digit & ((1u << lane) - 1));
        if (has_digit) shared.collected[slot] = key, shared.warp_of[slot] = static_cast<u8>(warp);
    });
    above = warp_sum(above);
    const auto of_collected = [&](auto&& add) {
        for (u32 i = threadIdx.x; i < num_collected; i += kThreads) add(shared.collected[i]);
    };
    find_bits(kSecondBit, kDigitBits, found, shared, of_collected);
    find_bits(0, kSecondBit, found, shared, of_collected);
    if (threadIdx.x < kWarpThreads) shared.of_warps[lane] = shared.equal_of_warps[lane] = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < num_collected; i += kThreads) {
        const u32 key = shared.collected[i];
        if (key > found.key) atomicAdd(&shared.of_warps[shared.warp_of[i]], 1u);
        if (key == found.key) atomicAdd(&shared.equal_of_warps[shared.warp_of[i]], 1u);
    }
    __syncthreads();
    above += shared.of_warps[warp], equal = shared.equal_of_warps[warp];
    __syncthreads();
    return found;
}

__device__ inline void write_best(const IndexTopkArgs& args, const Query& query, const Threshold& threshold,
                                  u32 above, u32 equal, Shared& shared) {
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    if (lane == 0) shared.of_warps[warp] = above, shared.equal_of_warps[warp] = equal;
    __syncthreads();
    const u32 above_up_to = running_sum(shared.of_warps[lane]),
              equal_up_to = running_sum(shared.equal_of_warps[lane]);
    above = __shfl_sync(~0u, above_up_to, warp) - above;  // of the warps before this one
    equal = __shfl_sync(~0u, equal_up_to, warp) - equal;
    const u32 below_lane = (1u << lane) - 1;
    each_key(query, [&](u32 key, int position) {
        const u32 are_above = __ballot_sync(~0u, key > threshold.key);
        const u32 are_equal = __ballot_sync(~0u, key == threshold.key);
        if ((are_above | are_equal) == 0) return;
        const u32 equal_before = equal + __popc(are_equal & below_lane);
        const bool is_taken =
            key > threshold.key || (key == threshold.key && equal_before < threshold.needed);
        if (is_taken)
            query.indices[above + __popc(are_above & below_lane) + min(equal_before, threshold.needed)] =
                index_of(args, query, position);
        above += __popc(are_above);
        equal += __popc(are_equal);
    });
}

__device__ inline void choose(const IndexTopkArgs& args, Shared& shared) {
    const int sequence = blockIdx.x / args.max_q_len, token = blockIdx.x % args.max_q_len;
    const int q_start = args.q_starts[sequence], q_len = args.q_starts[sequence + 1] - q_start;
    if (token >= q_len) return;
    const i64 row = q_start + token;
    const int kv_len = args.kv_lengths[sequence];
    Query query = {
        args.logits + row * args.logits_stride,
        args.page_table == nullptr ? nullptr : args.page_table + i64{sequence} * args.page_table_stride,
        args.indices + row * args.indices_stride,
        max(0, min(args.max_kv_len, args.causal ? kv_len - q_len + token + 1 : kv_len)),
        0,
        0};
    if (threadIdx.x == 0 && args.index_lengths != nullptr)
        args.index_lengths[row] = min(query.visible, args.k);
    if (query.visible > args.k) {
        const int share = static_cast<int>(round_up(ceil_div(query.visible, kNumWarps), kWarpThreads));
        query.begin = min(query.visible, static_cast<int>(threadIdx.x) / kWarpThreads * share);
        query.end = min(query.visible, query.begin + share);
        u32 above, equal;
        const Threshold threshold = find_threshold(query, args.k, shared, above, equal);
        write_best(args, query, threshold, above, equal, shared);
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
