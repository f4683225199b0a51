// SPDX-License-Identifier: Apache-2.0
// Keys and values of nvfp4: a warp's products with codes of four bits and scales of sixteen columns.
//
// ldmatrix moves four codes as it moves a 16-bit number, so that a lane gets
//   codes 8 * member to 8 * member + 7 of a key's 32       two steps along head_dim, of one block
//   keys 2 * member and 2 * member + 1 (transposed), columns 4 * (lane / 4) to 4 * (lane / 4) + 3 of each: a
//   B operand a column. Outputs 4 * n to 4 * n + 3 are columns 0 to 3 of each four of 32.
//
// Or a step of them made numbers for all warps of a block.
#pragma once

#include "kernels/attention/codes.cuh"

namespace warpwright {

// Of the 16 keys of a warp, in shared memory; others have none.
template <AttentionRow R, bool packed = is_packed(R) && reads_codes(R)>
struct PackedBlocks {
    template <class Step>
    __device__ PackedBlocks(const Step&, int) {}
};
template <AttentionRow R>
struct PackedBlocks<R, true> {
    static constexpr int kBlocks = R.head_dim / kKvBlock;
    static_assert(kBlocks == 8);
    u32 k, v;
    __device__ PackedBlocks(const PackedKvStep<R>& step, int first_key)
        : k(ptx::shared_address(step.k_blocks) + first_key * kBlocks),
          v(ptx::shared_address(step.v_blocks) + first_key * kBlocks) {}
    // Of a key: a vector's first blocks in four bytes, or the second ones.
    __device__ static u32 blocks_of(U32x2 scales, bool second) {
        return __byte_perm(scales.x, scales.y, second ? 0x7531 : 0x6420);
    }
};

// S of 16 keys; k: SoftmaxRows::first_k_row's address.
template <AttentionRow R, class Query>  // query(depth step, fragment)
__device__ inline void score_packed(Query&& query, u32 k, const PackedBlocks<R>& blocks, float (&s)[2][4]) {
    using T = Storage<R.dtype>;
    using Map = Swizzle<R.head_dim / 32>;
    u32 scales[2];  // of eight keys: of each vector the block that a lane has codes of
#pragma unroll
    for (int n = 0; n < 2; ++n)
        scales[n] = blocks.blocks_of(ptx::load_shared_8(blocks.k + (8 * n + lane_id() / 4) * blocks.kBlocks),
                                     lane_id() % 4 >= 2);
#pragma unroll
    for (int step = 0; step < R.head_dim / 64; ++step) {
        u32 codes[2][2];  // of eight keys, of a vector
        ptx::ldmatrix_x4(codes[0][0], codes[0][1], codes[1][0], codes[1][1], Map::advance(k, 2 * step));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int vector = 2 * step + half;
            u32 a[2][4];
            query(2 * vector, a[0]);
            query(2 * vector + 1, a[1]);
#pragma unroll
            for (int n = 0; n < 2; ++n) {
                const u32 scale = block_scales<T>(__byte_perm(scales[n], 0, 0x0404 | vector * 0x1010));
                const u32 c = codes[n][half];
                ptx::mma<T>(s[n], a[0], {packed_pair<T, 0>(c, scale), packed_pair<T, 1>(c, scale)});
                ptx::mma<T>(s[n], a[1], {packed_pair<T, 2>(c, scale), packed_pair<T, 3>(c, scale)});
            }
        }
    }
}

// O += P V of 16 keys; v: SoftmaxRows::first_v_row's address, s: the weights.
template <AttentionRow R>
__device__ inline void add_packed_values(u32 v, const PackedBlocks<R>& blocks, const float (&s)[2][4],
                                         float (&out)[R.head_dim / 8][4]) {
    using V = ValueType<R>;
    using Map = Swizzle<R.head_dim / 32>;
    const u32 p[4] = {ptx::pack<V>(s[0][0], s[0][1]), ptx::pack<V>(s[0][2], s[0][3]),
                      ptx::pack<V>(s[1][0], s[1][1]), ptx::pack<V>(s[1][2], s[1][3])};
    u32 scales[2][2];  // of eight keys, of a lane's two: of each vector the block that it has codes of
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const U32x4 two = ptx::load_shared(blocks.v + (8 * half + 2 * (lane_id() % 4)) * blocks.kBlocks);
        scales[half][0] = blocks.blocks_of({two.x, two.y}, lane_id() >= 16);
        scales[half][1] = blocks.blocks_of({two.z, two.w}, lane_id() >= 16);
    }
#pragma unroll
    for (int step = 0; step < R.head_dim / 64; ++step) {
        u32 codes[2][2];  // of 32 columns, of eight keys
        ptx::ldmatrix_x4_trans(codes[0][0], codes[0][1], codes[1][0], codes[1][1], Map::advance(v, 2 * step));
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            const int vector = 2 * step + n;
            const auto scale_of = [&](int half) {
                return block_scales<V>(
                    __byte_perm(scales[half][0], scales[half][1], 0x4000 | vector * 0x1010));
            };
            const u32 low_scale = scale_of(0), high_scale = scale_of(1);
            const u32 low = codes[n][0], high = codes[n][1];
            float(&to)[4][4] = *reinterpret_cast<float(*)[4][4]>(out[4 * vector]);
            ptx::mma<V>(to[0], p, {packed_pair<V, 0>(low, low_scale), packed_pair<V, 0>(high, high_scale)});
            ptx::mma<V>(to[1], p, {packed_pair<V, 1>(low, low_scale), packed_pair<V, 1>(high, high_scale)});
            ptx::mma<V>(to[2], p, {packed_pair<V, 2>(low, low_scale), packed_pair<V, 2>(high, high_scale)});
            ptx::mma<V>(to[3], p, {packed_pair<V, 3>(low, low_scale), packed_pair<V, 3>(high, high_scale)});
        }
    }
}

// A vector's 32 codes are four vectors of numbers. Which of them a lane stores first is chosen so that stores
// of eight lanes, which share two rows, touch every bank once.
template <class T, AttentionRow R>
__device__ inline void widen_packed_rows(u32 codes, u32 blocks, u32 numbers) {
    constexpr int kVectors = R.head_dim / 32, kAll = R.kv_tile * kVectors, kThreads = num_threads(R);
    static_assert(kAll % kThreads == 0 && kVectors == 4);
#pragma unroll
    for (int i = 0; i < kAll / kThreads; ++i) {
        const int index = i * kThreads + static_cast<int>(threadIdx.x);
        const int row = index / kVectors, vector = index % kVectors;
        const bool odd = vector / 2 % 2 != 0, upper = row % 2 != 0;
        const U32x4 from = ptx::load_shared(codes + Swizzle<kVectors>::offset_bytes(row, vector));
        const u32 scales = ptx::load_shared_2(blocks + 2 * index);
        const U32x2 first = upper ? U32x2{from.z, from.w} : U32x2{from.x, from.y};
        const U32x2 second = upper ? U32x2{from.x, from.y} : U32x2{from.z, from.w};
        const u32 first_scale = block_scales<T>(__byte_perm(scales, 0, upper ? 0x1414 : 0x0404));
        const u32 second_scale = block_scales<T>(__byte_perm(scales, 0, upper ? 0x0404 : 0x1414));
        const u32 to = numbers + Swizzle<4 * kVectors>::offset_bytes(row, 4 * vector + 2 * upper + odd);
        ptx::store_shared(to, eight_packed<T>(odd ? first.y : first.x, first_scale));
        ptx::store_shared(to ^ 16, eight_packed<T>(odd ? first.x : first.y, first_scale));
        ptx::store_shared(to ^ 32, eight_packed<T>(odd ? second.y : second.x, second_scale));
        ptx::store_shared(to ^ 48, eight_packed<T>(odd ? second.x : second.y, second_scale));
    }
}

template <AttentionRow R>
__device__ inline void widen_step(const PackedKvStep<R>& codes, KvStep<R, u16>& numbers) {
    widen_packed_rows<Storage<R.dtype>, R>(ptx::shared_address(codes.k), ptx::shared_address(codes.k_blocks),
                                           ptx::shared_address(numbers.k));
    widen_packed_rows<ValueType<R>, R>(ptx::shared_address(codes.v), ptx::shared_address(codes.v_blocks),
                                       ptx::shared_address(numbers.v));
}

}  // namespace warpwright
