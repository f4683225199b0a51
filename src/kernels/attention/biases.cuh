// SPDX-License-Identifier: Apache-2.0
// What few calls ask for, done to a warp's scores between softcap and softmax: ALiBi's distances, and masks
// of single bits.
//
// A mask is words of 32 bits for each query; bit j of word i is the key 32 i + j, counted from the sequence's
// first or, of trees of drafted tokens, from the first query's own. Keys before are seen, those behind the
// words are not.
#pragma once

#include "kernels/attention/block.cuh"

namespace warpwright {

// The bits of kKeys keys from one on, for the two rows of a lane.
template <int kKeys>
struct MaskBits {
    static constexpr int kWords = (kKeys + 31) / 32;
    u32 of[2][kWords];

    // row: the lane's first packed row; rows past the end are as the last one.
    __device__ void load(const AttentionArgs& args, const BlockWork& work, int row, int key) {
        const int first = key - (args.mask_of_queries ? work.kv_len - work.q_len : 0);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const u32* words = args.mask + i64{work.q_start + work.query(row + 8 * half)} * args.mask_stride;
            const auto word = [&](int index) {
                return index < 0 ? ~0u : index < args.mask_words ? words[index] : 0;
            };
#pragma unroll
            for (int i = 0; i < kWords; ++i) {
                const int bit = first + 32 * i;
                of[half][i] = word(bit >> 5);
                if (bit % 32 != 0)
                    of[half][i] = of[half][i] >> (bit & 31) | word((bit >> 5) + 1) << (32 - (bit & 31));
            }
        }
    }
    // Scores of keys that are not seen get no weight.
    template <int kBlocks>
    __device__ void apply(float (&s)[kBlocks][4]) const {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
            for (int word = 0; word < kWords; ++word) {
                if (!__any_sync(~0u, of[half][word] != ~0u)) continue;
                const u32 bits = of[half][word] >> (2 * (lane_id() % 4));
#pragma unroll
                for (int n = word * 4; n < kBlocks && n < word * 4 + 4; ++n) {
                    if ((bits & (1u << (n % 4 * 8))) == 0) s[n][2 * half] = -infinity();
                    if ((bits & (2u << (n % 4 * 8))) == 0) s[n][2 * half + 1] = -infinity();
                }
            }
        }
    }
};

// Subtracts slope x distance of a row's own key and a score's. Scores are of natural logarithms by
// scale_log2 / log2(e).
template <int kBlocks>
__device__ inline void add_alibi(const AttentionArgs& args, const BlockWork& work, int row, int first_key,
                                 float (&s)[kBlocks][4]) {
    constexpr float kLog2E = 1.4426950408889634f;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int seen = min(row + 8 * half, work.num_rows - 1);
        const float slope = args.alibi_slopes[work.head(seen)] * (kLog2E / args.scale_log2);
        const float first = static_cast<float>(work.own_key(seen) - first_key - 2 * (lane_id() % 4));
#pragma unroll
        for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const float distance = first - static_cast<float>(n * 8 + i);
                s[n][2 * half + i] = __fmaf_rn(-slope, fabsf(distance), s[n][2 * half + i]);
            }
        }
    }
}

}  // namespace warpwright
