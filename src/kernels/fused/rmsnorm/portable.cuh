// SPDX-License-Identifier: Apache-2.0
// RMSNorm + residual, portable. Limited by memory: x, residual in and out, y each move once, 16 bytes a
// thread.
//
//   row = a token, or a head of one    load x, residual | add, round, keep in registers | sum of squares |
//                                      scale, store
//   block = one row; or one row for each group of lanes of its warps, where rows are short
//
// The sum is rounded to the storage type before it is normalised, as the residual stream is stored that way.
#include "kernels/fused/rmsnorm/row.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

// One pass over memory, the row in registers.
__device__ inline void normalise_vectors(const RmsNormArgs& args, float* scratch) {
    const Row row(args);
    const Kept kept = load_row(args, row, scratch);
#pragma unroll
    for (int i = 0; i < kRow.vectors; ++i) {
        const int column = column_of(row, i);
        if (column >= row.hidden) break;
        ptx::store(row.out + column, scaled(args, row, kept.v[i], kept.scale, column));
    }
}

// No demands: element by element, the row is read twice, or for LayerNorm three times.
__device__ inline void normalise_elements(const RmsNormArgs& args, float* scratch) {
    const Row row(args);
    const auto scale = [&] {
        if constexpr (kRow.bias) {
            return element_spread(args, row, scratch);
        } else {
            return element_scale(args, row, scratch);
        }
    }();
    for (int column = row.thread; column < row.hidden; column += threads_per_row(kRow))
        row.out[column] = element(args, row, scale, column);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::RmsNormArgs args) {
    using namespace warpwright;
    __shared__ float scratch[kRow.threads / kWarpThreads];
    ptx::release_successor();
    prefetch(args);
    ptx::wait_for_predecessor();
    if constexpr (kRow.vectors > 0) {
        normalise_vectors(args, scratch);
    } else {
        normalise_elements(args, scratch);
    }
}
