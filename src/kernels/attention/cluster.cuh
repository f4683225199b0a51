// SPDX-License-Identifier: Apache-2.0
// Attention with few query rows by thread-block clusters: one launch, no workspace. For few sequences, where
// what counts is how many memory latencies stand one after another:
//
//   lengths, page numbers of the first steps | keys, values, queries | softmax | sums to the block that owns
//   them | output
//
//   cluster = 16 packed query rows of one sequence and kv head
//   block   = every num_splits-th step of its keys, so that the first page numbers do not depend on a length
//   warp    = all 16 rows, every kv_warps-th slice of 16 keys, through buffers of its own without barriers
//   end     the warps' sums are added up in the block, in warp order; each block then owns a part of the
//           outputs, gets what the others have of it, and adds that up in the order of the ranks
#include "kernels/attention/key_slices.cuh"
#include "kernels/attention/warp_sums.cuh"
#include "ptx/cluster.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

// The block's sums to the blocks that own them: each owns as many vectors of four columns.
template <AttentionRow R>
__device__ inline void send_sums(const AttentionArgs& args, const BlockWork& work, SoftmaxRows<R>& softmax,
                                 AttentionShared<R>& shared, int num_rows, int quads_per_block) {
    auto& received = shared.received;
    constexpr int kQuads = R.head_dim / 4;
    static_assert(kQuads >= PeerSums<R>::kMostBlocks);
    struct Place {  // addresses in the owner's shared memory, and in that of one block or none
        u32 out, max_and_sum;
        bool has_max_and_sum;
    };
    ptx::wait_for_cluster();  // all blocks have started
    combine_warps<R>(
        args, num_rows, softmax, shared,
        [&](int row, int column) {
            const u32 index = row * kQuads + column / 4, owner = index / quads_per_block;
            const int place = work.split * quads_per_block + index % quads_per_block;
            const u32 rank = column / 4;
            const bool has_rank = rank < args.num_splits;
            const u32 max_and_sum = ptx::shared_address(&received.max_and_sum[work.split][row][0]);
            return Place{ptx::peer_address(ptx::shared_address(&received.out[place * 4]), owner),
                         ptx::peer_address(max_and_sum, has_rank ? rank : 0), has_rank};
        },
        [&](Place place, float4 total, float max, float sum) {
            ptx::store_peer(place.out, total.x, total.y);
            ptx::store_peer(place.out + 8, total.z, total.w);
            if (place.has_max_and_sum) ptx::store_peer(place.max_and_sum, max, sum);
        });
    ptx::arrive_at_cluster();
}

// This block's part of the output, when all of the cluster have sent theirs.
template <AttentionRow R>
__device__ inline void store_own(const AttentionArgs& args, const BlockWork& work,
                                 const AttentionShared<R>& shared, int num_rows, int quads_per_block) {
    using T = Storage<R.dtype>;
    const auto& received = shared.received;
    constexpr int kQuads = R.head_dim / 4, kMostBlocks = PeerSums<R>::kMostBlocks;
    ptx::wait_for_cluster();
    for (int own = threadIdx.x; own < quads_per_block; own += num_threads(R)) {
        const int index = work.split * quads_per_block + own;
        if (index >= num_rows * kQuads) return;
        const int row = index / kQuads, column = index % kQuads * 4;
        const int packed = work.first_row + row;
        const i64 token = work.q_start + packed / work.group;
        const int head = work.head(packed);
        float2 of[kMostBlocks];
        float4 part[kMostBlocks];
        float max = -infinity(), sum = 0;
#pragma unroll
        for (int rank = 0; rank < kMostBlocks; ++rank) {
            of[rank] = float2{-infinity(), 0};
            part[rank] = float4{0, 0, 0, 0};
            if (rank < args.num_splits) {
                of[rank] = *reinterpret_cast<const float2*>(received.max_and_sum[rank][row]);
                part[rank] =
                    *reinterpret_cast<const float4*>(&received.out[(rank * quads_per_block + own) * 4]);
            }
            max = fmaxf(max, of[rank].x);
        }
        float4 total = {0, 0, 0, 0};
#pragma unroll
        for (int rank = 0; rank < kMostBlocks; ++rank) add_share(args, of[rank], max, part[rank], sum, total);
        const auto [scale, lse] = finish_row<R>(args, work, head, max, sum);
        T* out = static_cast<T*>(args.out) + token * args.out_token_stride + i64{head} * args.out_head_stride;
        if (column < args.head_dim) {
            u32* to = reinterpret_cast<u32*>(out + column);
            to[0] = ptx::pack<T>(total.x * scale, total.y * scale);
            to[1] = ptx::pack<T>(total.z * scale, total.w * scale);
        }
        if (column == 0 && args.lse != nullptr) args.lse[token * args.lse_token_stride + head] = lse;
    }
}

template <AttentionRow R>
__device__ inline void decode_in_cluster(const AttentionArgs& args, AttentionShared<R>& shared) {
    static_assert(R.clusters && !keeps_q_in_shared(R));
    ptx::arrive_at_cluster_relaxed();
    BlockWork work = find_place<R>(args);
    KeySlices<R> slices(args, work);
    if (!find_slices<R>(args, work, slices)) {  // neither do the others of the cluster
        ptx::wait_for_predecessor();
        ptx::wait_for_cluster();
        return;
    }
    SoftmaxRows<R> softmax;
    attend_slices<R>(args, work, slices, softmax, shared, [] { ptx::release_successor(); });
    const int num_rows = min(kMmaRows, work.num_rows - work.first_row);
    const int quads_per_block = (num_rows * (R.head_dim / 4) + args.num_splits - 1) / args.num_splits;
    send_sums<R>(args, work, softmax, shared, num_rows, quads_per_block);
    store_own<R>(args, work, shared, num_rows, quads_per_block);
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
    decode_in_cluster<kRow>(args, *reinterpret_cast<AttentionShared<kRow>*>(shared_memory));
}
