// SPDX-License-Identifier: Apache-2.0
// Attention with few query rows, portable: reading the keys is the limit.
//
//   block = 16 packed query rows of one sequence and kv head, and one split of its keys
//   warp  = all 16 rows, every kv_warps-th slice of 16 keys, through buffers of its own without barriers
//   end     the warps' maxima, sums and outputs are combined in shared memory, in warp order
//
// Rows of the matrix product that a small group leaves empty cost nothing: the product waits for memory.
#include "kernels/attention/kv_rows.cuh"
#include "kernels/attention/softmax.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

// Rows scaled to the block's maximum, into shared memory; then every thread adds up some columns of all
// warps.
template <AttentionRow R>
__device__ inline void combine_warps(const AttentionArgs& args, const BlockWork& work,
                                     SoftmaxRows<R>& softmax, AttentionShared<R>& shared) {
    auto& exchange = shared.exchange;
    const int group_lane = lane_id() / 4, member = lane_id() % 4;
    softmax.total_sums();
    if (member == 0) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            exchange.max[warp_id()][group_lane + 8 * half] = softmax.max[half];
            exchange.sum[warp_id()][group_lane + 8 * half] = softmax.sum[half];
        }
    }
    __syncthreads();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = group_lane + 8 * half;
        float max = -infinity(), sum = 0;
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp) max = fmaxf(max, exchange.max[warp][row]);
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp) {
            const float other = exchange.max[warp][row];
            const float share = other == -infinity() ? 0 : ptx::exp2_approx((other - max) * args.scale_log2);
            sum += exchange.sum[warp][row] * share;
        }
        const float share =
            softmax.max[half] == -infinity()
                ? 0
                : ptx::exp2_approx((softmax.max[half] - max) * args.scale_log2) * inverse_sum(sum);
#pragma unroll
        for (int n = 0; n < R.head_dim / 8; ++n) {
            *reinterpret_cast<float2*>(&exchange.out[warp_id()][row][n * 8 + 2 * member]) =
                float2{softmax.out[n][2 * half] * share, softmax.out[n][2 * half + 1] * share};
        }
        if (warp_id() == 0 && member == 0 && work.first_row + row < work.num_rows) {
            const OutputRow<R> output(args, work, work.first_row + row);
            if (output.lse != nullptr) *output.lse = lse_base2(max, sum, args.scale_log2);
        }
    }
    __syncthreads();
    constexpr int kThreads = num_threads(R), kPairs = R.head_dim / 2;
    for (int index = threadIdx.x; index < kMmaRows * kPairs; index += kThreads) {
        const int row = index / kPairs, column = index % kPairs * 2;
        if (work.first_row + row >= work.num_rows) break;
        float low = 0, high = 0;
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp) {
            const float2 part = *reinterpret_cast<const float2*>(&exchange.out[warp][row][column]);
            low += part.x;
            high += part.y;
        }
        OutputRow<R>(args, work, work.first_row + row).store(column, low, high, args.head_dim);
    }
}

template <AttentionRow R>
__device__ inline void decode(const AttentionArgs& args, AttentionShared<R>& shared) {
    static_assert(R.tile_rows == kMmaRows && R.kv_tile == 16 * R.kv_warps && !R.elementwise);
    BlockWork work;
    if (!find_work<R>(args, work)) return;
    const int lane_row = work.first_row + lane_id() / 4;
    const int first_limit = work.visible_keys(args, work.first_row);

    KvRows<R> rows(args, work);
    const int num_steps = (work.kv_end - work.kv_begin + R.kv_tile - 1) / R.kv_tile;
#pragma unroll
    for (int stage = 0; stage < R.stages - 1; ++stage) {
        if (stage < num_steps) rows.copy(shared.steps[stage], stage == 0);
        ptx::cp_async_commit();
    }

    Query<R> query;
    load_query<R>(args, work, work.first_row,
                  [&](int step, int i, u32 value) { query.keep(shared, step, i, value); });
    SoftmaxRows<R> softmax;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        softmax.first[half] = work.first_key(args, lane_row + 8 * half);
        softmax.limit[half] = work.visible_keys(args, lane_row + 8 * half);
    }
    const u32 k_row = SoftmaxRows<R>::first_k_row(warp_id() * 16),
              v_row = SoftmaxRows<R>::first_v_row(warp_id() * 16);

    int stage = 0, stage_ahead = R.stages - 1;
    for (int step = 0; step < num_steps; ++step) {
        ptx::cp_async_wait<R.stages - 2>();
        __syncwarp();
        if (step + R.stages - 1 < num_steps) rows.copy(shared.steps[stage_ahead], false);
        ptx::cp_async_commit();

        const int first_key = work.kv_begin + step * R.kv_tile + warp_id() * 16;
        if (first_key < work.kv_end) {
            const bool masked = first_key + 16 > first_limit || softmax.one_begins_after(args, first_key);
            softmax.template attend<16>(
                args, [&](int depth, u32(&a)[4]) { query.get(shared, depth, a); },
                ptx::shared_address(shared.steps[stage].k) + k_row,
                ptx::shared_address(shared.steps[stage].v) + v_row, first_key, masked);
        }
        stage = stage + 1 == R.stages ? 0 : stage + 1;
        stage_ahead = stage_ahead + 1 == R.stages ? 0 : stage_ahead + 1;
    }
    ptx::cp_async_wait<0>();
    __syncthreads();
    combine_warps(args, work, softmax, shared);
}

constexpr AttentionRow kRow = sized<row_at(kAttentionRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
static_assert(sizeof(AttentionShared<kRow>) == kRow.shared_bytes);

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::num_threads(warpwright::kRow),
                                             warpwright::min_blocks(warpwright::kRow))
    WW_ENTRY(const __grid_constant__ warpwright::AttentionArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    ptx::wait_for_predecessor();
    ptx::release_successor();
    decode<kRow>(args, *reinterpret_cast<AttentionShared<kRow>*>(shared_memory));
}
