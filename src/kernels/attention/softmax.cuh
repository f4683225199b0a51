// SPDX-License-Identifier: Apache-2.0
// One warp, 16 query rows, a slice of keys in shared memory: S = Q K^T, online softmax in base 2, O += P V.
//
// A lane holds rows lane / 4 and lane / 4 + 8 of S and O (ptx/mma.cuh has the map). Two neighbouring 8-column
// blocks of S are the A operand of P V as they lie: P is rounded to the storage type and repacked in place.
#pragma once

#include "kernels/attention/packed.cuh"
#include "ptx/math.cuh"
#include "ptx/mma.cuh"
#include "tile/swizzle.h"
#include "tile/tanh.cuh"

namespace warpwright {

template <AttentionRow R, bool coded = reads_codes(R)>
struct KeyScale {};
template <AttentionRow R>
struct KeyScale<R, true> {
    float key_scale;  // that scores are multiplied by
};

template <AttentionRow R>
struct SoftmaxRows : KeyScale<R> {
    using T = Storage<R.dtype>;
    static constexpr int kVectorElements = !reads_codes(R) ? 8 : is_packed(R) ? 32 : 16;
    using Map = Swizzle<R.head_dim / kVectorElements>;
    using ValueMap = Swizzle<value_dim(R) / kVectorElements>;
    static constexpr int kDepthSteps = R.head_dim / 16;  // m16n8k16 steps along head_dim

    float out[value_dim(R) / 8][4];
    float max[2];  // of the scores before scale_log2
    float sum[2];  // of this lane's columns until total_sums()
    int first[2];  // keys that the row sees: from this one
    int limit[2];  // up to this one

    __device__ SoftmaxRows() {
#pragma unroll
        for (auto& block : out) block[0] = block[1] = block[2] = block[3] = 0;
        max[0] = max[1] = -infinity();
        sum[0] = sum[1] = 0;
    }

    __device__ void total_sums() {
#pragma unroll
        for (float& value : sum) {
            value += __shfl_xor_sync(~0u, value, 1);
            value += __shfl_xor_sync(~0u, value, 2);
        }
    }

    // Whether the windows of all rows of the warp begin behind the keys before this one; whether that of some
    // row begins behind this key. Votes, as kept numbers would cost registers.
    __device__ bool all_begin_from(const AttentionArgs& args, int key) const {
        return args.has_first && !__any_sync(~0u, first[0] < key);
    }
    __device__ bool one_begins_after(const AttentionArgs& args, int key) const {
        return args.has_first && __any_sync(~0u, first[1] > key);
    }

    // Raises the maxima to cover these scores and rescales what was summed under the old ones.
    template <int kBlocks>
    __device__ void raise_max(const float (&s)[kBlocks][4], float scale_log2) {
        float raised[2] = {max[0], max[1]};
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
            for (int n = 0; n < kBlocks; ++n) {
                raised[half] = fmaxf(raised[half], fmaxf(s[n][2 * half], s[n][2 * half + 1]));
            }
            raised[half] = fmaxf(raised[half], __shfl_xor_sync(~0u, raised[half], 1));
            raised[half] = fmaxf(raised[half], __shfl_xor_sync(~0u, raised[half], 2));
        }
        if (!__any_sync(~0u, raised[0] != max[0] || raised[1] != max[1])) return;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const float factor =
                max[half] == -infinity() ? 0 : ptx::exp2_approx((max[half] - raised[half]) * scale_log2);
            max[half] = raised[half];
            sum[half] *= factor;
#pragma unroll
            for (auto& block : out) {
                block[2 * half] *= factor;
                block[2 * half + 1] *= factor;
            }
        }
    }

    // k and v: the shared addresses of this lane's ldmatrix row of vector 0 (see first_k_row, first_v_row).
    template <int kKeys, class Query>  // query(depth step, fragment)
    __device__ void attend(const AttentionArgs& args, Query&& query, u32 k, u32 v, PackedBlocks<R> blocks,
                           int first_key, bool masked) {
        constexpr int kRowBytes = R.head_dim * 2;
        float s[kKeys / 8][4] = {};
        if constexpr (reads_codes(R)) {
            if constexpr (is_packed(R)) {
                score_packed<R>(query, k, blocks, s);
            } else {
                score_codes<R>(query, k, s);
            }
#pragma unroll
            for (auto& block : s) {
#pragma unroll
                for (float& score : block) score *= this->key_scale;
            }
        } else {
#pragma unroll
            for (int step = 0; step < kDepthSteps; ++step) {
                u32 a[4];
                query(step, a);
#pragma unroll
                for (int n = 0; n < kKeys / 16; ++n) {
                    u32 b[2][2];
                    ptx::ldmatrix_x4(b[0][0], b[0][1], b[1][0], b[1][1],
                                     Map::advance(k, 2 * step) + n * 16 * kRowBytes);
                    ptx::mma<T>(s[2 * n], a, b[0]);
                    ptx::mma<T>(s[2 * n + 1], a, b[1]);
                }
            }
        }
        if (args.tanh_scale != 0) warp_tanh<kKeys / 8 * 4>(s[0], args.tanh_scale);
        if (masked) {
#pragma unroll
            for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int key = first_key + n * 8 + 2 * (lane_id() % 4) + i % 2;
                    if (key < first[i / 2] || key >= limit[i / 2]) s[n][i] = -infinity();
                }
            }
        }
        const float scale_log2 = args.scale_log2;
        raise_max(s, scale_log2);
        // why: a row that has seen no key yet keeps weights of 0, not 2^(-infinity + infinity).
        const float offset[2] = {max[0] == -infinity() ? 0 : max[0] * scale_log2,
                                 max[1] == -infinity() ? 0 : max[1] * scale_log2};
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                s[n][i] = ptx::exp2_approx(s[n][i] * scale_log2 - offset[i / 2]);
                sum[i / 2] += s[n][i];
            }
        }
        if constexpr (reads_codes(R)) {
            if constexpr (is_packed(R)) {
                add_packed_values<R>(v, blocks, s, out);
            } else {
                add_coded_values<R>(v, s, out);
            }
        } else {
#pragma unroll
            for (int n = 0; n < kKeys / 16; ++n) {
                const u32 p[4] = {ptx::pack<T>(s[2 * n][0], s[2 * n][1]),
                                  ptx::pack<T>(s[2 * n][2], s[2 * n][3]),
                                  ptx::pack<T>(s[2 * n + 1][0], s[2 * n + 1][1]),
                                  ptx::pack<T>(s[2 * n + 1][2], s[2 * n + 1][3])};
#pragma unroll
                for (int d = 0; d < kDepthSteps; ++d) {
                    u32 b[2][2];
                    ptx::ldmatrix_x4_trans(b[0][0], b[0][1], b[1][0], b[1][1],
                                           Map::advance(v, 2 * d) + n * 16 * kRowBytes);
                    ptx::mma<T>(out[2 * d], p, b[0]);
                    ptx::mma<T>(out[2 * d + 1], p, b[1]);
                }
            }
        }
    }

    // K is read as [keys][head_dim]: matrices (keys 0-7, d 0-7), (0-7, 8-15), (8-15, 0-7), (8-15, 8-15).
    __device__ static u32 first_k_row(int first_row) {
        const int lane = lane_id();
        return Map::offset_bytes(first_row + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    }
    // V is read transposed: matrices (keys 0-7, d 0-7), (8-15, 0-7), (0-7, 8-15), (8-15, 8-15).
    __device__ static u32 first_v_row(int first_row) {
        const int lane = lane_id();
        return ValueMap::offset_bytes(first_row + lane % 16, lane / 16);
    }
};

}  // namespace warpwright
