// SPDX-License-Identifier: Apache-2.0
// See simd.h. No include guard: included once per family. WW_ONE_SIMD_LEVEL: the baseline only, where compiling
// takes long and speed is nothing (the fuzz tests).
namespace baseline {
constexpr SimdLevel kLevel = SimdLevel::baseline;
#include WW_SIMD_FILE
}  // namespace baseline

#if defined(__x86_64__) && !defined(__clang__) && !defined(WW_ONE_SIMD_LEVEL)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt")
namespace avx2 {
constexpr SimdLevel kLevel = SimdLevel::avx2;
#include WW_SIMD_FILE
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt,prefer-vector-width=512")
namespace avx512 {
constexpr SimdLevel kLevel = SimdLevel::avx512;
#include WW_SIMD_FILE
}  // namespace avx512
#pragma GCC pop_options
#else
namespace avx2 = baseline;
namespace avx512 = baseline;
#endif
#undef WW_SIMD_FILE
