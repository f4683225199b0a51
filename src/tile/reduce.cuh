// SPDX-License-Identifier: Apache-2.0
// Sums and maxima over a warp and over a block.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

constexpr int kWarpThreads = 32;

__device__ inline float warp_sum(float value) {
#pragma unroll
    for (int lane_mask = 16; lane_mask > 0; lane_mask /= 2) value += __shfl_xor_sync(~0u, value, lane_mask);
    return value;
}

// The sum over each group of neighbouring lanes, in every one of them. `lanes` is a power of two.
template <int lanes>
__device__ inline float lanes_sum(float value) {
#pragma unroll
    for (int lane_mask = lanes / 2; lane_mask > 0; lane_mask /= 2) {
        value += __shfl_xor_sync(~0u, value, lane_mask);
    }
    return value;
}

__device__ inline float warp_max(float value) {
#pragma unroll
    for (int lane_mask = 16; lane_mask > 0; lane_mask /= 2) {
        value = fmaxf(value, __shfl_xor_sync(~0u, value, lane_mask));
    }
    return value;
}

// Sums of integers, exact in any order.
__device__ inline u32 warp_sum(u32 value) {
    return __reduce_add_sync(~0u, value);
}

// Below 2^63: the three parts of 27, 27 and 9 bits cannot overflow in 32 lanes.
__device__ inline u64 warp_sum(u64 value) {
    constexpr u32 kMask = (1u << 27) - 1;
    const u32 low = warp_sum(static_cast<u32>(value) & kMask);
    const u32 middle = warp_sum(static_cast<u32>(value >> 27) & kMask);
    const u32 high = warp_sum(static_cast<u32>(value >> 54));
    return (static_cast<u64>(high) << 54) + (static_cast<u64>(middle) << 27) + low;
}

// The sum over this lane and the lanes below it.
__device__ inline u64 warp_running_sum(u64 value) {
#pragma unroll
    for (int distance = 1; distance < kWarpThreads; distance *= 2) {
        const u64 below = __shfl_up_sync(~0u, value, distance);
        if (static_cast<int>(threadIdx.x) % kWarpThreads >= distance) value += below;
    }
    return value;
}

// The sum over all threads, in every thread; the order of additions is fixed. `scratch` holds one float a
// warp and may be reused after the next barrier.
template <int threads>
__device__ inline float block_sum(float value, float* scratch) {
    constexpr int kNumWarps = threads / kWarpThreads;
    value = warp_sum(value);
    if constexpr (kNumWarps == 1) return value;
    if (threadIdx.x % kWarpThreads == 0) scratch[threadIdx.x / kWarpThreads] = value;
    __syncthreads();
    float total = 0;
#pragma unroll
    for (int warp = 0; warp < kNumWarps; ++warp) total += scratch[warp];
    return total;
}

}  // namespace warpwright
