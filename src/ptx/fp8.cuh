// SPDX-License-Identifier: Apache-2.0
// Conversions to 8-bit floating point, two at a time: to nearest even, what is too large becomes the largest
// finite value, NaN 0x7f; and from it, exactly. `low` goes to the low byte.
#pragma once

#include "warpwright/types.h"

namespace warpwright::ptx {

// ptx: cvt.rn.satfinite.e4m3x2.f32 | PTX ISA 9.7.9.21 | sm_89
__device__ inline u32 pack_e4m3(float low, float high) {
    u16 result;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(result) : "f"(high), "f"(low));
    return result;
}

// ptx: cvt.rn.satfinite.e5m2x2.f32 | PTX ISA 9.7.9.21 | sm_89
__device__ inline u32 pack_e5m2(float low, float high) {
    u16 result;
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(result) : "f"(high), "f"(low));
    return result;
}

// ptx: cvt.rn.f16x2.e4m3x2 | PTX ISA 9.7.9.21 | sm_89. Of the two low bytes.
__device__ inline u32 unpack_e4m3(u32 pair) {
    u32 result;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(result) : "h"(static_cast<u16>(pair)));
    return result;
}

}  // namespace warpwright::ptx
