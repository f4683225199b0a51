// SPDX-License-Identifier: Apache-2.0
// 8-bit floating-point codes to pairs of 16-bit numbers in a register, exactly; what NaN and infinity become
// is not said.
//
// A code's sign, exponent and mantissa are moved to the places of the 16-bit type's, and a multiplication by
// the difference of the exponents' biases puts it right, which also makes its subnormal numbers normal. e5m2
// is the upper half of an f16; e4m3 to f16 is an instruction from sm_89 on.
#pragma once

#include "ptx/fp8.cuh"
#include "ptx/packed.cuh"
#include "warpwright/kv_format.h"

namespace warpwright {

template <class T>
struct CodePlaces;
template <>
struct CodePlaces<Bf16> {
    static constexpr bool kIsHalf = false;
    static constexpr int kE4m3Shift = 4, kE5m2Shift = 3;
    static constexpr u32 kE4m3 = 0x7b807b80, kE5m2 = 0x77807780;  // 2^120, 2^112
};
template <>
struct CodePlaces<Half> {
    static constexpr bool kIsHalf = true;
    static constexpr int kE4m3Shift = 1, kE5m2Shift = 0;
    static constexpr u32 kE4m3 = 0x5c005c00, kE5m2 = 0x3c003c00;  // 2^8, 1
};

// Of a word whose halves have codes in their upper bytes, and anything in the lower ones.
template <class T, KvFormat format>
__device__ inline u32 pair_of_upper_bytes(u32 word) {
    using P = CodePlaces<T>;
    constexpr u32 kNegativeZero = 0x80008000, kMagnitudes = 0x7f007f00;
    constexpr bool kIsE4m3 = format == KvFormat::fp8_e4m3;
    constexpr int kShift = kIsE4m3 ? P::kE4m3Shift : P::kE5m2Shift;
    if constexpr (kShift == 0) {
        return word & (kNegativeZero | kMagnitudes);
    } else {
        const u32 magnitudes = word >> kShift & kMagnitudes >> kShift;
        const u32 moved = ptx::and_or(word, kNegativeZero, magnitudes);
        return ptx::fma_pair<T>(moved, kIsE4m3 ? P::kE4m3 : P::kE5m2, kNegativeZero);
    }
}

struct CodePairs {
    u32 first, second;
};

// Of four codes c0 to c3 from the low byte up: (c0, c1) and (c2, c3). `converts`: the target has the
// instruction.
template <class T, KvFormat format, bool converts>
__device__ inline CodePairs neighbouring_pairs(u32 codes) {
    if constexpr (converts && format == KvFormat::fp8_e4m3 && CodePlaces<T>::kIsHalf) {
        return {ptx::unpack_e4m3(codes), ptx::unpack_e4m3(codes >> 16)};
    } else {
        return {pair_of_upper_bytes<T, format>(__byte_perm(codes, 0, 0x1404)),
                pair_of_upper_bytes<T, format>(__byte_perm(codes, 0, 0x3424))};
    }
}

// The same as (c0, c2) and (c1, c3), which is cheaper where nothing depends on the order.
template <class T, KvFormat format, bool converts>
__device__ inline CodePairs alternating_pairs(u32 codes) {
    if constexpr (converts && format == KvFormat::fp8_e4m3 && CodePlaces<T>::kIsHalf) {
        return neighbouring_pairs<T, format, converts>(__byte_perm(codes, 0, 0x3120));
    } else {
        return {pair_of_upper_bytes<T, format>(codes << 8), pair_of_upper_bytes<T, format>(codes)};
    }
}

}  // namespace warpwright
