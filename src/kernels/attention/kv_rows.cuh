// SPDX-License-Identifier: Apache-2.0
// A warp's copies of rows of K and V into shared memory, ragged or paged. Lane l addresses row l % 16 of the
// warp's slice of a step, of K in the lower half of the warp and of V in the upper one; the addresses of a
// step are made (and its page numbers read) one step before they are needed.
#pragma once

#include "kernels/attention/block.cuh"
#include "ptx/cp_async.cuh"
#include "tile/swizzle.h"

namespace warpwright {

template <AttentionRow R>
class KvRows {
    using T = Storage<R.dtype>;
    using Map = Swizzle<R.head_dim / 8>;
    using Step = typename AttentionShared<R>::Step;
    static constexpr int kRowsPerWarp = R.kv_tile / (num_threads(R) / 32);
    static_assert(!R.elementwise && kRowsPerWarp <= 16 && kRowsPerWarp * R.head_dim % 256 == 0);

public:
    __device__ KvRows(const AttentionArgs& args, const BlockWork& work) : args_(args) {
        const bool is_k = lane_id() < 16;
        const i64 head_stride = is_k ? args.k_head_stride : args.v_head_stride;
        token_stride_ = is_k ? args.k_token_stride : args.v_token_stride;
        page_stride_ = is_k ? args.k_page_stride : args.v_page_stride;
        base_ = static_cast<const T*>(is_k ? args.k : args.v) + work.kv_head * head_stride;
        pages_ = nullptr;
        if (args.page_table != nullptr) {
            pages_ = args.page_table + i64{work.sequence} * args.page_table_stride;
        } else {
            base_ += i64{args.kv_starts[work.sequence]} * token_stride_;
        }
        begin_ = work.kv_first;
        end_ = work.kv_end;
        key_ = work.kv_begin + warp_id() * kRowsPerWarp;
        address(true);
    }

    // Starts the copy of the warp's slice of the next step. Keys before the window and from the end on are
    // zeros: a masked score has the weight 0, which would not silence a NaN in V. Only the first step has
    // keys before the window.
    __device__ void copy(Step& step, bool is_first) {
        const int first_row = warp_id() * kRowsPerWarp;
        copy_vectors(step, first_row, is_first);
        key_ += R.kv_tile;
        address(false);
    }

private:
    __device__ bool is_read(int key, bool is_first) const {
        return (!is_first || key >= begin_) && key < end_;
    }

    // Table entries and rows of other keys are not touched.
    __device__ void address(bool is_first) {
        const int key = key_ + lane_id() % 16;
        i64 offset = 0;
        if (is_read(key, is_first)) {
            if (args_.page_table != nullptr) {
                const int in_page = key & ((1 << args_.page_shift) - 1);
                offset = i64{pages_[key >> args_.page_shift]} * page_stride_ + i64{in_page} * token_stride_;
            } else {
                offset = i64{key} * token_stride_;
            }
        }
        row_ = reinterpret_cast<u64>(base_ + offset);
    }

    __device__ void copy_vectors(Step& step, int first_row, bool is_first) const {
        constexpr int kVectors = R.head_dim / 8;
        const u32 k_shared = ptx::shared_address(step.k), v_shared = ptx::shared_address(step.v);
#pragma unroll
        for (int i = 0; i < kRowsPerWarp * kVectors / 32; ++i) {
            const int row = (i * 32 + lane_id()) / kVectors, vector = (i * 32 + lane_id()) % kVectors;
            const u64 k = __shfl_sync(~0u, row_, row), v = __shfl_sync(~0u, row_, row + 16);
            const int bytes = is_read(key_ + row, is_first) && vector * 8 < args_.head_dim ? 16 : 0;
            const u32 offset = Map::offset_bytes(first_row + row, vector);
            ptx::cp_async_16(k_shared + offset, reinterpret_cast<const void*>(k + vector * 16), bytes);
            ptx::cp_async_16(v_shared + offset, reinterpret_cast<const void*>(v + vector * 16), bytes);
        }
    }

    const AttentionArgs& args_;
    const T* base_;
    i32 token_stride_, page_stride_;
    const i32* pages_;
    int begin_, end_;
    int key_;  // first key of the warp's slice of the next step
    u64 row_;  // this lane's row of it
};

}  // namespace warpwright
