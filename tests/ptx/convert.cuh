// SPDX-License-Identifier: Apache-2.0
// src/ptx/convert.cuh for tests/simt/machine.h.
#pragma once

#include "kernels/host_math.h"
#include "simt/machine.h"

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

inline float to_float(Bf16 value) {
    return bf16_to_float(value.bits);
}
inline float to_float(Half value) {
    return f16_to_float(value.bits);
}
inline float to_float(float value) {
    return value;
}

template <class T>
inline T from_float(float value);
template <>
inline float from_float<float>(float value) {
    return value;
}
template <>
inline Bf16 from_float<Bf16>(float value) {
    return {float_to_bf16(value)};
}
template <>
inline Half from_float<Half>(float value) {
    return {float_to_f16(value)};
}

template <class T>
inline u32 pack(float low, float high) {
    return from_float<T>(low).bits | static_cast<u32>(from_float<T>(high).bits) << 16;
}
template <class T>
inline float low_float(u32 pair) {
    return to_float(T{static_cast<u16>(pair)});
}
template <class T>
inline float high_float(u32 pair) {
    return to_float(T{static_cast<u16>(pair >> 16)});
}

}  // namespace ptx
}  // namespace warpwright
