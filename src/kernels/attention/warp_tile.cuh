// SPDX-License-Identifier: Apache-2.0
// The packed rows of one warp in shared memory, swizzled 16-byte vectors: the query comes in through them,
// and the output leaves. No other warp touches them.
#pragma once

#include "kernels/attention/block.cuh"
#include "ptx/cp_async.cuh"
#include "tile/swizzle.h"

namespace warpwright {

template <AttentionRow R>
class WarpTile {
    using T = Storage<R.dtype>;
    using Map = Swizzle<R.head_dim / 8>;
    static constexpr int kVectors = R.head_dim / 8;
    static constexpr int kPasses = R.warp_rows * kVectors / 32;
    using OutMap = Swizzle<value_dim(R) / 8>;
    static constexpr int kOutVectors = value_dim(R) / 8;
    static_assert(R.warp_rows * kVectors % 32 == 0 && R.warp_rows * kOutVectors % 32 == 0);
    static_assert(kOutVectors <= kVectors);

public:
    static constexpr int kElements = R.warp_rows * R.head_dim;

    // first_row: the packed row of the sequence that is the warp's first. elements: of all warps.
    __device__ WarpTile(const AttentionArgs& args, const BlockWork& work, int first_row, u16* elements)
        : args_(args), work_(work), first_row_(first_row), elements_(elements + warp_id() * kElements) {}

    // Starts the copies of the query. Rows past the end repeat the last one: what they compute is not stored.
    __device__ void copy_query() {
        const int row = min(first_row_ + lane_id() % R.warp_rows, work_.num_rows - 1);
        const u64 lane_row =
            reinterpret_cast<u64>(static_cast<const T*>(args_.q) + token(row) * args_.q_token_stride +
                                  head(row) * args_.q_head_stride);
        if constexpr (R.elementwise) {
            for (int r = 0; r < R.warp_rows; ++r) {
                const T* q = reinterpret_cast<const T*>(__shfl_sync(~0u, lane_row, r));
                for (int column = lane_id(); column < R.head_dim; column += 32) {
                    elements_[Map::offset_bytes(r, column / 8) / 2 + column % 8] =
                        column < args_.head_dim ? q[column].bits : 0;
                }
            }
        } else {
            const u32 shared = ptx::shared_address(elements_);
#pragma unroll
            for (int pass = 0; pass < kPasses; ++pass) {
                const int r = (pass * 32 + lane_id()) / kVectors, vector = (pass * 32 + lane_id()) % kVectors;
                const u64 q = __shfl_sync(~0u, lane_row, r);
                ptx::cp_async_16(shared + Map::offset_bytes(r, vector),
                                 reinterpret_cast<const void*>(q + vector * 16),
                                 vector * 8 < args_.head_dim ? 16 : 0);
            }
        }
    }

    // The shared address of this lane's ldmatrix row of the first 16 rows, vector 0: matrices (rows 0-7, d
    // 0-7), (8-15, 0-7), (0-7, 8-15), (8-15, 8-15) are an A operand.
    __device__ u32 first_query_row() const {
        return ptx::shared_address(elements_) + Map::offset_bytes(lane_id() % 16, lane_id() / 16);
    }

    // Two neighbouring results of a row of the warp; column is even.
    __device__ void put(int row, int column, float low, float high) {
        *reinterpret_cast<u32*>(elements_ + OutMap::offset_bytes(row, column / 8) / 2 + column % 8) =
            ptx::pack<T>(low, high);
    }
    // Stores all that was put, whole vectors.
    __device__ void store() const {
        const int row = min(first_row_ + lane_id() % R.warp_rows, work_.num_rows - 1);
        const u64 lane_row =
            reinterpret_cast<u64>(static_cast<T*>(args_.out) + token(row) * args_.out_token_stride +
                                  head(row) * args_.out_head_stride);
        __syncwarp();
#pragma unroll
        for (int pass = 0; pass < R.warp_rows * kOutVectors / 32; ++pass) {
            const int index = pass * 32 + lane_id(), r = index / kOutVectors, vector = index % kOutVectors;
            const u64 out = __shfl_sync(~0u, lane_row, r);
            if (first_row_ + r >= work_.num_rows || vector * 8 >= value_columns<R>(args_)) continue;
            ptx::store(reinterpret_cast<void*>(out + vector * 16),
                       *reinterpret_cast<const U32x4*>(elements_ + OutMap::offset_bytes(r, vector) / 2));
        }
    }

private:
    __device__ i64 token(int row) const {
        return work_.q_start + row / work_.group;
    }
    __device__ i64 head(int row) const {
        return work_.kv_head * work_.group + row % work_.group;
    }

    const AttentionArgs& args_;
    const BlockWork& work_;
    int first_row_;
    u16* elements_;
};

// The A operand of S = Q K^T for the rows of a warp: read from shared memory again for every step, or kept.
template <AttentionRow R, bool in_shared = keeps_q_in_shared(R)>
struct QueryOperand {
    u32 first;  // WarpTile::first_query_row()

    __device__ void load(u32 first_row) { first = first_row; }
    __device__ void get(int tile, int step, u32 (&a)[4]) const {
        ptx::ldmatrix_x4(
            a[0], a[1], a[2], a[3],
            Swizzle<R.head_dim / 8>::advance(first, 2 * step) + tile * kMmaRows * R.head_dim * 2);
    }
};
template <AttentionRow R>
struct QueryOperand<R, false> {
    u32 kept[R.warp_rows / kMmaRows][R.head_dim / 16][4];

    __device__ void load(u32 first_row) {
#pragma unroll
        for (int tile = 0; tile < R.warp_rows / kMmaRows; ++tile) {
#pragma unroll
            for (int step = 0; step < R.head_dim / 16; ++step) {
                QueryOperand<R, true>{first_row}.get(tile, step, kept[tile][step]);
            }
        }
    }
    __device__ void get(int tile, int step, u32 (&a)[4]) const {
#pragma unroll
        for (int i = 0; i < 4; ++i) a[i] = kept[tile][step][i];
    }
};

}  // namespace warpwright
