// SPDX-License-Identifier: Apache-2.0
// What the kernels of RMSNorm share: whose row a thread works at, and a row in registers.
#pragma once

#include "kernels/fused/rmsnorm/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr RmsNormRow kRow = row_at(kRmsNormRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

__device__ inline U32x4 add_pairs(U32x4 a, U32x4 b) {
    const auto add = [](u32 p, u32 q) {
        return ptx::pack<T>(ptx::low_float<T>(p) + ptx::low_float<T>(q),
                            ptx::high_float<T>(p) + ptx::high_float<T>(q));
    };
    return {add(a.x, b.x), add(a.y, b.y), add(a.z, b.z), add(a.w, b.w)};
}

__device__ inline float squares(u32 pair) {
    const float low = ptx::low_float<T>(pair), high = ptx::high_float<T>(pair);
    return low * low + high * high;
}

__device__ inline u32 scale_pair(u32 pair, u32 weight, float offset, float scale) {
    return ptx::pack<T>(ptx::low_float<T>(pair) * scale * (ptx::low_float<T>(weight) + offset),
                        ptx::high_float<T>(pair) * scale * (ptx::high_float<T>(weight) + offset));
}

// This thread's row and its place among the threads that share it. A group past the last row has no elements.
struct Row {
    const T* x;
    T* residual;
    T* out;
    const T* weight;
    int hidden;
    int thread;

    __device__ explicit Row(const RmsNormArgs& args) : weight(static_cast<const T*>(args.weight)) {
        i64 index = blockIdx.x;
        hidden = args.hidden;
        thread = threadIdx.x;
        if constexpr (kRow.lanes > 0) {
            index = index * rows_per_block(kRow) + threadIdx.x / threads_per_row(kRow);
            thread = threadIdx.x % threads_per_row(kRow);
            if (index >= i64{args.tokens} * args.heads) hidden = 0;
        }
        i64 token = index, head = 0;
        if (args.heads > 1) {  // there are fewer than 2^31 rows
            token = static_cast<u32>(index) / static_cast<u32>(args.heads);
            head = index - token * args.heads;
        }
        x = static_cast<const T*>(args.x) + token * args.x_stride + head * args.x_head_stride;
        residual = static_cast<T*>(args.residual) + token * args.residual_stride;
        out = static_cast<T*>(args.out) + token * args.out_stride + head * args.out_head_stride;
    }
};

__device__ inline float row_sum(float value, float* scratch) {
    if constexpr (kRow.lanes > 0) {
        return lanes_sum<kRow.lanes>(value);
    } else {
        return block_sum<kRow.threads>(value, scratch);
    }
}

// The row in registers, with what is added to it: hidden is a multiple of 8 and everything is 16-byte
// aligned.
constexpr int kVectors = kRow.vectors > 0 ? kRow.vectors : 2;

struct Kept {
    U32x4 v[kVectors];
    float scale;  // 1 / sqrt(mean of squares + epsilon)
};

__device__ inline int column_of(const Row& row, int vector) {
    return (vector * threads_per_row(kRow) + row.thread) * 8;
}

// What has left the L2 since it was last used, and the predecessor seldom makes: asked for before the wait,
// by the blocks that may be there by then.
__device__ inline void prefetch(const RmsNormArgs& args) {
    constexpr int kFirstBlocks = 128;
    if (blockIdx.x >= kFirstBlocks) return;
    const Row row(args);
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        const int column = column_of(row, i);
        if (column >= row.hidden) break;
        ptx::prefetch_l2(row.weight + column);
        if (args.residual != nullptr) ptx::prefetch_l2(row.residual + column);
    }
}

__device__ inline Kept load_row(const RmsNormArgs& args, const Row& row, float* scratch) {
    Kept kept;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        const int column = column_of(row, i);
        if (column >= row.hidden) break;
        kept.v[i] = ptx::load(row.x + column);
        if (args.residual != nullptr) {
            kept.v[i] = add_pairs(kept.v[i], ptx::load(row.residual + column));
            ptx::store(row.residual + column, kept.v[i]);
        }
        sum += squares(kept.v[i].x) + squares(kept.v[i].y) + squares(kept.v[i].z) + squares(kept.v[i].w);
    }
    kept.scale = rsqrtf(row_sum(sum, scratch) / args.hidden + args.epsilon);
    return kept;
}

__device__ inline U32x4 scaled(const RmsNormArgs& args, const Row& row, U32x4 v, float scale, int column) {
    const U32x4 w = ptx::load(row.weight + column);
    const float offset = args.weight_offset;
    return {scale_pair(v.x, w.x, offset, scale), scale_pair(v.y, w.y, offset, scale),
            scale_pair(v.z, w.z, offset, scale), scale_pair(v.w, w.w, offset, scale)};
}

// Element by element: the first of two times that the row is read.
__device__ inline float element_scale(const RmsNormArgs& args, const Row& row, float* scratch) {
    float sum = 0;
    for (int column = row.thread; column < row.hidden; column += threads_per_row(kRow)) {
        float value = ptx::to_float(row.x[column]);
        if (args.residual != nullptr) {
            row.residual[column] = ptx::from_float<T>(value + ptx::to_float(row.residual[column]));
            value = ptx::to_float(row.residual[column]);
        }
        sum += value * value;
    }
    return rsqrtf(row_sum(sum, scratch) / args.hidden + args.epsilon);
}

// Element by element: the mean, and 1 / sqrt(variance + epsilon), of a row that is read three times.
struct Spread {
    float mean, scale;
};

__device__ inline Spread element_spread(const RmsNormArgs& args, const Row& row, float* scratch) {
    float sum = 0, squares_of_rest = 0;
    for (int column = row.thread; column < row.hidden; column += threads_per_row(kRow))
        sum += ptx::to_float(row.x[column]);
    const float mean = row_sum(sum, scratch) / args.hidden;
    for (int column = row.thread; column < row.hidden; column += threads_per_row(kRow)) {
        const float rest = ptx::to_float(row.x[column]) - mean;
        squares_of_rest += rest * rest;
    }
    return {mean, rsqrtf(row_sum(squares_of_rest, scratch) / args.hidden + args.epsilon)};
}

__device__ inline T element(const RmsNormArgs& args, const Row& row, Spread spread, int column) {
    const float weight = ptx::to_float(row.weight[column]) + args.weight_offset;
    const float bias = ptx::to_float(static_cast<const T*>(args.bias)[column]);
    return ptx::from_float<T>((ptx::to_float(row.x[column]) - spread.mean) * spread.scale * weight + bias);
}

__device__ inline T element(const RmsNormArgs& args, const Row& row, float scale, int column) {
    const float value = ptx::to_float(args.residual != nullptr ? row.residual[column] : row.x[column]);
    const float weight = ptx::to_float(row.weight[column]) + args.weight_offset;
    return ptx::from_float<T>(value * scale * weight);
}

}  // namespace warpwright
