// SPDX-License-Identifier: Apache-2.0
// Keys and values to codes of 8 bits, as warpwright/ops/kv_append.h defines them.
#pragma once

#include "ptx/convert.cuh"
#include "ptx/fp8.cuh"
#include "tile/small_float.cuh"
#include "warpwright/kv_format.h"

namespace warpwright {

// Codes of two numbers, in the low bytes. `converts`: the target has the instruction.
template <KvFormat format, bool converts>
__device__ inline u32 kv_code_pair(float low, float high) {
    constexpr bool kIsE4m3 = format == KvFormat::fp8_e4m3;
    if constexpr (converts) {
        return kIsE4m3 ? ptx::pack_e4m3(low, high) : ptx::pack_e5m2(low, high);
    } else {
        constexpr SmallFloatType kType = kIsE4m3 ? kTypeE4M3 : kTypeE5M2;
        return encode_one<kType>(low) | encode_one<kType>(high) << 8;
    }
}

// A head's scale, NaN where it is not positive and finite; 1 where there are none.
__device__ inline float kv_scale_of(const float* scales, i32 stride, int head) {
    const float scale = scales == nullptr ? 1 : scales[head * stride];
    return __float_as_uint(scale) - 1 >= 0x7f7fffffu ? __uint_as_float(0x7fffffffu) : scale;
}

// Of a pair of T's over the scale.
template <class T, KvFormat format, bool converts>
__device__ inline u32 kv_codes_of(u32 pair, float scale) {
    return kv_code_pair<format, converts>(__fdiv_rn(ptx::low_float<T>(pair), scale),
                                          __fdiv_rn(ptx::high_float<T>(pair), scale));
}

}  // namespace warpwright
