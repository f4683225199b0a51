// SPDX-License-Identifier: Apache-2.0
#include "kernels/host_simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace warpwright {
namespace {

// Four lanes: what every x86-64 and every 64-bit Arm has.
namespace baseline {
constexpr const char* kName = "baseline";
constexpr int kLanes = 4, kRows = 2, kColumns = 4, kSumRows = 4;
typedef u32 FourWords __attribute__((vector_size(16)));
typedef u16 FourHalves __attribute__((vector_size(8), aligned(2), may_alias));
typedef float FourFloats __attribute__((vector_size(16), aligned(4)));
static inline FourFloats widen_vector_bf16(const u16* from) {
    const FourWords wide = __builtin_convertvector(*reinterpret_cast<const FourHalves*>(from), FourWords)
                           << 16;
    return reinterpret_cast<FourFloats>(wide);
}
// Exponent and mantissa as those of an fp32 that is 2^112 too small, subnormals included; all ones stay all
// ones.
static inline FourFloats widen_vector_f16(const u16* from) {
    const FourWords bits = __builtin_convertvector(*reinterpret_cast<const FourHalves*>(from), FourWords);
    const FourWords small = (bits & 0x7fffu) << 13;
    const FourFloats scaled = reinterpret_cast<FourFloats>(small) * 0x1p112f;
    const FourWords special = (bits & 0x7c00u) == 0x7c00u ? FourWords{} + 0x7f800000u : FourWords{};
    const FourWords result = reinterpret_cast<FourWords>(scaled) | special | (bits & 0x8000u) << 16;
    return reinterpret_cast<FourFloats>(result);
}
static inline void narrow_vector_f16(FourFloats value, u16* to) {
    for (int i = 0; i < kLanes; ++i) {
        const _Float16 narrow = static_cast<_Float16>(value[i]);
        __builtin_memcpy(to + i, &narrow, sizeof narrow);
    }
}
#include "kernels/host_simd.inl"
}  // namespace baseline

#if defined(__x86_64__) && !defined(__clang__)
// why: the target is switched for these lines only. Whole files compiled for AVX would leave AVX copies of
// shared inline functions to the linker, which may keep them for everybody.
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
namespace avx2 {
constexpr const char* kName = "avx2";
constexpr int kLanes = 8, kRows = 2, kColumns = 4, kSumRows = 6;
static inline __m256 widen_vector_bf16(const u16* from) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline __m256 widen_vector_f16(const u16* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
static inline void narrow_vector_f16(__m256 value, u16* to) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
}
#include "kernels/host_simd.inl"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,prefer-vector-width=512")
namespace avx512 {
constexpr const char* kName = "avx512";
constexpr int kLanes = 16, kRows = 4, kColumns = 4, kSumRows = 12;
static inline __m512 widen_vector_bf16(const u16* from) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline __m512 widen_vector_f16(const u16* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
static inline void narrow_vector_f16(__m512 value, u16* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
}
#include "kernels/host_simd.inl"
}  // namespace avx512
#pragma GCC pop_options
#endif

}  // namespace

HostSimdList host_simd_sets() {
    HostSimdList list{};
#if defined(__x86_64__) && !defined(__clang__)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512dq");
    if (has_avx512) list.sets[list.count++] = &avx512::kTable;
    if (has_avx2) list.sets[list.count++] = &avx2::kTable;
#endif
    list.sets[list.count++] = &baseline::kTable;
    return list;
}

const HostSimd& host_simd() {
    static const HostSimd& best = *host_simd_sets().sets[0];
    return best;
}

}  // namespace warpwright
