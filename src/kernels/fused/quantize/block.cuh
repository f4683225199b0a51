// SPDX-License-Identifier: Apache-2.0
// Quantisation in large groups: a row (token), or 128 x 128. Limited by memory: x is read once, 16 bytes a
// thread at a time.
//
//   block = a group, kept in registers    load | amax over the block | scale | times 1 / scale, round | store
//
// The last groups of rows and columns may be smaller.
#include "kernels/fused/quantize/codes.cuh"
#include "kernels/fused/quantize/rows.h"
#include "ptx/launch.cuh"

namespace warpwright {

constexpr QuantizeRow kRow = row_at(kQuantizeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

// 1024 threads an SM at least, so 64 registers at most: with more the memory waits for warps.
constexpr int kMinBlocks = 1024 / kRow.threads;

// This block's group, and this thread's vectors in it: a step apart, in the same row or in the same columns.
struct Group {
    u32 row, column;              // among groups
    i32 first_row, first_column;  // of this thread's first vector
    i32 last_row, last_column;    // of the group
    i32 row_step, column_step;

    __device__ explicit Group(const QuantizeArgs& args) {
        const u32 groups = args.scale_columns;
        row = blockIdx.x / groups;
        column = blockIdx.x - row * groups;
        const i32 top = row * args.group_rows, left = column * args.group_columns;
        last_row = min(top + args.group_rows, args.rows);
        last_column = min(left + args.group_columns, args.columns);
        const i32 thread = threadIdx.x;
        const i32 shift = args.group_rows == 1 ? 31 : args.group_shift - 3;  // of a row's vectors
        const i32 down = thread >> shift;
        first_row = top + down;
        first_column = left + (thread - (down << shift)) * kVectorElements;
        row_step = kRow.threads >> shift;
        column_step = args.group_rows == 1 ? kRow.threads * kVectorElements : 0;
    }
    __device__ bool has(int i) const {
        return first_row + i * row_step < last_row && first_column + i * column_step < last_column;
    }
    // Of the thread's first vector and from one to the next, where rows are `stride` apart.
    __device__ i64 first(i64 stride) const { return first_row * stride + first_column; }
    __device__ i64 step(i64 stride) const { return row_step * stride + column_step; }
};

// A group with a NaN has a scale that is NaN, and no other codes.
template <CodeType code>
__device__ inline void store_nan(void* to) {
    const u32 word =
        encode<code>(__uint_as_float(kNanFloat)) * (code == CodeType::e2m1 ? 0x11111111u : 0x01010101u);
    if constexpr (code == CodeType::e2m1) {
        *static_cast<u32*>(to) = word;
    } else {
        *static_cast<u64*>(to) = word | static_cast<u64>(word) << 32;
    }
}

// As store_codes, of an amax that may be infinite: for a whole row less code is faster than fewer steps a
// number.
__device__ inline void store_i8(void* to, U32x4 v, float multiplier) {
    const auto low = [&](u32 pair) { return __fmul_rn(ptx::low_float<T>(pair), multiplier); };
    const auto high = [&](u32 pair) { return __fmul_rn(ptx::high_float<T>(pair), multiplier); };
    const u32 first = encode_four_i8(low(v.x), high(v.x), low(v.y), high(v.y));
    const u32 second = encode_four_i8(low(v.z), high(v.z), low(v.w), high(v.w));
    *static_cast<u64*>(to) = first | static_cast<u64>(second) << 32;
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads, warpwright::kMinBlocks)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizeArgs args) {
    using namespace warpwright;
    __shared__ u32 scratch[kRow.threads / kWarpThreads];
    ptx::wait_for_predecessor();
    const Group group(args);
    U32x4 kept[kRow.vectors];
    const T* x = static_cast<const T*>(args.x) + group.first(args.x_stride);
    const i64 x_step = group.step(args.x_stride);
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        kept[i] = {};
        if (group.has(i)) kept[i] = ptx::load(x);
        x += x_step;
    }
    u32 pair = 0;
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) pair = ptx::max_pair<T>(pair, larger_pair<T>(kept[i]));
    const u32 magnitude = block_max<kRow.threads>(larger_of(pair), scratch);
    const u32 amax = __float_as_uint(ptx::to_float(T{static_cast<u16>(magnitude)}));
    const GroupScale scale = scale_of<kRow.fp8_convert>(args, amax, reciprocal_of_global(args));
    if (threadIdx.x == 0) store_scale(args, group.row, group.column, scale.stored);
    const bool regular = amax <= kInfinityFloat && __float_as_uint(scale.multiplier) < kInfinityFloat;
    with_code<T>(args, [&](auto tag) {
        constexpr CodeType kCode = decltype(tag)::kCode;
        constexpr bool kArePowers = decltype(tag)::kMultipliers == Multipliers::powers_of_two;
        u8* codes = static_cast<u8*>(args.codes) + group.first_row * args.codes_stride +
                    code_bytes(kCode, group.first_column);
        const i64 step = group.row_step * args.codes_stride + code_bytes(kCode, group.column_step);
#pragma unroll
        for (int i = 0; i < kRow.vectors; ++i, codes += step) {
            if (!group.has(i)) continue;
            if (!regular) {
                store_nan<kCode>(codes);
            } else if constexpr (kCode == CodeType::i8) {
                store_i8(codes, kept[i], scale.multiplier);
            } else {
                store_codes<T, kCode, kRow.fp8_convert,
                            kArePowers ? Multipliers::powers_of_two : Multipliers::any>(
                    codes, kept[i], scale.multiplier, true);
            }
        }
    });
    ptx::release_successor();
}
