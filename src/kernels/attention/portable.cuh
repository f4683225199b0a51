// SPDX-License-Identifier: Apache-2.0
// Attention with many query rows, portable: the tensor cores are the limit. After FlashAttention 2 (Dao,
// 2023).
//
//   block = tile_rows packed query rows of one sequence and kv head; a warp has 16 of them
//   keys    copy step 1 | copy step 2 | ...          all warps copy, cp.async
//   rows    query       | S, softmax, P V of step 1 | of step 2 | ... | store
//
// All warps read every step, one barrier a step. Steps that no row of a warp sees are skipped.
#include "kernels/attention/kv_rows.cuh"
#include "kernels/attention/softmax.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

template <AttentionRow R>
__device__ inline void prefill(const AttentionArgs& args, AttentionShared<R>& shared) {
    BlockWork work;
    if (!find_work<R>(args, work)) return;
    const int first_row = work.first_row + warp_id() * kMmaRows;
    const int lane_row = first_row + lane_id() / 4;
    const bool active = first_row < work.num_rows;
    const int first_limit = work.visible_keys(args, first_row);
    const int last_limit = work.visible_keys(args, first_row + kMmaRows - 1);

    KvRows<R> rows(args, work);
    const int num_steps = (work.kv_end - work.kv_begin + R.kv_tile - 1) / R.kv_tile;
#pragma unroll
    for (int stage = 0; stage < R.stages - 1; ++stage) {
        if (stage < num_steps) rows.copy(shared.steps[stage], stage == 0);
        ptx::cp_async_commit();
    }

    Query<R> query;
    load_query<R>(args, work, first_row,
                  [&](int step, int i, u32 value) { query.keep(shared, step, i, value); });
    SoftmaxRows<R> softmax;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        softmax.first[half] = work.first_key(args, lane_row + 8 * half);
        softmax.limit[half] = work.visible_keys(args, lane_row + 8 * half);
    }
    const u32 k_row = SoftmaxRows<R>::first_k_row(0), v_row = SoftmaxRows<R>::first_v_row(0);

    for (int step = 0; step < num_steps; ++step) {
        ptx::cp_async_wait<R.stages - 2>();
        __syncthreads();  // this step's copies of all warps are there, and all have read the step before
        const int ahead = step + R.stages - 1;
        if (ahead < num_steps) rows.copy(shared.steps[ahead % R.stages], false);
        ptx::cp_async_commit();

        const int first_key = work.kv_begin + step * R.kv_tile;
        if (!active || first_key >= last_limit || softmax.all_begin_from(args, first_key + R.kv_tile))
            continue;
        const typename AttentionShared<R>::Step& tile = shared.steps[step % R.stages];
        const bool masked = first_key + R.kv_tile > first_limit || softmax.one_begins_after(args, first_key);
        softmax.template attend<R.kv_tile>(
            args, [&](int depth, u32(&a)[4]) { query.get(shared, depth, a); },
            ptx::shared_address(tile.k) + k_row, ptx::shared_address(tile.v) + v_row, first_key, masked);
    }

    softmax.total_sums();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = lane_row + 8 * half;
        if (row >= work.num_rows) continue;
        const OutputRow<R> output(args, work, row);
        const float scale = inverse_sum(softmax.sum[half]);
#pragma unroll
        for (int n = 0; n < R.head_dim / 8; ++n) {
            output.store(n * 8 + 2 * (lane_id() % 4), softmax.out[n][2 * half] * scale,
                         softmax.out[n][2 * half + 1] * scale, args.head_dim);
        }
        if (output.lse != nullptr && lane_id() % 4 == 0) {
            *output.lse = lse_base2(softmax.max[half], softmax.sum[half], args.scale_log2);
        }
    }
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
    prefill<kRow>(args, *reinterpret_cast<AttentionShared<kRow>*>(shared_memory));
    ptx::release_successor();
}
