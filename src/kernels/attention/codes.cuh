// SPDX-License-Identifier: Apache-2.0
// Keys and values of 8 bits: a warp's products with the codes of a slice, and a step of codes made numbers
// for all warps of a block.
//
// ldmatrix moves pairs of codes as it moves 16-bit numbers, so that a lane gets codes c0 to c3 of
//   a key, columns 4 * member to 4 * member + 3         which the query has in the same order (load_query)
//   keys 2 * member and 2 * member + 1 (transposed), two neighbouring columns of each: (c0, c2) and (c1, c3)
//   are the two keys' even and odd columns, a B operand each. Outputs 2 * n of 16 columns are then the even
//   ones of them, outputs 2 * n + 1 the odd ones.
#pragma once

#include "kernels/attention/block.cuh"
#include "ptx/mma.cuh"
#include "tile/swizzle.h"

namespace warpwright {

// S of 16 keys; k: SoftmaxRows::first_k_row's address.
template <AttentionRow R, class Query>  // query(depth step, fragment)
__device__ inline void score_codes(Query&& query, u32 k, float (&s)[2][4]) {
    using T = Storage<R.dtype>;
    using Map = Swizzle<R.head_dim / 16>;
#pragma unroll
    for (int step = 0; step < R.head_dim / 32; ++step) {
        u32 codes[2][2];  // of eight keys, of a depth step
        ptx::ldmatrix_x4(codes[0][0], codes[0][1], codes[1][0], codes[1][1], Map::advance(k, 2 * step));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            u32 a[4];
            query(2 * step + half, a);
#pragma unroll
            for (int n = 0; n < 2; ++n) {
                const CodePairs pairs = alternating_pairs<T, R.kv_format, kConvertsFp8>(codes[n][half]);
                ptx::mma<T>(s[n], a, {pairs.first, pairs.second});
            }
        }
    }
}

// O += P V of 16 keys; v: SoftmaxRows::first_v_row's address, s: the weights.
template <AttentionRow R>
__device__ inline void add_coded_values(u32 v, const float (&s)[2][4], float (&out)[R.head_dim / 8][4]) {
    using V = ValueType<R>;
    using Map = Swizzle<R.head_dim / 16>;
    const u32 p[4] = {ptx::pack<V>(s[0][0], s[0][1]), ptx::pack<V>(s[0][2], s[0][3]),
                      ptx::pack<V>(s[1][0], s[1][1]), ptx::pack<V>(s[1][2], s[1][3])};
#pragma unroll
    for (int step = 0; step < R.head_dim / 32; ++step) {
        u32 codes[2][2];  // of 16 columns, of eight keys
        ptx::ldmatrix_x4_trans(codes[0][0], codes[0][1], codes[1][0], codes[1][1], Map::advance(v, 2 * step));
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            const CodePairs low = alternating_pairs<V, R.kv_format, kConvertsFp8>(codes[n][0]);
            const CodePairs high = alternating_pairs<V, R.kv_format, kConvertsFp8>(codes[n][1]);
            ptx::mma<V>(out[4 * step + 2 * n], p, {low.first, high.first});
            ptx::mma<V>(out[4 * step + 2 * n + 1], p, {low.second, high.second});
        }
    }
}

// A lane's outputs of the columns from first_of_four(n) on.
template <AttentionRow R>
__device__ inline int first_of_four(int n) {
    const int member = lane_id() % 4;
    return is_packed(R) ? n / 2 * 32 + 8 * member + n % 2 * 4 : n * 16 + 4 * member;
}
template <AttentionRow R, int kBlocks>
__device__ inline float4 four_columns(const float (&out)[kBlocks][4], int n, int half) {
    if constexpr (is_packed(R)) {
        const int first = n / 2 * 4, i = 2 * half + n % 2;
        return {out[first][i], out[first + 1][i], out[first + 2][i], out[first + 3][i]};
    }
    const float(&even)[4] = out[2 * n];
    const float(&odd)[4] = out[2 * n + 1];
    return {even[2 * half], odd[2 * half], even[2 * half + 1], odd[2 * half + 1]};
}

template <class T, KvFormat format>
__device__ inline U32x4 eight_numbers(u32 low_codes, u32 high_codes) {
    const CodePairs low = neighbouring_pairs<T, format, kConvertsFp8>(low_codes);
    const CodePairs high = neighbouring_pairs<T, format, kConvertsFp8>(high_codes);
    return {low.first, low.second, high.first, high.second};
}

// Sixteen numbers of sixteen codes are two vectors. Of the lanes that share a row each second four store the
// second one first: so stores of eight lanes touch every bank once.
template <class T, AttentionRow R>
__device__ inline void widen_rows(u32 codes, u32 numbers) {
    constexpr int kVectors = R.head_dim / 16, kAll = R.kv_tile * kVectors, kThreads = num_threads(R);
    static_assert(kAll % kThreads == 0);
#pragma unroll
    for (int i = 0; i < kAll / kThreads; ++i) {
        const int index = i * kThreads + static_cast<int>(threadIdx.x);
        const int row = index / kVectors, vector = index % kVectors;
        const U32x4 from = ptx::load_shared(codes + Swizzle<kVectors>::offset_bytes(row, vector));
        const U32x4 low = eight_numbers<T, R.kv_format>(from.x, from.y);
        const U32x4 high = eight_numbers<T, R.kv_format>(from.z, from.w);
        const int first = vector / 4 % 2;
        const u32 to = numbers + Swizzle<2 * kVectors>::offset_bytes(row, 2 * vector + first);
        ptx::store_shared(to, first == 0 ? low : high);
        ptx::store_shared(to ^ 16, first == 0 ? high : low);
    }
}

template <AttentionRow R>
__device__ inline void widen_step(const KvStep<R, u8>& codes, KvStep<R, u16>& numbers) {
    widen_rows<Storage<R.dtype>, R>(ptx::shared_address(codes.k), ptx::shared_address(numbers.k));
    widen_rows<ValueType<R>, R>(ptx::shared_address(codes.v), ptx::shared_address(numbers.v));
}

// What warps read of a step.
template <AttentionRow R>
__device__ inline KvStep<R, u16>& numbers_of(AttentionShared<R>& shared, int stage) {
    if constexpr (copies_codes(R)) {
        return shared.wide;
    } else {
        return shared.steps[stage];
    }
}

}  // namespace warpwright
