// SPDX-License-Identifier: Apache-2.0
// One warp's arithmetic of prefill: S = Q K^T, online softmax in base 2, O += P V, for one or two tiles of 16
// rows that read every fragment of K and V once between them. Each tile is as in softmax.cuh.
//
// The weights of a step are of the maxima so far plus some headroom, so that outputs are rescaled only where
// a maximum rises by more than that: in a row's first step, and seldom after it.
#pragma once

#include "kernels/attention/biases.cuh"
#include "kernels/attention/softmax.cuh"

namespace warpwright {

template <AttentionRow R>
struct WarpRows {
    using T = Storage<R.dtype>;
    using Map = Swizzle<R.head_dim / 8>;
    using ValueMap = Swizzle<value_dim(R) / 8>;
    using Scores = float[R.warp_rows / kMmaRows][R.kv_tile / 8][4];
    static constexpr int kTiles = R.warp_rows / kMmaRows;
    static constexpr int kDepthSteps = R.head_dim / 16;  // m16n8k16 steps along head_dim
    static constexpr int kRowBytes = R.head_dim * 2;

    SoftmaxRows<R> tiles[kTiles];  // their first and limit are not used: masks are seldom, and made anew

    // k: the shared address of this lane's ldmatrix row of vector 0 (SoftmaxRows::first_k_row).
    template <class Query>  // query.get(tile, depth step, fragment)
    __device__ static void score(const Query& query, u32 k, Scores& s) {
#pragma unroll
        for (int step = 0; step < kDepthSteps; ++step) {
            u32 a[kTiles][4];
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) query.get(tile, step, a[tile]);
#pragma unroll
            for (int n = 0; n < R.kv_tile / 16; ++n) {
                u32 b[2][2];
                ptx::ldmatrix_x4(b[0][0], b[0][1], b[1][0], b[1][1],
                                 Map::advance(k, 2 * step) + n * 16 * kRowBytes);
#pragma unroll
                for (int tile = 0; tile < kTiles; ++tile) {
                    ptx::mma<T>(s[tile][2 * n], a[tile], b[0]);
                    ptx::mma<T>(s[tile][2 * n + 1], a[tile], b[1]);
                }
            }
        }
    }

    __device__ static void multiply(Scores& s, float factor) {
#pragma unroll
        for (auto& tile : s) {
#pragma unroll
            for (auto& block : tile) {
#pragma unroll
                for (float& score : block) score *= factor;
            }
        }
    }

    // row: this lane's first packed row. Keys before a row's window (unless all see the first key) and from
    // its end on get no weight.
    template <bool from_start>
    __device__ static void mask(const AttentionArgs& args, const BlockWork& work, int row, int first_key,
                                Scores& s) {
#pragma unroll
        for (int half = 0; half < 2 * kTiles; ++half) {
            const int limit = work.visible_keys(args, row + 8 * half);
            const int first = from_start ? 0 : work.first_key(args, row + 8 * half);
#pragma unroll
            for (int i = 0; i < R.kv_tile / 4; ++i) {
                const int key = first_key + i / 2 * 8 + 2 * (lane_id() % 4) + i % 2;
                if (key >= limit || (!from_start && key < first))
                    s[half / 2][i / 2][half % 2 * 2 + i % 2] = -infinity();
            }
        }
    }

    // own: the lane's first packed row of the warp's. What few calls ask for: biases.cuh.
    __device__ static void add_biases(const AttentionArgs& args, const BlockWork& work, const BiasedRow* own,
                                      int first_key, const MaskBits<R.kv_tile> (&bits)[kTiles], Scores& s) {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            if (args.alibi_slopes != nullptr) add_alibi(work, own + tile * kMmaRows, first_key, s[tile]);
            if (args.mask != nullptr) bits[tile].apply(s[tile]);
        }
    }

    __device__ void raise_max(const Scores& s, float scale_log2) {
        float raised[2 * kTiles];
        if (__any_sync(~0u, rises_in(s, scale_log2, raised))) rescale(scale_log2, raised);
    }

    // Whether a row of this lane's columns has a score for which its maximum must rise; the columns' maxima.
    __device__ bool rises_in(const Scores& s, float scale_log2, float (&raised)[2 * kTiles]) const {
        bool rises = false;
#pragma unroll
        for (int half = 0; half < 2 * kTiles; ++half) {
            float value = fmaxf(s[half / 2][0][half % 2 * 2], s[half / 2][0][half % 2 * 2 + 1]);
#pragma unroll
            for (int n = 1; n < R.kv_tile / 8; ++n) {
                value = fmaxf(value, fmaxf(s[half / 2][n][half % 2 * 2], s[half / 2][n][half % 2 * 2 + 1]));
            }
            raised[half] = value;
            rises = rises || rises_above(value, tiles[half / 2].max[half % 2], scale_log2);
        }
        return rises;
    }

    __device__ void rescale(float scale_log2, const float (&raised)[2 * kTiles]) {
#pragma unroll
        for (int half = 0; half < 2 * kTiles; ++half) {
            SoftmaxRows<R>& rows = tiles[half / 2];
            const float before = rows.max[half % 2];
            float value = raised[half];
            value = fmaxf(value, __shfl_xor_sync(~0u, value, 1));
            value = fmaxf(value, __shfl_xor_sync(~0u, value, 2));
            // why: by row, so that a row's bits do not depend on its neighbours.
            if (!rises_above(value, before, scale_log2)) value = before;
            const float factor = before == -infinity() ? 0 : ptx::exp2_approx((before - value) * scale_log2);
            rows.max[half % 2] = value;
            rows.sum[half % 2] *= factor;
#pragma unroll
            for (auto& block : rows.out) {
                block[half % 2 * 2] *= factor;
                block[half % 2 * 2 + 1] *= factor;
            }
        }
    }

    // v: the shared address of this lane's ldmatrix row of vector 0 (SoftmaxRows::first_v_row).
    __device__ void add_values(Scores& s, u32 v, float scale_log2) {
        float offset[2 * kTiles];
#pragma unroll
        for (int half = 0; half < 2 * kTiles; ++half) {
            // why: a row that has seen no key yet keeps weights of 0, not 2^(-infinity + infinity).
            const float max = tiles[half / 2].max[half % 2];
            offset[half] = max == -infinity() ? 0 : max * scale_log2;
        }
#pragma unroll
        for (int n = 0; n < R.kv_tile / 16; ++n) {
            u32 p[kTiles][4];
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                weigh(s[tile][2 * n], &offset[2 * tile], scale_log2, tiles[tile].sum, p[tile][0], p[tile][1]);
                weigh(s[tile][2 * n + 1], &offset[2 * tile], scale_log2, tiles[tile].sum, p[tile][2],
                      p[tile][3]);
            }
#pragma unroll
            for (int d = 0; d < value_dim(R) / 16; ++d) {
                u32 b[2][2];
                ptx::ldmatrix_x4_trans(b[0][0], b[0][1], b[1][0], b[1][1],
                                       ValueMap::advance(v, 2 * d) + n * 16 * value_dim(R) * 2);
#pragma unroll
                for (int tile = 0; tile < kTiles; ++tile) {
                    ptx::mma<ValueType<R>>(tiles[tile].out[2 * d], p[tile], b[0]);
                    ptx::mma<ValueType<R>>(tiles[tile].out[2 * d + 1], p[tile], b[1]);
                }
            }
        }
    }

private:
    // log2 of the largest weight. Outputs and sums are fp32, and 2^8 is far from the end of every storage
    // type.
    static constexpr float kHeadroom = 8;

    __device__ static bool rises_above(float score, float max, float scale_log2) {
        return (score - max) * scale_log2 > kHeadroom;
    }

    // Scores of 8 keys become weights, which are summed and packed for the product with V.
    __device__ static void weigh(float (&s)[4], const float* offset, float scale_log2, float (&sum)[2],
                                 u32& low, u32& high) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            s[i] = ptx::exp2_approx(s[i] * scale_log2 - offset[i / 2]);
            sum[i / 2] += s[i];
        }
        low = ptx::pack<ValueType<R>>(s[0], s[1]);
        high = ptx::pack<ValueType<R>>(s[2], s[3]);
    }
};

}  // namespace warpwright
