// SPDX-License-Identifier: Apache-2.0
// RMSNorm + residual, portable. Limited by memory: x, residual in and out, y each move once, 16 bytes a
// thread.
//
//   row = a token, or a head of one    load x, residual | add, round, keep in registers | sum of squares |
//                                      scale, store
//   block = one row; or one row for each group of lanes of its warps, where rows are short
//
// The sum is rounded to the storage type before it is normalised, as the residual stream is stored that way.
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

// hidden is a multiple of 8 and everything is 16-byte aligned: one pass over memory, the row in registers.
__device__ inline void normalise_vectors(const RmsNormArgs& args, float* scratch) {
    const Row row(args);

    U32x4 kept[kRow.vectors > 0 ? kRow.vectors : 1];
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        const int column = (i * threads_per_row(kRow) + row.thread) * 8;
        if (column >= row.hidden) break;
        kept[i] = ptx::load(row.x + column);
        if (args.residual != nullptr) {
            kept[i] = add_pairs(kept[i], ptx::load(row.residual + column));
            ptx::store(row.residual + column, kept[i]);
        }
        sum += squares(kept[i].x) + squares(kept[i].y) + squares(kept[i].z) + squares(kept[i].w);
    }
    const float scale = rsqrtf(row_sum(sum, scratch) / args.hidden + args.epsilon);
    const float offset = args.weight_offset;
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        const int column = (i * threads_per_row(kRow) + row.thread) * 8;
        if (column >= row.hidden) break;
        const U32x4 w = ptx::load(row.weight + column);
        const U32x4 v = kept[i];
        ptx::store(row.out + column,
                   {scale_pair(v.x, w.x, offset, scale), scale_pair(v.y, w.y, offset, scale),
                    scale_pair(v.z, w.z, offset, scale), scale_pair(v.w, w.w, offset, scale)});
    }
}

// No demands: element by element, the row is read twice.
__device__ inline void normalise_elements(const RmsNormArgs& args, float* scratch) {
    const Row row(args);
    const bool has_residual = args.residual != nullptr;

    float sum = 0;
    for (int column = row.thread; column < row.hidden; column += threads_per_row(kRow)) {
        float value = ptx::to_float(row.x[column]);
        if (has_residual) {
            row.residual[column] = ptx::from_float<T>(value + ptx::to_float(row.residual[column]));
            value = ptx::to_float(row.residual[column]);
        }
        sum += value * value;
    }
    const float scale = rsqrtf(row_sum(sum, scratch) / args.hidden + args.epsilon);
    for (int column = row.thread; column < row.hidden; column += threads_per_row(kRow)) {
        const float value = ptx::to_float(has_residual ? row.residual[column] : row.x[column]);
        const float weight = ptx::to_float(row.weight[column]) + args.weight_offset;
        row.out[column] = ptx::from_float<T>(value * scale * weight);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::RmsNormArgs args) {
    using namespace warpwright;
    __shared__ float scratch[kRow.threads / kWarpThreads];
    ptx::wait_for_predecessor();
    if constexpr (kRow.vectors > 0) {
        normalise_vectors(args, scratch);
    } else {
        normalise_elements(args, scratch);
    }
    ptx::release_successor();
}
