// SPDX-License-Identifier: Apache-2.0
// Attention merge, portable: a warp reads the log-sum-exps of one (token, head), then the outputs of the
// splits that saw a key, 16 bytes a lane. Limited by memory and, for few rows, by latency.
#include "kernels/attention/merge/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/math.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr AttentionMergeRow kRow = row_at(kAttentionMergeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
constexpr int kBatch = 8;  // splits whose outputs are read at once

__device__ inline void merge(const AttentionMergeArgs& args) {
    const float infinity = __int_as_float(0x7f800000);
    const i64 row = i64{blockIdx.x} * (kRow.threads / kWarpThreads) + threadIdx.x / kWarpThreads;
    const i64 num_rows = i64{args.q_tokens} * args.heads;
    const i64 begin = i64{args.q_starts[0]} * args.heads,
              end = i64{args.q_starts[args.sequences]} * args.heads;
    if (row < begin || row >= end || row >= num_rows) return;
    const int lane = threadIdx.x % kWarpThreads;

    // Lane l looks after splits l, l + 32, ...
    const float* partial_lse = args.partial_lse + row;
    float max = -infinity;
    for (int split = lane; split < args.splits; split += kWarpThreads) {
        max = fmaxf(max, partial_lse[split * num_rows]);
    }
    max = warp_max(max);
    const auto weight_of = [&](int split) {
        const float lse = split < args.splits ? partial_lse[split * num_rows] : -infinity;
        return lse == -infinity ? 0 : ptx::exp2_approx(lse - max);
    };
    float sum = 0;
    for (int split = lane; split < args.splits; split += kWarpThreads) sum += weight_of(split);
    sum = warp_sum(sum);
    const float scale = sum == 0 ? 0 : 1 / sum;

    const i64 token = row / args.heads, head = row % args.heads;
    T* out = static_cast<T*>(args.out) + token * args.out_token_stride + head * args.out_head_stride;
    for (int first_column = 0; first_column < args.partial_dim; first_column += kWarpThreads * 4) {
        const int column = first_column + lane * 4;
        const float* partial_out = args.partial_out + row * args.partial_dim + column;
        float4 total = {0, 0, 0, 0};
        for (int first = 0; first < args.splits; first += kWarpThreads) {
            const float my_weight = weight_of(first + lane);
            for (int batch = 0; batch < kWarpThreads && first + batch < args.splits; batch += kBatch) {
                float weight[kBatch];
                float4 part[kBatch];
                // All loads of a batch are under way together. A split of weight 0 may not have written.
#pragma unroll
                for (int i = 0; i < kBatch; ++i) {
                    weight[i] = __shfl_sync(~0u, my_weight, batch + i);
                    part[i] = {0, 0, 0, 0};
                    if (weight[i] != 0 && column < args.partial_dim) {
                        part[i] = *reinterpret_cast<const float4*>(
                            partial_out + (first + batch + i) * num_rows * args.partial_dim);
                    }
                }
#pragma unroll
                for (int i = 0; i < kBatch; ++i) {
                    total.x += weight[i] * part[i].x;
                    total.y += weight[i] * part[i].y;
                    total.z += weight[i] * part[i].z;
                    total.w += weight[i] * part[i].w;
                }
            }
        }
        const float values[4] = {total.x * scale, total.y * scale, total.z * scale, total.w * scale};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (column + i < args.head_dim) out[column + i] = ptx::from_float<T>(values[i]);
        }
    }
    if (args.lse != nullptr && lane == 0) {
        args.lse[token * args.lse_token_stride + head] = sum == 0 ? -infinity : max + log2f(sum);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads, 1)
    WW_ENTRY(const __grid_constant__ warpwright::AttentionMergeArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    merge(args);
    ptx::release_successor();
}
