// SPDX-License-Identifier: Apache-2.0
// Delayed scaling, portable. Limited by latency: the history is some KiB.
//
//   block = 32 tensors    warps take rows of the history in turn: load the next ones | all have | store one
//   up lane  = a tensor      largest of its column, over the warps | scale
//
// Rows move up in place: a step stores rows only that it has loaded, or a step before it.
#include "kernels/fused/scaling/rows.h"
#include "ptx/launch.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr ScalingRow kRow = row_at(kScalingRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kWarps = kRow.threads / kWarpThreads;
constexpr int kStep = kWarps * kRow.rows;

// NaN's bits are above all numbers', and magnitudes are not negative.
__device__ inline u32 bits_of(float magnitude) {
    return __float_as_uint(magnitude) & 0x7fffffffu;
}

// All of a column's magnitudes, the largest one. `newest`: of row 0, which becomes the last one.
__device__ inline u32 move_up(const ScalingArgs& args, float* column, bool exists, float newest) {
    const int warp = threadIdx.x / kWarpThreads;
    u32 largest = 0;
    for (int begin = 0; begin < args.length; begin += kStep) {
        float next[kRow.rows];
#pragma unroll
        for (int i = 0; i < kRow.rows; ++i) {
            const int row = begin + i * kWarps + warp;
            next[i] = newest;
            if (exists && row + 1 < args.length) next[i] = column[(row + 1) * args.history_stride];
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < kRow.rows; ++i) {
            const int row = begin + i * kWarps + warp;
            if (!exists || row >= args.length) continue;
            largest = max(largest, bits_of(next[i]));
            column[row * args.history_stride] = row == 0 ? 0 : next[i];
        }
    }
    return largest;
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::ScalingArgs args) {
    using namespace warpwright;
    __shared__ u32 largest_of[kWarps][kWarpThreads];
    ptx::wait_for_predecessor();
    const int lane = threadIdx.x % kWarpThreads, warp = threadIdx.x / kWarpThreads;
    const int tensor = static_cast<int>(blockIdx.x) * kWarpThreads + lane;
    const bool exists = tensor < args.tensors;
    float* const column = args.history + tensor;
    const float newest = exists ? *column : 0;
    largest_of[warp][lane] = move_up(args, column, exists, newest);
    __syncthreads();
    if (warp == 0 && exists) {
        u32 amax = bits_of(newest);
        if (args.largest_of_all) {
#pragma unroll
            for (int i = 0; i < kWarps; ++i) amax = max(amax, largest_of[i][lane]);
        }
        constexpr u32 kInfinity = 0x7f800000u, kLargest = 0x7f7fffffu;
        float scale = args.scale[tensor];
        if (amax > 0 && amax < kInfinity)
            scale = fminf(__fdiv_rn(args.scaled_max, __uint_as_float(amax)), __uint_as_float(kLargest));
        args.scale[tensor] = scale;
        args.scale_inv[tensor] = __frcp_rn(scale);
    }
    ptx::release_successor();
}
