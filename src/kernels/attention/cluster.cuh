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
#include "kernels/attention/block.cuh"
#include "kernels/attention/softmax.cuh"
#include "ptx/cluster.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/launch.cuh"
#include "tile/swizzle.h"

namespace warpwright {

// A warp's copies of its rows of K and V. Lane l addresses row l % 16 of the warp's slice of a step, of K in
// the lower half of the warp and of V in the upper one.
template <AttentionRow R>
class SplitRows {
    using T = Storage<R.dtype>;
    using Map = Swizzle<R.head_dim / 8>;
    using Step = typename AttentionShared<R>::Step;
    static constexpr int kVectors = R.head_dim / 8;

public:
    // Before anything is known of the lengths: page numbers of the first steps are on their way together with
    // them. Entries behind the length are read, and not followed.
    __device__ explicit SplitRows(const AttentionArgs& args, int sequence, int kv_head, int first_key)
        : args_(args), stride_(args.num_splits * R.kv_tile), key_(first_key + warp_id() * 16) {
        const bool is_k = lane_id() < 16;
        const i64 head_stride = is_k ? args.k_head_stride : args.v_head_stride;
        token_stride_ = is_k ? args.k_token_stride : args.v_token_stride;
        page_stride_ = is_k ? args.k_page_stride : args.v_page_stride;
        base_ = static_cast<const T*>(is_k ? args.k : args.v) + kv_head * head_stride;
        if (args.page_table != nullptr) {
            pages_ = args.page_table + i64{sequence} * args.page_table_stride;
        } else {
            base_ += i64{args.kv_starts[sequence]} * token_stride_;
        }
        if (args.window_left < 0) request_pages();
    }

    // The keys that there are; `first_key`, of the block's first step, is another one where a window begins.
    __device__ void limit(const BlockWork& work, int first_key) {
        begin_ = work.kv_first;
        end_ = work.kv_end;
        if (args_.window_left < 0) return;
        key_ = first_key + warp_id() * 16;
        request_pages();
    }

    // Starts the copy of the warp's slice of step `ahead`, one of the first, or of the next one after those.
    // Keys before the window and from the end on are zeros: a masked score has the weight 0, which would not
    // silence a NaN in V.
    __device__ void copy_first(Step& step, int ahead) { copy(step, pages_of_first_[ahead]); }
    __device__ void copy_next(Step& step) {
        const i32 page = next_page_;
        next_page_ = page_of(key_ + stride_);
        copy(step, page);
    }

private:
    __device__ i32 page_of(int key) const {
        const int index = (key + lane_id() % 16) >> args_.page_shift;
        return args_.page_table != nullptr && index < args_.max_pages ? ptx::load_i32(pages_ + index) : 0;
    }
    __device__ void request_pages() {
#pragma unroll
        for (int i = 0; i < R.stages - 1; ++i) pages_of_first_[i] = page_of(key_ + i * stride_);
        next_page_ = page_of(key_ + (R.stages - 1) * stride_);
    }

    __device__ void copy(Step& step, i32 page) {
        const int own_key = key_ + lane_id() % 16;
        const auto is_read = [&](int key) { return key >= begin_ && key < end_; };
        i64 offset = 0;
        if (is_read(own_key)) {
            const int in_page = own_key & ((1 << args_.page_shift) - 1);
            offset = args_.page_table == nullptr ? i64{own_key} * token_stride_
                                                 : i64{page} * page_stride_ + i64{in_page} * token_stride_;
        }
        const u64 own_row = reinterpret_cast<u64>(base_ + offset);
        const u32 k_shared = ptx::shared_address(step.k), v_shared = ptx::shared_address(step.v);
#pragma unroll
        for (int i = 0; i < 16 * kVectors / 32; ++i) {
            const int row = (i * 32 + lane_id()) / kVectors, vector = (i * 32 + lane_id()) % kVectors;
            const u64 k = __shfl_sync(~0u, own_row, row), v = __shfl_sync(~0u, own_row, row + 16);
            const int bytes = is_read(key_ + row) && vector * 8 < args_.head_dim ? 16 : 0;
            const u32 to = Map::offset_bytes(warp_id() * 16 + row, vector);
            ptx::cp_async_16(k_shared + to, reinterpret_cast<const void*>(k + vector * 16), bytes);
            ptx::cp_async_16(v_shared + to, reinterpret_cast<const void*>(v + vector * 16), bytes);
        }
        key_ += stride_;
    }

    const AttentionArgs& args_;
    const T* base_;
    const i32* pages_ = nullptr;
    i32 token_stride_, page_stride_;
    int stride_;  // keys from a step of this block to its next
    int key_;     // first one of the warp's slice of the next step
    int begin_ = 0, end_ = 0;
    i32 pages_of_first_[R.stages - 1];
    i32 next_page_;
};

// The warps' sums, scaled to the block's maxima and added up, to the blocks that own them.
template <AttentionRow R>
__device__ inline void send_sums(const AttentionArgs& args, const BlockWork& work, SoftmaxRows<R>& softmax,
                                 AttentionShared<R>& shared, int num_rows, int pairs_per_block) {
    auto& exchange = shared.exchange;
    auto& received = shared.received;
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
    ptx::wait_for_cluster();  // all blocks have started
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = group_lane + 8 * half;
        if (row >= num_rows) continue;
        float max = -infinity(), sum = 0;
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp) max = fmaxf(max, exchange.max[warp][row]);
        const auto share_of = [&](float of) {
            return of == -infinity() ? 0 : ptx::exp2_approx((of - max) * args.scale_log2);
        };
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp)
            sum += exchange.sum[warp][row] * share_of(exchange.max[warp][row]);
        const float share = share_of(softmax.max[half]);
#pragma unroll
        for (int n = 0; n < R.head_dim / 8; ++n) {
            *reinterpret_cast<float2*>(&exchange.out[warp_id()][row][n * 8 + 2 * member]) =
                float2{softmax.out[n][2 * half] * share, softmax.out[n][2 * half + 1] * share};
        }
        if (warp_id() > 0) continue;
        const u32 to = ptx::shared_address(&received.max_and_sum[work.split][row][0]);
        for (int rank = member; rank < args.num_splits; rank += 4)
            ptx::store_peer(ptx::peer_address(to, rank), max, sum);
    }
    __syncthreads();
    constexpr int kPairs = R.head_dim / 2;
    for (int index = threadIdx.x; index < num_rows * kPairs; index += num_threads(R)) {
        const int row = index / kPairs, column = index % kPairs * 2;
        float low = 0, high = 0;
#pragma unroll
        for (int warp = 0; warp < R.kv_warps; ++warp) {
            const float2 part = *reinterpret_cast<const float2*>(&exchange.out[warp][row][column]);
            low += part.x;
            high += part.y;
        }
        const int owner = index / pairs_per_block;
        const int place = work.split * pairs_per_block + index - owner * pairs_per_block;
        ptx::store_peer(ptx::peer_address(ptx::shared_address(&received.out[place * 2]), owner), low, high);
    }
    ptx::arrive_at_cluster();
    ptx::wait_for_cluster();
}

// This block's part of the output.
template <AttentionRow R>
__device__ inline void store_own(const AttentionArgs& args, const BlockWork& work,
                                 const AttentionShared<R>& shared, int num_rows, int pairs_per_block) {
    using T = Storage<R.dtype>;
    const auto& received = shared.received;
    constexpr int kPairs = R.head_dim / 2;
    for (int own = threadIdx.x; own < pairs_per_block; own += num_threads(R)) {
        const int index = work.split * pairs_per_block + own;
        if (index >= num_rows * kPairs) return;
        const int row = index / kPairs, column = index % kPairs * 2;
        float max = -infinity();
        for (int rank = 0; rank < args.num_splits; ++rank) {
            max = fmaxf(max, received.max_and_sum[rank][row][0]);
        }
        float low = 0, high = 0, sum = 0;
        for (int rank = 0; rank < args.num_splits; ++rank) {
            const float of = received.max_and_sum[rank][row][0];
            const float share = of == -infinity() ? 0 : ptx::exp2_approx((of - max) * args.scale_log2);
            const float2 part =
                *reinterpret_cast<const float2*>(&received.out[(rank * pairs_per_block + own) * 2]);
            sum += received.max_and_sum[rank][row][1] * share;
            low += part.x * share;
            high += part.y * share;
        }
        const int packed = work.first_row + row;
        const i64 token = work.q_start + packed / work.group;
        const i64 head = work.kv_head * work.group + packed % work.group;
        const float scale = inverse_sum(sum);
        T* out = static_cast<T*>(args.out) + token * args.out_token_stride + head * args.out_head_stride;
        if (column < args.head_dim)
            *reinterpret_cast<u32*>(out + column) = ptx::pack<T>(low * scale, high * scale);
        if (column == 0 && args.lse != nullptr)
            args.lse[token * args.lse_token_stride + head] = lse_base2(max, sum, args.scale_log2);
    }
}

template <AttentionRow R>
__device__ inline void decode_in_cluster(const AttentionArgs& args, AttentionShared<R>& shared) {
    static_assert(R.tile_rows == kMmaRows && R.kv_tile == 16 * R.kv_warps && !R.elementwise && R.clusters);
    static_assert(!keeps_q_in_shared(R));
    ptx::arrive_at_cluster_relaxed();
    const u32 splits = args.num_splits, kv_heads = args.kv_heads, sequences = args.sequences;
    const int split = blockIdx.x % splits;
    const u32 rest = blockIdx.x / splits;
    SplitRows<R> rows(args, rest / kv_heads % sequences, rest % kv_heads, split * R.kv_tile);
    BlockWork work;
    if (!find_work<R>(args, work)) {  // neither have the others of the cluster
        ptx::wait_for_cluster();
        return;
    }
    const int stride = args.num_splits * R.kv_tile;
    const int begin = work.kv_first / R.kv_tile * R.kv_tile + split * R.kv_tile;
    work.kv_end = work.visible_keys(args, work.first_row + R.tile_rows - 1);
    rows.limit(work, begin);
    const int num_steps = (work.kv_end - begin + stride - 1) / stride;
#pragma unroll
    for (int stage = 0; stage < R.stages - 1; ++stage) {
        if (stage < num_steps) rows.copy_first(shared.steps[stage], stage);
        ptx::cp_async_commit();
    }

    Query<R> query;
    load_query<R>(args, work, work.first_row,
                  [&](int step, int i, u32 value) { query.keep(shared, step, i, value); });
    const int lane_row = work.first_row + lane_id() / 4;
    const int first_limit = work.visible_keys(args, work.first_row);
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
        if (step + R.stages - 1 < num_steps) rows.copy_next(shared.steps[stage_ahead]);
        ptx::cp_async_commit();

        const int first_key = begin + step * stride + warp_id() * 16;
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

    const int num_rows = min(kMmaRows, work.num_rows - work.first_row);
    const int pairs_per_block = (num_rows * (R.head_dim / 2) + args.num_splits - 1) / args.num_splits;
    send_sums<R>(args, work, softmax, shared, num_rows, pairs_per_block);
    store_own<R>(args, work, shared, num_rows, pairs_per_block);
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
    decode_in_cluster<kRow>(args, *reinterpret_cast<AttentionShared<kRow>*>(shared_memory));
    ptx::release_successor();
}
