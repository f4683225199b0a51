// SPDX-License-Identifier: Apache-2.0
// Attention with few query rows, portable: reading the keys is the limit.
//
//   block = 16 packed query rows of one sequence and kv head, and one split of its keys
//   warp  = all 16 rows, every kv_warps-th slice of 16 keys, through buffers of its own without barriers
//   end     the warps' maxima, sums and outputs are combined in shared memory, in warp order
//
// Rows of the matrix product that a small group leaves empty cost nothing: the product waits for memory.
#include "kernels/attention/key_slices.cuh"
#include "kernels/attention/warp_sums.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

template <AttentionRow R>
__device__ inline void decode(const AttentionArgs& args, AttentionShared<R>& shared) {
    BlockWork work = find_place<R>(args);
    KeySlices<R> slices(args, work);
    if (!find_slices<R>(args, work, slices)) return ptx::wait_for_predecessor();
    SoftmaxRows<R> softmax;
    attend_slices<R>(args, work, slices, softmax, shared, [] { ptx::release_successor(); });
    struct Place {
        OutputRow<R> row;
        int column;
    };
    combine_warps<R>(
        args, min(kMmaRows, work.num_rows - work.first_row), softmax, shared,
        [&](int row, int column) {
            return Place{OutputRow<R>(args, work, work.first_row + row), column};
        },
        [&](const Place& place, float4 total, float max, float sum) {
            const auto [scale, lse] = finish_row<R>(args, work, place.row.head, max, sum);
            place.row.store(place.column, total.x * scale, total.y * scale, args.head_dim);
            place.row.store(place.column + 2, total.z * scale, total.w * scale, args.head_dim);
            if (place.column == 0 && place.row.lse != nullptr) *place.row.lse = lse;
        });
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
    decode<kRow>(args, *reinterpret_cast<AttentionShared<kRow>*>(shared_memory));
}
