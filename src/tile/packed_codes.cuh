// SPDX-License-Identifier: Apache-2.0
// Codes of e2m1, four in each half of a register, times their block's scale of e4m3, as pairs of 16-bit
// numbers. A product has six bits, so that it is exact; it is what it stands for over kPackedFactor<T>, since
// the codes' exponents, put where the type's are, are too small by more than a scale has room for.
#pragma once

#include "ptx/memory.cuh"
#include "tile/code_pairs.cuh"

namespace warpwright {

template <class T>
struct PackedPlaces;
template <>
struct PackedPlaces<Bf16> {
    static constexpr int kLowest = 6;          // bit of a magnitude's end; exponents want 2^126
    static constexpr u32 kScale = 0x7a807a80;  // 2^118, of scales
    static constexpr float kFactor = 0x1p8f;   // 2^126 / 2^118
};
template <>
struct PackedPlaces<Half> {
    static constexpr int kLowest = 9;          // 2^14
    static constexpr u32 kScale = 0x58005800;  // 2^7
    static constexpr float kFactor = 0x1p7f;
};
template <class T>
constexpr float kPackedFactor = PackedPlaces<T>::kFactor;

// What packed_pair takes, of two scales of e4m3 in the upper bytes of the halves.
template <class T>
__device__ inline u32 block_scales(u32 upper_bytes) {
    return ptx::fma_pair<T>(pair_of_upper_bytes<T, KvFormat::fp8_e4m3>(upper_bytes), PackedPlaces<T>::kScale,
                            0x80008000);
}

// Code i of each half's four, the first in the lowest bits.
template <class T, int i>
__device__ inline u32 packed_pair(u32 codes, u32 scales) {
    constexpr int kDown = 4 * i - PackedPlaces<T>::kLowest;
    const u32 magnitudes = (kDown > 0 ? codes >> (kDown & 31) : codes << (-kDown & 31)) &
                           0x00070007u << PackedPlaces<T>::kLowest;
    const u32 moved = ptx::and_or(codes << (12 - 4 * i), 0x80008000, magnitudes);
    return ptx::fma_pair<T>(moved, scales, 0x80008000);
}

// Eight codes' numbers, in their order.
template <class T>
__device__ inline U32x4 eight_packed(u32 codes, u32 scales) {
    const u32 a = packed_pair<T, 0>(codes, scales), b = packed_pair<T, 1>(codes, scales);
    const u32 c = packed_pair<T, 2>(codes, scales), d = packed_pair<T, 3>(codes, scales);
    return {__byte_perm(a, b, 0x5410), __byte_perm(c, d, 0x5410), __byte_perm(a, b, 0x7632),
            __byte_perm(c, d, 0x7632)};
}

}  // namespace warpwright
