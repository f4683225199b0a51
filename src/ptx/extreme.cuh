// SPDX-License-Identifier: Apache-2.0
// The larger and the smaller of two numbers, in pairs of 16-bit numbers.
#pragma once

#include "ptx/convert.cuh"

namespace warpwright::ptx {

// NaN where either is; the sign of NaN is clear, and all its other bits are set.
template <class T>
__device__ inline u32 max_pair(u32 a, u32 b);

// ptx: max.NaN.bf16x2 | PTX ISA 9.7.4.8 | sm_80
template <>
__device__ inline u32 max_pair<Bf16>(u32 a, u32 b) {
    u32 result;
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

// ptx: max.NaN.f16x2 | PTX ISA 9.7.4.8 | sm_80
template <>
__device__ inline u32 max_pair<Half>(u32 a, u32 b) {
    u32 result;
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

// ptx: max.bf16x2 | PTX ISA 9.7.4.8 | sm_80. Of numbers that are not NaN.
__device__ inline u32 max_pair_bf16(u32 a, u32 b) {
    u32 result;
    asm("max.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

// ptx: min.bf16x2 | PTX ISA 9.7.4.7 | sm_80. The same.
__device__ inline u32 min_pair_bf16(u32 a, u32 b) {
    u32 result;
    asm("min.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

}  // namespace warpwright::ptx
