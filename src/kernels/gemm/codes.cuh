// SPDX-License-Identifier: Apache-2.0
// Results of a product as codes of one byte by a scale that is given: made of the epilogue's fp32 numbers,
// with one rounding.
#pragma once

#include "kernels/gemm/epilogue.cuh"
#include "tile/reduce.cuh"
#include "tile/small_float.cuh"

namespace warpwright {

// A thread's: what it multiplies by, and the largest magnitude that it has seen.
struct Coder {
    float multiplier;  // 1 / scale; NaN where the scale is not positive and finite
    u32 amax = 0;      // fp32's bits
    bool is_i8;

    __device__ explicit Coder(const GemmArgs& args) : is_i8(args.d_code == CodeType::i8) {
        constexpr u32 kInfinity = 0x7f800000u, kNan = 0x7fffffffu;
        const u32 scale = __float_as_uint(*args.d_scale);
        multiplier = scale - 1 < kInfinity - 1 ? __frcp_rn(__uint_as_float(scale)) : __uint_as_float(kNan);
    }

    __device__ float scaled(float value) {
        amax = max(amax, __float_as_uint(value) & 0x7fffffffu);  // NaN's bits are above all others
        return __fmul_rn(value, multiplier);
    }
    __device__ u32 one(float value) const {
        if (is_i8) return value != value ? 0 : raw_i8(value) & 0xff;
        return encode_one<kTypeE4M3>(value);
    }
    __device__ u32 four(float a, float b, float c, float d) const {
        const bool regular = a == a && b == b && c == c && d == d;
        if (!regular) return one(a) | one(b) << 8 | one(c) << 16 | one(d) << 24;
        return is_i8 ? encode_four_i8(a, b, c, d) : encode_four<kTypeE4M3>(a, b, c, d);
    }

    __device__ void store_eight(const GemmArgs& args, i64 m, i64 n, Eight e) {
#pragma unroll
        for (float& v : e.v) v = scaled(v);
        const u32 low = four(e.v[0], e.v[1], e.v[2], e.v[3]), high = four(e.v[4], e.v[5], e.v[6], e.v[7]);
        *reinterpret_cast<u64*>(static_cast<u8*>(args.d) + m * args.d_stride + n) =
            low | static_cast<u64>(high) << 32;
    }
    __device__ void store_one(const GemmArgs& args, i64 m, i64 n, float value) {
        static_cast<u8*>(args.d)[m * args.d_stride + n] = static_cast<u8>(one(scaled(value)));
    }

    // Called by whole warps.
    __device__ void raise_amax(const GemmArgs& args) const {
        if (args.d_amax == nullptr) return;
        const u32 largest = __reduce_max_sync(~0u, amax);
        if (threadIdx.x % kWarpThreads == 0 && largest > *static_cast<volatile u32*>(args.d_amax))
            atomicMax(args.d_amax, largest);
    }
};

}  // namespace warpwright
