// SPDX-License-Identifier: Apache-2.0
// fp32 operations that are IEEE's, rounded to nearest even, and that no compiler fuses with their neighbours:
// what is computed with them has the same bits on the host and on every GPU.
#pragma once

namespace warpwright::exact {

#ifdef __CUDA_ARCH__
__device__ inline float fma(float a, float b, float c) {
    return __fmaf_rn(a, b, c);
}
__device__ inline float multiply(float a, float b) {
    return __fmul_rn(a, b);
}
__device__ inline float reciprocal(float a) {
    return __frcp_rn(a);
}
__device__ inline float square_root(float a) {
    return __fsqrt_rn(a);
}
__device__ inline float nearest_integer(float a) {
    return rintf(a);
}
#else
inline float fma(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
inline float multiply(float a, float b) {
    return __builtin_fmaf(a, b, -0.0f);  // no compiler fuses it with a sum
}
inline float reciprocal(float a) {
    return 1 / a;
}
inline float square_root(float a) {
    return __builtin_sqrtf(a);
}
inline float nearest_integer(float a) {
    return __builtin_rintf(a);
}
#endif

}  // namespace warpwright::exact
