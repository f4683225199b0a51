// SPDX-License-Identifier: Apache-2.0
// gemm's epilogue, in fp32 on finished sums:  bias, activation x gate, residual, one rounding. Which parts
// there are is a run-time choice that the whole grid agrees on.
#pragma once

#include "kernels/gemm/problem.h"
#include "ptx/convert.cuh"
#include "ptx/memory.cuh"
#include "tile/activation.cuh"

namespace warpwright {

struct alignas(8) Two {
    float v[2];
};
struct alignas(16) Eight {
    float v[8];
};

template <class T>
__device__ inline Eight unpack(U32x4 raw) {
    return {{ptx::low_float<T>(raw.x), ptx::high_float<T>(raw.x), ptx::low_float<T>(raw.y),
             ptx::high_float<T>(raw.y), ptx::low_float<T>(raw.z), ptx::high_float<T>(raw.z),
             ptx::low_float<T>(raw.w), ptx::high_float<T>(raw.w)}};
}

// Eight elements of type U from a 16-byte aligned address.
template <class U>
__device__ inline Eight load_eight(const void* base, i64 index) {
    if constexpr (sizeof(U) == 2) {
        return unpack<U>(ptx::load(static_cast<const U*>(base) + index));
    } else {
        const U32x4 low = ptx::load(static_cast<const U*>(base) + index);
        const U32x4 high = ptx::load(static_cast<const U*>(base) + index + 4);
        return {{__uint_as_float(low.x), __uint_as_float(low.y), __uint_as_float(low.z),
                 __uint_as_float(low.w), __uint_as_float(high.x), __uint_as_float(high.y),
                 __uint_as_float(high.z), __uint_as_float(high.w)}};
    }
}

template <class U>
__device__ inline void store_eight(void* base, i64 index, const Eight& e) {
    if constexpr (sizeof(U) == 2) {
        ptx::store(static_cast<U*>(base) + index,
                   {ptx::pack<U>(e.v[0], e.v[1]), ptx::pack<U>(e.v[2], e.v[3]), ptx::pack<U>(e.v[4], e.v[5]),
                    ptx::pack<U>(e.v[6], e.v[7])});
    } else {
        ptx::store(static_cast<U*>(base) + index, {__float_as_uint(e.v[0]), __float_as_uint(e.v[1]),
                                                   __float_as_uint(e.v[2]), __float_as_uint(e.v[3])});
        ptx::store(static_cast<U*>(base) + index + 4, {__float_as_uint(e.v[4]), __float_as_uint(e.v[5]),
                                                       __float_as_uint(e.v[6]), __float_as_uint(e.v[7])});
    }
}

// The result at [m, n .. n + 7]: n is a multiple of 8, all eight exist, args.out_aligned.
template <class T>
__device__ inline Eight result_eight(const GemmArgs& args, i64 m, i64 n, Eight e) {
    if (args.bias != nullptr) {
        const Eight bias = load_eight<T>(args.bias, n);
#pragma unroll
        for (int i = 0; i < 8; ++i) e.v[i] += bias.v[i];
    }
    if (args.activation != Activation::none || args.gate != nullptr) {
        const bool gated = args.gate != nullptr;
        const Eight gate = gated ? load_eight<T>(args.gate, m * args.gate_stride + n) : e;
#pragma unroll
        for (int i = 0; i < 8; ++i) e.v[i] = activate(args.activation, gate.v[i]) * (gated ? e.v[i] : 1);
    }
    if (args.residual != nullptr) {
        const i64 index = m * args.residual_stride + n;
        const Eight residual =
            args.out_f32 ? load_eight<float>(args.residual, index) : load_eight<T>(args.residual, index);
#pragma unroll
        for (int i = 0; i < 8; ++i) e.v[i] += residual.v[i];
    }
    return e;
}
template <class T>
__device__ inline void finish_eight(const GemmArgs& args, i64 m, i64 n, Eight sum) {
    const Eight e = result_eight<T>(args, m, n, sum);
    const i64 index = m * args.d_stride + n;
    if (args.out_f32) {
        store_eight<float>(args.d, index, e);
    } else {
        store_eight<T>(args.d, index, e);
    }
}

// The result at [m, n], any alignment.
template <class T>
__device__ inline float result_one(const GemmArgs& args, i64 m, i64 n, float value) {
    if (args.bias != nullptr) value += ptx::to_float(static_cast<const T*>(args.bias)[n]);
    if (args.gate != nullptr) {
        const T gate = static_cast<const T*>(args.gate)[m * args.gate_stride + n];
        value *= activate(args.activation, ptx::to_float(gate));
    } else {
        value = activate(args.activation, value);
    }
    if (args.residual != nullptr) {
        const i64 from = m * args.residual_stride + n;
        value += args.out_f32 ? static_cast<const float*>(args.residual)[from]
                              : ptx::to_float(static_cast<const T*>(args.residual)[from]);
    }
    return value;
}
template <class T>
__device__ inline void finish_one(const GemmArgs& args, i64 m, i64 n, float sum) {
    const float value = result_one<T>(args, m, n, sum);
    const i64 to = m * args.d_stride + n;
    if (args.out_f32) {
        static_cast<float*>(args.d)[to] = value;
    } else {
        static_cast<T*>(args.d)[to] = ptx::from_float<T>(value);
    }
}

}  // namespace warpwright
