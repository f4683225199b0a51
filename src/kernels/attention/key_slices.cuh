// SPDX-License-Identifier: Apache-2.0
// The keys of a block of 16 packed query rows, divided in two ways: of the steps over a sequence's keys a
// block has every num_splits-th, and of a step each warp has a slice of 16 keys, through buffers of its own
// without barriers.
//
//   lengths, page numbers of the first steps | keys and values of the first steps, query | softmax | ...
//
// Which keys a block begins with does not depend on a length, so that page numbers are read beside the
// lengths. Keys leave the L2 first, so that lengths, page numbers and partial results stay.
#pragma once

#include "kernels/attention/block.cuh"
#include "kernels/attention/softmax.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/launch.cuh"
#include "tile/swizzle.h"

namespace warpwright {

// Where a kv head's scales of blocks begin.
template <AttentionRow R, bool packed = is_packed(R)>
struct BlockScales {
    __device__ BlockScales(const AttentionArgs&, int) {}
    __device__ void advance(const AttentionArgs&, i32) {}
};
template <AttentionRow R>
struct BlockScales<R, true> {
    const u8 *k, *v;
    __device__ BlockScales(const AttentionArgs& args, int kv_head)
        : k(args.k_blocks.first + i64{kv_head} * args.k_blocks.head_stride),
          v(args.v_blocks.first + i64{kv_head} * args.v_blocks.head_stride) {}
    __device__ void advance(const AttentionArgs& args, i32 tokens) {
        k += i64{tokens} * args.k_blocks.token_stride;
        v += i64{tokens} * args.v_blocks.token_stride;
    }
};

// A warp's copies of its slices of K and V.
template <AttentionRow R>
class KeySlices {
    using T = KvElement<R>;
    using Step = typename AttentionShared<R>::Step;
    static constexpr int kElements = is_packed(R) ? 32 : 16 / sizeof(T);  // of a vector
    static constexpr int kVectors = R.head_dim / kElements;
    using Map = Swizzle<kVectors>;
    static constexpr int kKeys = 16;

public:
    // Steps under way before the first is waited for. The few SMs of clusters need all that they have room
    // for; where all SMs copy, more than needed makes the first keys late, measured.
    static constexpr int kAhead = R.clusters ? R.stages : R.stages - 1;
    // Keys leave the L2 first. why not all: in images of 256 columns ptxas 13.0 gives copies with a policy a
    // wrong uniform register (an illegal instruction on an H200).
    static constexpr bool kReadOnce = R.head_dim <= 128;

    // Nothing is read yet.
    __device__ KeySlices(const AttentionArgs& args, const BlockWork& place)
        : args_(args),
          k_(static_cast<const T*>(args.k) + i64{place.kv_head} * args.k_head_stride),
          v_(static_cast<const T*>(args.v) + i64{place.kv_head} * args.v_head_stride),
          blocks_(args, place.kv_head),
          stride_(args.num_splits * R.kv_tile),
          key_(place.split * R.kv_tile + warp_id() * kKeys) {
        if (args.page_table != nullptr) {
            pages_ = args.page_table + i64{place.sequence} * args.page_table_stride;
            page_mask_ = (1 << args.page_shift) - 1;
            in_one_page_ = page_mask_ >= kKeys - 1;
        }
    }

    // Before anything is known of the lengths: page numbers of the first slices are on their way together
    // with them. Entries behind the length are read, and not followed.
    __device__ void request_first() {
        if (pages_ != nullptr && !args_.has_first) request_pages();
    }

    // The keys that there are; the block's first is another one where a window begins.
    __device__ void limit(const BlockWork& work, i32 kv_start) {
        k_ += i64{kv_start} * args_.k_token_stride;
        v_ += i64{kv_start} * args_.v_token_stride;
        blocks_.advance(args_, kv_start);
        begin_ = work.kv_first;
        end_ = work.kv_end;
        if (!args_.has_first) return;
        key_ = work.kv_begin + warp_id() * kKeys;
        if (pages_ != nullptr) request_pages();
    }

    // Whether the warp's first slices, of the block's `num_steps` steps, hold only keys before this one.
    __device__ bool first_are_before(int key, int num_steps) const {
        return key_ + (min(kAhead, num_steps) - 1) * stride_ + kKeys <= key;
    }

    // Starts the copy of the warp's slice of the next step.
    __device__ void copy(Step& step) {
        const i32 page = in_one_page_ ? __shfl_sync(~0u, page_, num_copied_ % 32) : page_;
        if (in_one_page_ && key_ >= begin_ && key_ + kKeys <= end_ && args_.head_dim == R.head_dim) {
            copy_whole(step, page);
        } else {
            copy_rows(step, page);
        }
        ++num_copied_;
        key_ += stride_;
        if (pages_ != nullptr && (!in_one_page_ || num_copied_ % 32 == 0)) request_pages();
    }

private:
    // Of slices that lie in one page each, every lane has the number of one; else of its own row of the next
    // slice.
    __device__ void request_pages() {
        const int lane = lane_id();
        const int index = (key_ + (in_one_page_ ? lane * stride_ : lane % kKeys)) >> args_.page_shift;
        page_ = index < args_.max_pages ? load_length(args_, pages_ + index) : 0;
    }

    __device__ i64 offset(i32 page, int key, i32 page_stride, i32 token_stride) const {
        return i64{page} * page_stride + i64{key & page_mask_} * token_stride;
    }

    template <class... Bytes>  // all, or as many as that
    __device__ void copy_vector(u32 to, const void* from, Bytes... bytes) const {
        if constexpr (kReadOnce) {
            ptx::cp_async_16(to, from, bytes..., policy_);
        } else {
            ptx::cp_async_16(to, from, bytes...);
        }
    }

    __device__ void copy_whole(Step& step, i32 page) const {
        const T* k = k_ + offset(page, key_, args_.k_page_stride, args_.k_token_stride);
        const T* v = v_ + offset(page, key_, args_.v_page_stride, args_.v_token_stride);
        const u32 k_shared = ptx::shared_address(step.k), v_shared = ptx::shared_address(step.v);
#pragma unroll
        for (int i = 0; i < kKeys * kVectors / 32; ++i) {
            const int row = (i * 32 + lane_id()) / kVectors, vector = (i * 32 + lane_id()) % kVectors;
            const u32 to = Map::offset_bytes(warp_id() * kKeys + row, vector);
            copy_vector(k_shared + to, k + i64{row} * args_.k_token_stride + vector * (16 / sizeof(T)));
            copy_vector(v_shared + to, v + i64{row} * args_.v_token_stride + vector * (16 / sizeof(T)));
        }
        copy_blocks(step, page, true);
    }

    // Lane l addresses row l % 16, of K in the lower half of the warp and of V in the upper one. Keys before
    // the window and from the end on are zeros: a masked score has the weight 0, which would not silence a
    // NaN in V.
    __device__ void copy_rows(Step& step, i32 page) const {
        const int own_key = key_ + lane_id() % kKeys;
        const auto is_read = [&](int key) { return key >= begin_ && key < end_; };
        const bool is_k = lane_id() < 16;
        u64 own_row = reinterpret_cast<u64>(is_k ? k_ : v_);
        if (is_read(own_key)) {
            own_row += sizeof(T) * offset(page, own_key, is_k ? args_.k_page_stride : args_.v_page_stride,
                                          is_k ? args_.k_token_stride : args_.v_token_stride);
        }
        const u32 k_shared = ptx::shared_address(step.k), v_shared = ptx::shared_address(step.v);
#pragma unroll
        for (int i = 0; i < kKeys * kVectors / 32; ++i) {
            const int row = (i * 32 + lane_id()) / kVectors, vector = (i * 32 + lane_id()) % kVectors;
            const u64 k = __shfl_sync(~0u, own_row, row), v = __shfl_sync(~0u, own_row, row + 16);
            const int bytes = is_read(key_ + row) && vector * kElements < args_.head_dim ? 16 : 0;
            const u32 to = Map::offset_bytes(warp_id() * kKeys + row, vector);
            copy_vector(k_shared + to, reinterpret_cast<const void*>(k + vector * 16), bytes);
            copy_vector(v_shared + to, reinterpret_cast<const void*>(v + vector * 16), bytes);
        }
        copy_blocks(step, page, false);
    }

    // Scales of the slice's blocks: a lane has four of a key of K and of V.
    __device__ void copy_blocks(Step& step, i32 page, bool all) const {
        if constexpr (is_packed(R)) {
            static_assert(R.head_dim == 8 * kKvBlock);
            const int row = lane_id() / 2, word = lane_id() % 2, key = key_ + row;
            const i32 own_page = all || in_one_page_ ? page : __shfl_sync(~0u, page, row);
            const bool reads = all || (key >= begin_ && key < end_);
            const int bytes =
                reads ? min(4, max(0, args_.head_dim / static_cast<int>(kKvBlock) - 4 * word)) : 0;
            const int to = (warp_id() * kKeys + row) * 8 + word * 4;
            const auto copy_word = [&](u8* shared, const u8* first, const KvBlockScales& scales) {
                const i64 at = reads ? offset(own_page, key, scales.page_stride, scales.token_stride) : 0;
                ptx::cp_async_4(ptx::shared_address(shared) + to, first + at + (bytes > 0 ? word * 4 : 0),
                                bytes, policy_);
            };
            copy_word(step.k_blocks, blocks_.k, args_.k_blocks);
            copy_word(step.v_blocks, blocks_.v, args_.v_blocks);
        }
    }

    const AttentionArgs& args_;
    const T *k_, *v_;
    BlockScales<R> blocks_;
    const i32* pages_ = nullptr;
    const u64 policy_ = ptx::read_once_policy();
    int page_mask_ = ~0;       // of the bits of a key that count within its page; ragged keys are one page
    bool in_one_page_ = true;  // each slice
    int stride_;               // keys from a step of this block to its next
    int key_;                  // first one of the warp's slice of the next step
    int begin_ = 0, end_ = 0;
    int num_copied_ = 0;
    i32 page_ = 0;
};

// The block's keys; false where there is nothing to do, which all blocks of a sequence and row tile find. The
// predecessor may still be running where the past is ready.
template <AttentionRow R>
__device__ inline bool find_slices(const AttentionArgs& args, BlockWork& work, KeySlices<R>& slices) {
    if (!args.past_is_ready) ptx::wait_for_predecessor();
    const Lengths lengths(args, work.sequence, [&](const i32* at) { return load_length(args, at); });
    slices.request_first();
    if (!find_keys<R>(args, lengths, work)) return false;
    work.kv_begin = work.kv_first / R.kv_tile * R.kv_tile + work.split * R.kv_tile;
    work.kv_end = work.visible_keys(args, work.first_row + R.tile_rows - 1);
    slices.limit(work, lengths.kv_start);
    return true;
}

// The warps' sums over the slices of their block. Waits for the predecessor: where the past is ready, when
// the copies of the first slices are under way, unless it writes keys of theirs.
template <AttentionRow R, class WhenWaited>
__device__ inline void attend_slices(const AttentionArgs& args, const BlockWork& work, KeySlices<R>& slices,
                                     SoftmaxRows<R>& softmax, AttentionShared<R>& shared,
                                     WhenWaited&& when_waited) {
    static_assert(R.tile_rows == kMmaRows && R.kv_tile == 16 * R.kv_warps && !R.elementwise);
    const int stride = args.num_splits * R.kv_tile;
    const int num_steps = (work.kv_end - work.kv_begin + stride - 1) / stride;
    const bool early = KeySlices<R>::kReadOnce && args.past_is_ready &&
                       slices.first_are_before(work.kv_len - work.q_len, num_steps);
    if (!early) ptx::wait_for_predecessor();
    constexpr int kAhead = KeySlices<R>::kAhead;
#pragma unroll 1
    for (int stage = 0; stage < kAhead; ++stage) {
        if (stage < num_steps) slices.copy(shared.steps[stage]);
        ptx::cp_async_commit();
    }
    if (early) ptx::wait_for_predecessor();
    when_waited();

    if constexpr (reads_codes(R))
        softmax.key_scale = scale_of_head(args.k_scale, args.k_scale_stride, work.kv_head) *
                            code_factor<R, Storage<R.dtype>>();
    Query<R> query;
    load_query<R>(args, work, work.first_row,
                  [&](int step, int i, u32 value) { query.keep(shared, step, i, value); });
    if constexpr (Query<R>::kIsCommon) __syncthreads();
    const int lane_row = work.first_row + lane_id() / 4;
    const int first_limit = work.visible_keys(args, work.first_row);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        softmax.first[half] = work.first_key(args, lane_row + 8 * half);
        softmax.limit[half] = work.visible_keys(args, lane_row + 8 * half);
    }
    const u32 k_row = SoftmaxRows<R>::first_k_row(warp_id() * 16),
              v_row = SoftmaxRows<R>::first_v_row(warp_id() * 16);

    int stage = 0, stage_ahead = kAhead % R.stages;
    for (int step = 0; step < num_steps; ++step) {
        ptx::cp_async_wait<kAhead - 1>();
        __syncwarp();
        const auto copy_ahead = [&] {
            if (step + kAhead < num_steps) slices.copy(shared.steps[stage_ahead]);
            ptx::cp_async_commit();
        };
        if (kAhead < R.stages) copy_ahead();

        const int first_key = work.kv_begin + step * stride + warp_id() * 16;
        if (first_key < work.kv_end) {
            const bool masked = first_key + 16 > first_limit || softmax.one_begins_after(args, first_key);
            softmax.template attend<16>(
                args, [&](int depth, u32(&a)[4]) { query.get(shared, depth, a); },
                ptx::shared_address(shared.steps[stage].k) + k_row,
                ptx::shared_address(shared.steps[stage].v) + v_row,
                PackedBlocks<R>(shared.steps[stage], warp_id() * 16), first_key, masked);
        }
        if (kAhead == R.stages) {
            __syncwarp();  // all lanes have read this step
            copy_ahead();
        }
        stage = stage + 1 == R.stages ? 0 : stage + 1;
        stage_ahead = stage_ahead + 1 == R.stages ? 0 : stage_ahead + 1;
    }
    ptx::cp_async_wait<0>();
    __syncwarp();
}

}  // namespace warpwright
