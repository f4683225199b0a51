// SPDX-License-Identifier: Apache-2.0
// What the warps of a block have summed over their slices of the keys, added up through shared memory: one
// barrier.
#pragma once

#include "kernels/attention/softmax.cuh"

namespace warpwright {

// Adds what was summed under another maximum.
__device__ inline void add_share(const AttentionArgs& args, float2 max_and_sum, float max, float4 part,
                                 float& sum, float4& total) {
    const float share =
        max_and_sum.x == -infinity() ? 0 : ptx::exp2_approx((max_and_sum.x - max) * args.scale_log2);
    sum += max_and_sum.y * share;
    total.x += part.x * share;
    total.y += part.y * share;
    total.z += part.z * share;
    total.w += part.w * share;
}

// Of 16 keys, or values, as they were copied.
constexpr int slice_bytes(const AttentionRow& row) {
    return 16 * row.head_dim * (is_packed(row) ? 1 : reads_codes(row) ? 2 : 4) / 2;
}

// Where a warp leaves its sums: in the buffers of its own slices, which no other warp touches. Rows are
// exchanged in groups of 8 columns, so that four rows of a fragment lie in different banks.
template <AttentionRow R>
__device__ inline float* sums_of(AttentionShared<R>& shared, int warp, int row, int column) {
    constexpr int kRows = slice_bytes(R) / (4 * R.head_dim);  // that a slice of K or V has room for
    const int part = row / kRows;
    auto& step = shared.steps[part / 2];
    auto* slice = reinterpret_cast<unsigned char*>(part % 2 == 0 ? step.k : step.v) + warp * slice_bytes(R);
    return reinterpret_cast<float*>(slice) + row % kRows * R.head_dim + (column ^ row % 4 * 8);
}
template <AttentionRow R>
__device__ inline float2* max_and_sum_of(AttentionShared<R>& shared, int warp, int row) {
    constexpr int kStep = kMmaRows * 4 * R.head_dim / (2 * slice_bytes(R));  // behind those of sums_of
    static_assert(R.stages > kStep);
    auto* slice = reinterpret_cast<unsigned char*>(shared.steps[kStep].k) + warp * slice_bytes(R);
    return reinterpret_cast<float2*>(slice) + row;
}

// The sums of the block's warps, scaled to their common maximum and added up in warp order, four columns of a
// row at a time. Where they go is found before the barrier, as its divisions take time.
//
//   locate(row, column)                                         a place
//   store(place, sums of the outputs, maximum, sum of the weights)
template <AttentionRow R, class Locate, class Store>
__device__ inline void combine_warps(const AttentionArgs& args, int num_rows, SoftmaxRows<R>& softmax,
                                     AttentionShared<R>& shared, Locate&& locate, Store&& store) {
    const int group_lane = lane_id() / 4, member = lane_id() % 4;
    softmax.total_sums();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = group_lane + 8 * half;
        if (row >= num_rows) continue;
        if (member == 0)
            *max_and_sum_of<R>(shared, warp_id(), row) = float2{softmax.max[half], softmax.sum[half]};
        if constexpr (reads_codes(R)) {
#pragma unroll
            for (int n = 0; n < R.head_dim / 16; ++n) {
                *reinterpret_cast<float4*>(sums_of<R>(shared, warp_id(), row, first_of_four<R>(n))) =
                    four_columns<R>(softmax.out, n, half);
            }
        } else {
#pragma unroll
            for (int n = 0; n < R.head_dim / 8; ++n) {
                *reinterpret_cast<float2*>(sums_of<R>(shared, warp_id(), row, n * 8 + 2 * member)) =
                    float2{softmax.out[n][2 * half], softmax.out[n][2 * half + 1]};
            }
        }
    }
    constexpr int kQuads = R.head_dim / 4;
    const auto place_of = [&](int index) {
        return locate(min(index / kQuads, num_rows - 1), index % kQuads * 4);
    };
    int index = threadIdx.x;
    auto place = place_of(index);
    __syncthreads();
    for (; index < num_rows * kQuads; index += num_threads(R), place = place_of(index)) {
        const int row = index / kQuads, column = index % kQuads * 4;
        float2 of[R.kv_warps];  // maximum and sum
        float4 part[R.kv_warps];
        float max = -infinity(), sum = 0;
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp) {
            of[warp] = *max_and_sum_of<R>(shared, warp, row);
            part[warp] = *reinterpret_cast<const float4*>(sums_of<R>(shared, warp, row, column));
            max = fmaxf(max, of[warp].x);
        }
        float4 total = {0, 0, 0, 0};
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp) add_share(args, of[warp], max, part[warp], sum, total);
        store(place, total, max, sum);
    }
}

}  // namespace warpwright
