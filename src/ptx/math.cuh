// SPDX-License-Identifier: Apache-2.0
// Special functions at the speed of the hardware.
#pragma once

#include "warpwright/types.h"

namespace warpwright::ptx {

// ptx: ex2.approx.ftz.f32 | PTX ISA 9.7.3.21 | sm_50. 2^x, about 2 units in the last place; 2^-infinity is 0.
__device__ inline float exp2_approx(float x) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

// ptx: rcp.approx.ftz.f32 | PTX ISA 9.7.3.13 | sm_50. 1 / x, at most 1 unit in the last place off; 1 /
// infinity is 0.
__device__ inline float reciprocal_approx(float x) {
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

// ptx: fma.rn.sat.f32 | PTX ISA 9.7.3.6 | sm_20. a * b + c, rounded once, then brought to 0 .. 1.
__device__ inline float fma_saturated(float a, float b, float c) {
    float result;
    asm("fma.rn.sat.f32 %0, %1, %2, %3;" : "=f"(result) : "f"(a), "f"(b), "f"(c));
    return result;
}

}  // namespace warpwright::ptx
