// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales, portable. Limited by memory: codes and numbers each move once, 16 bytes of
// numbers a thread at a time.
//
//   thread = some vectors of eight (fp32: four), a block's threads beside each other
//                  load all codes, the scale of each | decode, multiply in fp32, round | store
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

// A scale as it is stored. What it stands for is asked later, when all that a thread needs are under way.
__device__ inline u32 stored_scale(const DequantizeArgs& args, u32 row, u32 column) {
    const u32 group_row = row_of_vector(row, args.group_row_divisor);
    const u32 group_column = row_of_vector(column, args.group_column_divisor);
    const i64 at = args.swizzled
                       ? swizzled_offset(group_row, group_column, args.scale_columns)
                       : group_row * args.scale_row_stride + group_column * args.scale_column_stride;
    if (dtype_of(args.scale) == DType::f32) return static_cast<const u32*>(args.scales)[at];
    return static_cast<const u8*>(args.scales)[at];
}
__device__ inline float scale_of(const DequantizeArgs& args, u32 stored, float global) {
    if (dtype_of(args.scale) == DType::f32) return __uint_as_float(stored);
    if (args.scale == ScaleType::e4m3) return __fmul_rn(decode<CodeType::e4m3>(stored), global);
    if (stored == 0xff) return __uint_as_float(kNanFloat);
    return __uint_as_float(stored == 0 ? 0x400000u : stored << 23);  // 2^-127 is subnormal
}

__device__ inline float global_of(const DequantizeArgs& args) {
    return args.global_scale == nullptr ? 1.0f : *args.global_scale;
}

struct Place {
    u32 row, column;
    bool exists;
};

// What a thread stores at a time: neighbouring lanes' fill whole sectors.
constexpr int kStored = 16 / static_cast<int>(sizeof(T));

// Of the grid's i-th that many elements.
__device__ inline Place place_of(const DequantizeArgs& args, u32 i) {
    const u32 row_stores = static_cast<u32>(args.columns) / kStored;
    const u32 row = args.rows == 1 ? i >= row_stores
                                   : row_of_vector(i / (kVectorElements / kStored), args.column_divisor);
    return {row, (i - row * row_stores) * kStored, row < static_cast<u32>(args.rows)};
}

template <CodeType code>
__device__ inline u64 load_codes(const DequantizeArgs& args, const Place& place) {
    constexpr int kBytes = kStored * facts_of(code).bits / 8;
    const u8* from = static_cast<const u8*>(args.codes) + place.row * args.codes_stride +
                     place.column * facts_of(code).bits / 8;
    if constexpr (kBytes == 2) {
        return *reinterpret_cast<const u16*>(from);
    } else if constexpr (kBytes == 4) {
        return *reinterpret_cast<const u32*>(from);
    } else {
        return *reinterpret_cast<const u64*>(from);
    }
}

__device__ inline void store_numbers(float* to, const float (&v)[4]) {
    ptx::store(to,
               {__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3])});
}
template <class U>
__device__ inline void store_numbers(U* to, const float (&v)[8]) {
    ptx::store(to, {ptx::pack<U>(v[0], v[1]), ptx::pack<U>(v[2], v[3]), ptx::pack<U>(v[4], v[5]),
                    ptx::pack<U>(v[6], v[7])});
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
__device__ inline void dequantize_vectors(const DequantizeArgs& args) {
    constexpr int kVectors = (kRow.vectors > 0 ? kRow.vectors : 1) * kVectorElements / kStored;
    constexpr int kBits = facts_of(code).bits;
    const u32 first = blockIdx.x * (kRow.threads * kVectors) + threadIdx.x;
    Place places[kVectors];
    u64 codes[kVectors];
    u32 scales[kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        places[i] = place_of(args, first + i * kRow.threads);
        codes[i] = places[i].exists ? load_codes<code>(args, places[i]) : 0;
    }
#pragma unroll
    for (int i = 0; i < kVectors; ++i)
        scales[i] = places[i].exists ? stored_scale(args, places[i].row, places[i].column) : 0;
    const float global = global_of(args);
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        if (!places[i].exists) continue;
        const float scale = scale_of(args, scales[i], global);
        float v[kStored];
#pragma unroll
        for (int k = 0; k < kStored; ++k)
            v[k] = __fmul_rn(decode<code>(static_cast<u32>(codes[i] >> k * kBits)), scale);
        store_numbers(static_cast<T*>(args.out) + places[i].row * args.out_stride + places[i].column, v);
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
        const float scale =
            scale_of(args, stored_scale(args, static_cast<u32>(row), column), global_of(args));
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
