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

__device__ inline void merge(const AttentionMergeArgs& args) {
    const float infinity = __int_as_float(0x7f800000);
    const i64 row = i64{blockIdx.x} * (kRow.threads / kWarpThreads) + threadIdx.x / kWarpThreads;
    const i64 num_rows = i64{args.q_tokens} * args.heads;
    if (row >= i64{args.q_starts[args.sequences]} * args.heads || row >= num_rows) return;
    const int lane = threadIdx.x % kWarpThreads;

    float max = -infinity;
    for (int split = lane; split < args.splits; split += kWarpThreads) {
        max = fmaxf(max, args.partial_lse[split * num_rows + row]);
    }
    max = warp_max(max);
    float sum = 0;
    for (int split = lane; split < args.splits; split += kWarpThreads) {
        const float lse = args.partial_lse[split * num_rows + row];
        sum += lse == -infinity ? 0 : ptx::exp2_approx(lse - max);
    }
    sum = warp_sum(sum);
    const float scale = sum == 0 ? 0 : 1 / sum;

    const i64 token = row / args.heads, head = row % args.heads;
    T* out = static_cast<T*>(args.out) + token * args.out_token_stride + head * args.out_head_stride;
    for (int column = lane * 4; column < args.partial_dim; column += kWarpThreads * 4) {
        float4 total = {0, 0, 0, 0};
#pragma unroll 4
        for (int split = 0; split < args.splits; ++split) {
            const i64 index = split * num_rows + row;
            const float lse = args.partial_lse[index];
            if (lse == -infinity) continue;  // such a split has not written its output
            const float weight = ptx::exp2_approx(lse - max) * scale;
            const float4 part =
                *reinterpret_cast<const float4*>(args.partial_out + index * args.partial_dim + column);
            total.x += weight * part.x;
            total.y += weight * part.y;
            total.z += weight * part.z;
            total.w += weight * part.w;
        }
        const float values[4] = {total.x, total.y, total.z, total.w};
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

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::AttentionMergeArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    merge(args);
    ptx::release_successor();
}
