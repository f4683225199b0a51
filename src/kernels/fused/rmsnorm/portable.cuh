// SPDX-License-Identifier: Apache-2.0
// RMSNorm + residual, portable. Limited by memory: x, residual in and out, y each move once, 16 bytes a
// thread.
//
//   block = one token          load x, residual | add, round, keep in registers | sum of squares | scale,
//   store
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

__device__ inline u32 scale_pair(u32 pair, u32 weight, float scale) {
    return ptx::pack<T>(ptx::low_float<T>(pair) * scale * ptx::low_float<T>(weight),
                        ptx::high_float<T>(pair) * scale * ptx::high_float<T>(weight));
}

// hidden is a multiple of 8 and everything is 16-byte aligned: one pass over memory, the token in registers.
__device__ inline void normalise_vectors(const RmsNormArgs& args, i64 token, float* scratch) {
    const T* x = static_cast<const T*>(args.x) + token * args.x_stride;
    T* residual = static_cast<T*>(args.residual) + token * args.residual_stride;
    T* out = static_cast<T*>(args.out) + token * args.out_stride;
    const T* weight = static_cast<const T*>(args.weight);

    U32x4 kept[kRow.vectors > 0 ? kRow.vectors : 1];
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        const int column = (i * kRow.threads + threadIdx.x) * 8;
        if (column >= args.hidden) break;
        kept[i] = ptx::load(x + column);
        if (args.residual != nullptr) {
            kept[i] = add_pairs(kept[i], ptx::load(residual + column));
            ptx::store(residual + column, kept[i]);
        }
        sum += squares(kept[i].x) + squares(kept[i].y) + squares(kept[i].z) + squares(kept[i].w);
    }
    const float scale = rsqrtf(block_sum<kRow.threads>(sum, scratch) / args.hidden + args.epsilon);
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        const int column = (i * kRow.threads + threadIdx.x) * 8;
        if (column >= args.hidden) break;
        const U32x4 w = ptx::load(weight + column);
        const U32x4 v = kept[i];
        ptx::store(out + column, {scale_pair(v.x, w.x, scale), scale_pair(v.y, w.y, scale),
                                  scale_pair(v.z, w.z, scale), scale_pair(v.w, w.w, scale)});
    }
}

// No demands: element by element, the token is read twice.
__device__ inline void normalise_elements(const RmsNormArgs& args, i64 token, float* scratch) {
    const T* x = static_cast<const T*>(args.x) + token * args.x_stride;
    T* residual = static_cast<T*>(args.residual) + token * args.residual_stride;
    T* out = static_cast<T*>(args.out) + token * args.out_stride;
    const T* weight = static_cast<const T*>(args.weight);
    const bool has_residual = args.residual != nullptr;

    float sum = 0;
    for (int column = threadIdx.x; column < args.hidden; column += kRow.threads) {
        float value = ptx::to_float(x[column]);
        if (has_residual) {
            residual[column] = ptx::from_float<T>(value + ptx::to_float(residual[column]));
            value = ptx::to_float(residual[column]);
        }
        sum += value * value;
    }
    const float scale = rsqrtf(block_sum<kRow.threads>(sum, scratch) / args.hidden + args.epsilon);
    for (int column = threadIdx.x; column < args.hidden; column += kRow.threads) {
        const float value = ptx::to_float(has_residual ? residual[column] : x[column]);
        out[column] = ptx::from_float<T>(value * scale * ptx::to_float(weight[column]));
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::RmsNormArgs args) {
    using namespace warpwright;
    __shared__ float scratch[kRow.threads / kWarpThreads];
    ptx::wait_for_predecessor();
    if constexpr (kRow.vectors > 0) {
        normalise_vectors(args, blockIdx.x, scratch);
    } else {
        normalise_elements(args, blockIdx.x, scratch);
    }
    ptx::release_successor();
}
