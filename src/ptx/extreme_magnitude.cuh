// SPDX-License-Identifier: Apache-2.0
// The larger of two magnitudes, in pairs of 16-bit numbers.
#pragma once

#include "ptx/extreme.cuh"

namespace warpwright::ptx {

template <class T>
__device__ inline u32 max_abs_pair(u32 a, u32 b);

// ptx: max.NaN.xorsign.abs.bf16x2 | PTX ISA 9.7.4.8 | sm_86
template <>
__device__ inline u32 max_abs_pair<Bf16>(u32 a, u32 b) {
    u32 result;
    asm("max.NaN.xorsign.abs.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

// ptx: max.NaN.xorsign.abs.f16x2 | PTX ISA 9.7.4.8 | sm_86
template <>
__device__ inline u32 max_abs_pair<Half>(u32 a, u32 b) {
    u32 result;
    asm("max.NaN.xorsign.abs.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

// The larger of two magnitudes, with a sign that says nothing. `abs`: in one instruction, from 8.6 on.
template <class T, bool abs>
__device__ inline u32 max_magnitude_pair(u32 a, u32 b) {
    constexpr u32 kMagnitudes = 0x7fff7fff;
    if constexpr (abs) {
        return max_abs_pair<T>(a, b);
    } else {
        return max_pair<T>(a & kMagnitudes, b & kMagnitudes);
    }
}

}  // namespace warpwright::ptx
