// SPDX-License-Identifier: Apache-2.0
// Attention merge, portable: row_warps warps read the outputs of the splits of one (token, head), 16 bytes a
// lane, and their log-sum-exps beside them; what they have summed is added up in shared memory, in warp
// order. Limited by memory and, for few rows, by latency.
#include "kernels/attention/finish.cuh"
#include "kernels/attention/merge/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/math.cuh"
#include "ptx/memory.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr AttentionMergeRow kRow = row_at(kAttentionMergeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
constexpr int kBatch = kMergeBatch, kRowsPerBlock = rows_per_block(kRow), kColumns = kMergeColumns;

struct MergeShared {
    float4 total[kRowsPerBlock][kRow.row_warps][kWarpThreads];
    float sum[kRowsPerBlock][kRow.row_warps];
};

// What does not depend on the attention before this grid comes before the wait: divisions take as long as
// loads. q_starts is written neither by that attention nor by what came before it, whose end it waited for
// before it let this grid start.
__device__ inline void merge(const AttentionMergeArgs& args, MergeShared& shared) {
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    const int part = warp % kRow.row_warps, block_row = warp / kRow.row_warps;
    const u32 column_parts = (args.partial_dim + kColumns - 1) / kColumns;
    const u32 row = blockIdx.x / column_parts * kRowsPerBlock + block_row;
    const int first_column = blockIdx.x % column_parts * kColumns, column = first_column + lane * 4;
    const u32 heads = args.heads, token = row / heads, head = row % heads;
    const i64 num_rows = i64{args.q_tokens} * args.heads;
    const u32 begin = ptx::load_constant_i32(args.q_starts),
              end = ptx::load_constant_i32(args.q_starts + args.sequences);
    const bool exists = token >= begin && token < end && row < num_rows;
    T* out =
        static_cast<T*>(args.out) + i64{token} * args.out_token_stride + i64{head} * args.out_head_stride;
    const float* partial_lse = args.partial_lse + row;
    const float* partial_out = args.partial_out + i64{row} * args.partial_dim + column;
    const i64 out_stride = num_rows * args.partial_dim;  // from a split to the next
    ptx::wait_for_predecessor();
    ptx::release_successor();

    float4 total = {0, 0, 0, 0};
    float max = -infinity(), sum = 0;
    if (exists) {
        float4 split_out[kBatch];
        float split_lse[kBatch];
        const auto read_batch = [&](int first) {
#pragma unroll
            for (int i = 0; i < kBatch; ++i) {
                const int split = first + i * kRow.row_warps;
                split_lse[i] = split < args.splits ? partial_lse[split * num_rows] : -infinity();
                split_out[i] = {0, 0, 0, 0};
                if (split < args.splits && column < args.partial_dim)
                    split_out[i] = *reinterpret_cast<const float4*>(partial_out + split * out_stride);
            }
        };
        read_batch(part);
        for (int split = lane; split < args.splits; split += kWarpThreads)
            max = fmaxf(max, partial_lse[split * num_rows]);
        max = warp_max(max);
        for (int first = part; first < args.splits; first += kBatch * kRow.row_warps) {
            if (first != part) read_batch(first);
#pragma unroll
            for (int i = 0; i < kBatch; ++i) {
                const float weight = split_lse[i] == -infinity() ? 0 : ptx::exp2_approx(split_lse[i] - max);
                if (weight == 0) continue;  // such a split may not have written
                sum += weight;
                total.x += weight * split_out[i].x;
                total.y += weight * split_out[i].y;
                total.z += weight * split_out[i].z;
                total.w += weight * split_out[i].w;
            }
        }
    }
    shared.total[block_row][part][lane] = total;
    if (lane == 0) shared.sum[block_row][part] = sum;
    if (kRow.row_warps > 1) {
        __syncthreads();
    } else {
        __syncwarp();
    }
    if (!exists) return;

    sum = 0;
#pragma unroll
    for (int other = 0; other < kRow.row_warps; ++other) sum += shared.sum[block_row][other];
    const auto [scale, lse] = finish(max, sum, 1, args.sinks, static_cast<int>(head), args.lse_factor);
    for (int own = part * kWarpThreads + lane; own < kColumns; own += kRow.row_warps * kWarpThreads) {
        float value = 0;
#pragma unroll
        for (int other = 0; other < kRow.row_warps; ++other)
            value += reinterpret_cast<const float*>(shared.total[block_row][other])[own];
        if (first_column + own < args.head_dim) out[first_column + own] = ptx::from_float<T>(value * scale);
    }
    if (args.lse != nullptr && part == 0 && lane == 0 && first_column == 0) {
        args.lse[i64{token} * args.lse_token_stride + head] = lse;
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads, 1)
    WW_ENTRY(const __grid_constant__ warpwright::AttentionMergeArgs args) {
    using namespace warpwright;
    __shared__ MergeShared shared;
    merge(args, shared);
}
