// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales, portable. Limited by memory: codes and numbers each move once, 16 bytes of
// numbers (32 of fp32) a thread at a time.
//
//   thread = some vectors of eight, a block's threads beside each other
//                  load all codes | the scale of each | decode, multiply in fp32, round | store
//
// Vectors are counted through all rows. Without alignment a block is a stretch of a row, and a thread has a
// byte of codes: one number, or two.
#include "kernels/fused/dequantize/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/magnitude.cuh"

namespace warpwright {

constexpr DequantizeRow kRow = row_at(kDequantizeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.out>;
constexpr u32 kNanFloat = 0x7fffffffu;

// The code in the low bits; what is above them is not looked at.
template <CodeType code>
__device__ inline float decode(u32 bits) {
    if constexpr (code == CodeType::i8) {
        return static_cast<float>(static_cast<i32>(bits << 24) >> 24);
    } else if constexpr (code == CodeType::e5m2) {  // the upper byte of binary16
        return ptx::to_float(Half{static_cast<u16>(bits << 8)});
    } else {
        // Its bits at fp32's place, with the difference of the biases made up for.
        constexpr CodeTypeFacts kFacts = facts_of(code);
        constexpr u32 kMagnitude = (1u << (kFacts.bits - 1)) - 1;
        constexpr float kBias = code == CodeType::e4m3 ? 0x1p120f : 0x1p126f;
        const u32 magnitude = bits & kMagnitude;
        if (code == CodeType::e4m3 && magnitude == kMagnitude) return __uint_as_float(kNanFloat);
        const u32 sign = bits << (32 - kFacts.bits) & 0x80000000u;
        return __fmul_rn(__uint_as_float(sign | magnitude << (23 - kFacts.mantissa_bits)), kBias);
    }
}

__device__ inline float scale_at(const DequantizeArgs& args, u32 row, u32 column, float global) {
    const u32 group_row = row_of_vector(row, args.group_row_divisor);
    const u32 group_column = row_of_vector(column, args.group_column_divisor);
    const i64 at = args.swizzled
                       ? swizzled_offset(group_row, group_column, args.scale_columns)
                       : group_row * args.scale_row_stride + group_column * args.scale_column_stride;
    if (dtype_of(args.scale) == DType::f32) return static_cast<const float*>(args.scales)[at];
    const u32 code = static_cast<const u8*>(args.scales)[at];
    if (args.scale == ScaleType::e4m3) return __fmul_rn(decode<CodeType::e4m3>(code), global);
    if (code == 0xff) return __uint_as_float(kNanFloat);
    return __uint_as_float(code == 0 ? 0x400000u : code << 23);  // 2^-127 is subnormal
}

__device__ inline float global_of(const DequantizeArgs& args) {
    return args.global_scale == nullptr ? 1.0f : *args.global_scale;
}

struct Place {
    u32 row, column;
    bool exists;
};

__device__ inline Place place_of(const DequantizeArgs& args, u32 vector) {
    const u32 row_vectors = static_cast<u32>(args.columns) / kVectorElements;
    const u32 row = args.rows == 1 ? vector >= row_vectors : row_of_vector(vector, args.column_divisor);
    return {row, (vector - row * row_vectors) * kVectorElements, row < static_cast<u32>(args.rows)};
}

template <CodeType code>
__device__ inline u64 load_codes(const DequantizeArgs& args, const Place& place) {
    const u8* from = static_cast<const u8*>(args.codes) + place.row * args.codes_stride;
    if constexpr (code == CodeType::e2m1) {
        return *reinterpret_cast<const u32*>(from + place.column / 2);
    } else {
        return *reinterpret_cast<const u64*>(from + place.column);
    }
}

template <class U>
__device__ inline void store_eight(U* to, const float (&v)[kVectorElements]) {
    if constexpr (sizeof(U) == 4) {
        ptx::store(
            to, {__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3])});
        ptx::store(to + 4, {__float_as_uint(v[4]), __float_as_uint(v[5]), __float_as_uint(v[6]),
                            __float_as_uint(v[7])});
    } else {
        ptx::store(to, {ptx::pack<U>(v[0], v[1]), ptx::pack<U>(v[2], v[3]), ptx::pack<U>(v[4], v[5]),
                        ptx::pack<U>(v[6], v[7])});
    }
}
template <class U>
__device__ inline void store_one(U* to, float value) {
    if constexpr (sizeof(U) == 4) {
        *to = value;
    } else {
        *to = ptx::from_float<U>(value);
    }
}

template <CodeType code>
__device__ inline void store_numbers(const DequantizeArgs& args, const Place& place, u64 codes, float scale) {
    constexpr int kBits = facts_of(code).bits;
    float v[kVectorElements];
#pragma unroll
    for (int i = 0; i < kVectorElements; ++i)
        v[i] = __fmul_rn(decode<code>(static_cast<u32>(codes >> i * kBits)), scale);
    store_eight(static_cast<T*>(args.out) + place.row * args.out_stride + place.column, v);
}

template <CodeType code>
__device__ inline void dequantize_vectors(const DequantizeArgs& args) {
    constexpr int kVectors = kRow.vectors > 0 ? kRow.vectors : 1;
    const u32 first = blockIdx.x * (kRow.threads * kVectors) + threadIdx.x;
    Place places[kVectors];
    u64 codes[kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        places[i] = place_of(args, first + i * kRow.threads);
        codes[i] = places[i].exists ? load_codes<code>(args, places[i]) : 0;
    }
    const float global = global_of(args);
    float scales[kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i)
        scales[i] = places[i].exists ? scale_at(args, places[i].row, places[i].column, global) : 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        if (places[i].exists) store_numbers<code>(args, places[i], codes[i], scales[i]);
    }
}

template <CodeType code>
__device__ inline void dequantize_byte(const DequantizeArgs& args) {
    constexpr int kBits = facts_of(code).bits, kStep = 8 / kBits;
    const u32 first = (blockIdx.y * kRow.threads + threadIdx.x) * kStep;
    if (first >= static_cast<u32>(args.columns)) return;
    const i64 row = blockIdx.x;
    const u32 byte = static_cast<const u8*>(args.codes)[row * args.codes_stride + first / kStep];
#pragma unroll
    for (int i = 0; i < kStep; ++i) {
        const u32 column = first + i;
        const float scale = scale_at(args, static_cast<u32>(row), column, global_of(args));
        const float value = __fmul_rn(decode<code>(byte >> i * kBits), scale);
        store_one(static_cast<T*>(args.out) + row * args.out_stride + column, value);
    }
}

template <CodeType code>
__device__ inline void dequantize(const DequantizeArgs& args) {
    if constexpr (kRow.vectors > 0) {
        dequantize_vectors<code>(args);
    } else {
        dequantize_byte<code>(args);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::DequantizeArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    switch (args.code) {
        case CodeType::e4m3: dequantize<CodeType::e4m3>(args); break;
        case CodeType::e5m2: dequantize<CodeType::e5m2>(args); break;
        case CodeType::i8: dequantize<CodeType::i8>(args); break;
        case CodeType::e2m1: dequantize<CodeType::e2m1>(args); break;
    }
    ptx::release_successor();
}
