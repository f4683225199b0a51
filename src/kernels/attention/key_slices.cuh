// SPDX-License-Identifier: Apache-2.0
// The keys of a block of 16 packed query rows, divided in two ways: of the steps over a sequence's keys a
// block has every num_splits-th, and of a step each warp has a slice of 16 keys, through buffers of its own
// without barriers.
//
//   lengths, page numbers of the first steps | keys and values of the first steps, query | softmax | ...
//
// Which keys a block begins with does not depend on a length, so that page numbers are read beside the
// lengths.
#pragma once

#include "kernels/attention/block.cuh"
#include "kernels/attention/softmax.cuh"
#include "ptx/cp_async.cuh"
#include "tile/swizzle.h"

namespace warpwright {

// A warp's copies of its slices of K and V.
template <AttentionRow R>
class KeySlices {
    using T = Storage<R.dtype>;
    using Map = Swizzle<R.head_dim / 8>;
    using Step = typename AttentionShared<R>::Step;
    static constexpr int kVectors = R.head_dim / 8;
    static constexpr int kKeys = 16;

public:
    // Steps under way before the first is waited for. The few SMs of clusters need all that they have room
    // for; where all SMs copy, more than needed makes the first keys late, measured.
    static constexpr int kAhead = R.clusters ? R.stages : R.stages - 1;

    // Nothing is read yet.
    __device__ KeySlices(const AttentionArgs& args, const BlockWork& place)
        : args_(args),
          k_(static_cast<const T*>(args.k) + i64{place.kv_head} * args.k_head_stride),
          v_(static_cast<const T*>(args.v) + i64{place.kv_head} * args.v_head_stride),
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
    __device__ void request_first(const BlockWork& place) {
        if (pages_ == nullptr) {
            const i64 start = args_.kv_starts[place.sequence];
            k_ += start * args_.k_token_stride;
            v_ += start * args_.v_token_stride;
        } else if (args_.window_left < 0) {
            request_pages();
        }
    }

    // The keys that there are; `first_key`, of the block's first step, is another one where a window begins.
    __device__ void limit(const BlockWork& work, int first_key) {
        begin_ = work.kv_first;
        end_ = work.kv_end;
        if (args_.window_left < 0) return;
        key_ = first_key + warp_id() * kKeys;
        if (pages_ != nullptr) request_pages();
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
        page_ = index < args_.max_pages ? ptx::load_i32(pages_ + index) : 0;
    }

    __device__ i64 offset(i32 page, int key, i32 page_stride, i32 token_stride) const {
        return i64{page} * page_stride + i64{key & page_mask_} * token_stride;
    }

    __device__ void copy_whole(Step& step, i32 page) const {
        const T* k = k_ + offset(page, key_, args_.k_page_stride, args_.k_token_stride);
        const T* v = v_ + offset(page, key_, args_.v_page_stride, args_.v_token_stride);
        const u32 k_shared = ptx::shared_address(step.k), v_shared = ptx::shared_address(step.v);
#pragma unroll
        for (int i = 0; i < kKeys * kVectors / 32; ++i) {
            const int row = (i * 32 + lane_id()) / kVectors, vector = (i * 32 + lane_id()) % kVectors;
            const u32 to = Map::offset_bytes(warp_id() * kKeys + row, vector);
            ptx::cp_async_16(k_shared + to, k + i64{row} * args_.k_token_stride + vector * 8);
            ptx::cp_async_16(v_shared + to, v + i64{row} * args_.v_token_stride + vector * 8);
        }
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
            own_row += 2 * offset(page, own_key, is_k ? args_.k_page_stride : args_.v_page_stride,
                                  is_k ? args_.k_token_stride : args_.v_token_stride);
        }
        const u32 k_shared = ptx::shared_address(step.k), v_shared = ptx::shared_address(step.v);
#pragma unroll
        for (int i = 0; i < kKeys * kVectors / 32; ++i) {
            const int row = (i * 32 + lane_id()) / kVectors, vector = (i * 32 + lane_id()) % kVectors;
            const u64 k = __shfl_sync(~0u, own_row, row), v = __shfl_sync(~0u, own_row, row + 16);
            const int bytes = is_read(key_ + row) && vector * 8 < args_.head_dim ? 16 : 0;
            const u32 to = Map::offset_bytes(warp_id() * kKeys + row, vector);
            ptx::cp_async_16(k_shared + to, reinterpret_cast<const void*>(k + vector * 16), bytes);
            ptx::cp_async_16(v_shared + to, reinterpret_cast<const void*>(v + vector * 16), bytes);
        }
    }

    const AttentionArgs& args_;
    const T *k_, *v_;
    const i32* pages_ = nullptr;
    int page_mask_ = ~0;       // of the bits of a key that count within its page; ragged keys are one page
    bool in_one_page_ = true;  // each slice
    int stride_;               // keys from a step of this block to its next
    int key_;                  // first one of the warp's slice of the next step
    int begin_ = 0, end_ = 0;
    int num_copied_ = 0;
    i32 page_ = 0;
};

// The block's work, and its warps' sums over their keys; false where there is nothing to do, which all blocks
// of a sequence and row tile find.
template <AttentionRow R>
__device__ inline bool attend_slices(const AttentionArgs& args, BlockWork& work, KeySlices<R>& slices,
                                     SoftmaxRows<R>& softmax, AttentionShared<R>& shared) {
    static_assert(R.tile_rows == kMmaRows && R.kv_tile == 16 * R.kv_warps && !R.elementwise);
    slices.request_first(work);
    if (!read_lengths<R>(args, work)) return false;
    const int stride = args.num_splits * R.kv_tile;
    const int begin = work.kv_first / R.kv_tile * R.kv_tile + work.split * R.kv_tile;
    work.kv_end = work.visible_keys(args, work.first_row + R.tile_rows - 1);
    slices.limit(work, begin);
    const int num_steps = (work.kv_end - begin + stride - 1) / stride;
    constexpr int kAhead = KeySlices<R>::kAhead;
#pragma unroll 1
    for (int stage = 0; stage < kAhead; ++stage) {
        if (stage < num_steps) slices.copy(shared.steps[stage]);
        ptx::cp_async_commit();
    }

    Query<R> query;
    load_query<R>(args, work, work.first_row,
                  [&](int step, int i, u32 value) { query.keep(shared, step, i, value); });
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

        const int first_key = begin + step * stride + warp_id() * 16;
        if (first_key < work.kv_end) {
            const bool masked = first_key + 16 > first_limit || softmax.one_begins_after(args, first_key);
            softmax.template attend<16>(
                args, [&](int depth, u32(&a)[4]) { query.get(shared, depth, a); },
                ptx::shared_address(shared.steps[stage].k) + k_row,
                ptx::shared_address(shared.steps[stage].v) + v_row, first_key, masked);
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
    return true;
}

}  // namespace warpwright
