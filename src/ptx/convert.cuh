// SPDX-License-Identifier: Apache-2.0
// 16-bit floating-point numbers: storage types, and conversions to and from fp32.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct Bf16 {
    u16 bits;
};
struct Half {
    u16 bits;
};

template <DType type>
struct StorageOf;
template <>
struct StorageOf<DType::bf16> {
    using Type = Bf16;
};
template <>
struct StorageOf<DType::f16> {
    using Type = Half;
};
template <>
struct StorageOf<DType::f32> {
    using Type = float;
};
template <DType type>
using Storage = typename StorageOf<type>::Type;

namespace ptx {

// bf16 is the upper half of an fp32.
__device__ inline float to_float(Bf16 value) {
    return __uint_as_float(static_cast<u32>(value.bits) << 16);
}
__device__ inline float to_float(float value) {
    return value;
}

// ptx: cvt.f32.f16 | PTX ISA 9.7.9.21 | sm_53
__device__ inline float to_float(Half value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}

// ptx: cvt.rn.bf16x2.f32 | PTX ISA 9.7.9.21 | sm_80. `low` is the element at the lower address.
__device__ inline u32 pack_bf16(float low, float high) {
    u32 result;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}

// ptx: cvt.rn.f16x2.f32 | PTX ISA 9.7.9.21 | sm_80
__device__ inline u32 pack_f16(float low, float high) {
    u32 result;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}

// ptx: cvt.rn.bf16.f32 | PTX ISA 9.7.9.21 | sm_80
__device__ inline u16 round_bf16(float value) {
    u16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}

// ptx: cvt.rn.f16.f32 | PTX ISA 9.7.9.21 | sm_53
__device__ inline u16 round_f16(float value) {
    u16 result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}

template <class T>
__device__ inline T from_float(float value);
template <>
__device__ inline float from_float<float>(float value) {
    return value;
}
template <>
__device__ inline Bf16 from_float<Bf16>(float value) {
    return {round_bf16(value)};
}
template <>
__device__ inline Half from_float<Half>(float value) {
    return {round_f16(value)};
}

template <class T>
__device__ inline u32 pack(float low, float high);
template <>
__device__ inline u32 pack<Bf16>(float low, float high) {
    return pack_bf16(low, high);
}
template <>
__device__ inline u32 pack<Half>(float low, float high) {
    return pack_f16(low, high);
}

// The two elements of a packed pair.
template <class T>
__device__ inline float low_float(u32 pair) {
    return to_float(T{static_cast<u16>(pair)});
}
template <class T>
__device__ inline float high_float(u32 pair) {
    return to_float(T{static_cast<u16>(pair >> 16)});
}

}  // namespace ptx
}  // namespace warpwright
