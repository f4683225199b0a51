// SPDX-License-Identifier: Apache-2.0
// What other operations make codes and scales with: of results that the threads of a block have in registers,
// 16 bits each, all of one row.
//
//   given scale     1 / scale
//   group = row     amax over the block | scale
//   group = lanes   amax over the lanes with its vectors | each lane computes the scale of another group
//   thread          times 1 / scale, round | store
#pragma once

#include "kernels/fused/quantize/codes.cuh"
#include "kernels/fused/quantize/group_magnitudes.cuh"
#include "kernels/fused/quantize/outputs.h"

namespace warpwright {

// A thread's vectors of a row: at columns first, first + step, ... There are none from `end` on.
struct RowPart {
    i64 row;
    i32 first, step, end;

    __device__ i32 column(int i) const { return first + i * step; }
    __device__ bool has(int i) const { return column(i) < end; }
};

// What swizzled scales have beyond the last row. The threads of a row share them.
__device__ inline void store_zero_scales(const QuantizeArgs& args, i64 row, int thread, int threads) {
    for (i32 column = thread; column < args.scale_columns; column += threads)
        store_scale(args, row, column, 0);
    if (thread == 0) store_padding(args, row);
}

// `magnitude`: fp32's bits, the same or not in all lanes of a warp.
__device__ inline void raise_amax(u32* amax, u32 magnitude) {
    magnitude = __reduce_max_sync(~0u, magnitude);
    if (threadIdx.x % kWarpThreads == 0 && magnitude > *static_cast<volatile u32*>(amax))
        atomicMax(amax, magnitude);
}

// Of `kShare` neighbouring lanes, which have the same groups, each takes another one's scale. Returns whether
// all of a warp's groups are regular.
template <int kShare, bool kConvert, int kVectors>
__device__ inline bool find_group_scales(const QuantizeArgs& args, const RowPart& part,
                                         const u32 (&magnitudes)[kVectors], float (&multipliers)[kVectors]) {
    const float global_reciprocal = reciprocal_of_global(args);
    const float usual = usual_reciprocal(global_reciprocal);
    bool regular = true;
    const int own = threadIdx.x % kShare;
    const u32 lane = threadIdx.x & ((args.group_columns / kVectorElements) - 1);  // of its group
#pragma unroll
    for (int begin = 0; begin < kVectors; begin += kShare) {
        u32 magnitude = magnitudes[begin];
#pragma unroll
        for (int i = 1; i < kShare; ++i) magnitude = own == i ? magnitudes[begin + i] : magnitude;
        GroupScale scale{};
        bool is_usual = kShare == 2 && args.scale == ScaleType::e4m3;
        if (is_usual) {
            scale = usual_e4m3_scale<kConvert>(args, magnitude, usual);
            is_usual = is_regular(args, magnitude, scale.multiplier);
        }
        if (!is_usual) scale = scale_of<kConvert>(args, magnitude, global_reciprocal);
        regular = regular && is_regular(args, magnitude, scale.multiplier);
        if (lane < kShare && part.has(begin + own)) {
            const i32 group = part.column(begin + own) >> args.group_shift;
            store_scale(args, part.row, group, scale.stored);
            if (args.swizzled && group + 1 == args.scale_columns) store_padding(args, part.row);
        }
#pragma unroll
        for (int i = 0; i < kShare; ++i) {
            const int from = static_cast<int>(threadIdx.x & (kWarpThreads - kShare)) + i;
            multipliers[begin + i] = __shfl_sync(~0u, scale.multiplier, from);
        }
    }
    return __all_sync(~0u, regular);
}

// Called by all threads of a block; vectors that there are not are zeros. `scratch` holds a word a warp.
template <class T, int kThreads, int kVectors, bool kConvert>
__device__ inline void store_quantized(const QuantizedArgs& out, const RowPart& part,
                                       const U32x4 (&kept)[kVectors], u32* scratch) {
    const QuantizeArgs& args = out.format;
    u32 pair = 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) pair = ptx::max_pair<T>(pair, larger_pair<T>(kept[i]));
    u32 magnitude = larger_of(pair);
    float multipliers[kVectors];
    bool regular;
    if (args.given_scale || args.scale_columns == 1) {
        float multiplier;
        if (args.given_scale) {
            multiplier = positive_reciprocal(static_cast<const float*>(args.scales));
        } else {
            magnitude = block_max<kThreads>(magnitude, scratch);
            const float amax = ptx::to_float(T{static_cast<u16>(magnitude)});
            const GroupScale scale =
                scale_of<kConvert>(args, __float_as_uint(amax), reciprocal_of_global(args));
            multiplier = scale.multiplier;
            if (threadIdx.x == 0) {
                store_scale(args, part.row, 0, scale.stored);
                if (args.swizzled) store_padding(args, part.row);
            }
        }
#pragma unroll
        for (int i = 0; i < kVectors; ++i) multipliers[i] = multiplier;
        const float largest = ptx::to_float(T{static_cast<u16>(magnitude)});
        regular = is_regular(args, __float_as_uint(largest), multiplier);
    } else {
        u32 magnitudes[kVectors];
        find_group_magnitudes<T>(args, kept, magnitudes);
        if (kVectors % 4 == 0 && args.group_columns >= 4 * kVectorElements) {
            constexpr int kShare = kVectors % 4 == 0 ? 4 : 2;
            regular = find_group_scales<kShare, kConvert>(args, part, magnitudes, multipliers);
        } else {
            regular = find_group_scales<2, kConvert>(args, part, magnitudes, multipliers);
        }
    }
    if (out.amax != nullptr)
        raise_amax(out.amax, __float_as_uint(ptx::to_float(T{static_cast<u16>(magnitude)})));
    with_code<T>(args, [&](auto tag) {
        constexpr CodeType kCode = decltype(tag)::kCode;
        u8* codes = static_cast<u8*>(args.codes) + part.row * args.codes_stride;
#pragma unroll
        for (int i = 0; i < kVectors; ++i) {
            if (!part.has(i)) continue;
            store_codes<T, kCode, kConvert, decltype(tag)::kMultipliers>(
                codes + code_bytes(kCode, part.column(i)), kept[i], multipliers[i], regular);
        }
    });
}

// A group of a row, element by element, by a warp: value(column) is asked for twice, and keep(column, value)
// stores the 16 bits if that is wanted.
template <class T, class Value, class Keep>
__device__ inline void quantize_elements(const QuantizedArgs& out, i64 row, i32 group, const Value& value,
                                         const Keep& keep) {
    const QuantizeArgs& args = out.format;
    const i32 begin = group * args.group_columns, lane = threadIdx.x % kWarpThreads;
    const i32 end = min(begin + args.group_columns, args.columns);
    u32 magnitude = 0;
    for (i32 column = begin + lane; column < end; column += kWarpThreads)
        magnitude = max(magnitude, value(column).bits & 0x7fffu);
    magnitude = __reduce_max_sync(~0u, magnitude);
    const float amax = ptx::to_float(T{static_cast<u16>(magnitude)});
    if (out.amax != nullptr) raise_amax(out.amax, __float_as_uint(amax));
    float multiplier;
    if (args.given_scale) {
        multiplier = positive_reciprocal(static_cast<const float*>(args.scales));
    } else {
        const GroupScale scale = scale_of(args, __float_as_uint(amax), reciprocal_of_global(args));
        multiplier = scale.multiplier;
        if (lane == 0) {
            store_scale(args, row, group, scale.stored);
            if (args.swizzled && group + 1 == args.scale_columns) store_padding(args, row);
        }
    }
    u8* codes = static_cast<u8*>(args.codes) + row * args.codes_stride;
    with_code<void>(args, [&](auto tag) {
        constexpr CodeType kCode = decltype(tag)::kCode;
        constexpr int kStep = 8 / facts_of(kCode).bits;  // elements of a byte
        for (i32 column = begin + lane * kStep; column < end; column += kWarpThreads * kStep) {
            u32 byte = 0;
#pragma unroll
            for (int i = 0; i < kStep; ++i) {
                const T x = value(column + i);
                byte |= encode<kCode>(__fmul_rn(ptx::to_float(x), multiplier)) << 4 * i;
                keep(column + i, x);
            }
            codes[column / kStep] = static_cast<u8>(byte);
        }
    });
}

}  // namespace warpwright
