// SPDX-License-Identifier: Apache-2.0
// The larger of two numbers, in pairs of 16-bit numbers and over a warp.
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

}  // namespace warpwright::ptx
