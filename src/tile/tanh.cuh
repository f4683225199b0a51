// SPDX-License-Identifier: Apache-2.0
// tanh of one number, and of many that are usually small.
#pragma once

#include "ptx/math.cuh"
#include "tile/tanh.h"

namespace warpwright {

__device__ inline float tanh_by_exp2(float x) {
    // Odd to the bit, and more precise than with the sign in the exponential: the quotient is the small term.
    const float e = ptx::exp2_approx(fabsf(x) * kTwoLog2E);
    const float large = copysignf(1 - 2 * ptx::reciprocal_approx(e + 1), x);
    return fabsf(x) < kTanhSmall ? tanh_small(x) : large;
}

// tanh(x * scale) of a warp's numbers; scale is positive. Where none of them is large the exponentials are
// left out: the results are the same.
template <int kCount>
__device__ inline void warp_tanh(float* x, float scale) {
    float largest = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) largest = fmaxf(largest, fabsf(x[i]));
    if (__any_sync(~0u, largest * scale >= kTanhSmall)) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) x[i] = tanh_by_exp2(x[i] * scale);
    } else {
#pragma unroll
        for (int i = 0; i < kCount; ++i) x[i] = tanh_small(x[i] * scale);
    }
}

}  // namespace warpwright
