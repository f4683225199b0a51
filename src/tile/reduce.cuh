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

__device__ inline float warp_max(float value) {
#pragma unroll
    for (int lane_mask = 16; lane_mask > 0; lane_mask /= 2) {
        value = fmaxf(value, __shfl_xor_sync(~0u, value, lane_mask));
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
