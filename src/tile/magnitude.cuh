// SPDX-License-Identifier: Apache-2.0
// Largest magnitudes of 16-bit numbers, compared as their bits: NaN is larger than infinity.
#pragma once

#include "ptx/extreme.cuh"
#include "ptx/memory.cuh"
#include "tile/reduce.cuh"
#include "tile/vector_divisor.h"

namespace warpwright {

constexpr u32 kMagnitudes = 0x7fff7fffu;  // of a pair

template <class T>
constexpr bool is_bf16 = false;
template <>
inline constexpr bool is_bf16<Bf16> = true;

// Of eight numbers: a pair, of the even ones and of the odd ones.
template <class T>
__device__ inline u32 larger_pair(U32x4 v) {
    const u32 first = ptx::max_pair<T>(v.x & kMagnitudes, v.y & kMagnitudes);
    const u32 second = ptx::max_pair<T>(v.z & kMagnitudes, v.w & kMagnitudes);
    return ptx::max_pair<T>(first, second);
}
__device__ inline u32 larger_of(u32 pair) {
    return max(pair & 0xffffu, pair >> 16);
}

// Over a block, in every thread. `scratch` holds a word a warp.
template <int threads>
__device__ inline u32 block_max(u32 value, u32* scratch) {
    value = __reduce_max_sync(~0u, value);
    if (threadIdx.x % kWarpThreads == 0) scratch[threadIdx.x / kWarpThreads] = value;
    __syncthreads();
#pragma unroll
    for (int warp = 0; warp < threads / kWarpThreads; ++warp) value = max(value, scratch[warp]);
    return value;
}

__device__ inline u32 row_of_vector(u32 vector, const VectorDivisor& divisor) {
    return divisor.factor == 0 ? vector : __umulhi(vector, divisor.factor) >> divisor.shift;
}

}  // namespace warpwright
