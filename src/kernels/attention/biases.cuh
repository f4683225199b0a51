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

// Before the first step: what the warp's packed rows from first_row on need. Rows past the end are as the
// last one.
template <int kRows>
__device__ inline void find_biased_rows(const AttentionArgs& args, const BlockWork& work, int first_row,
                                        BiasedRow* rows) {
    constexpr float kLog2E = 1.4426950408889634f;
    if (lane_id() < kRows) {
        const int row = min(first_row + lane_id(), work.num_rows - 1);
        BiasedRow& own = rows[lane_id()];
        own.query = work.query(row);
        own.slope = 0;
        if (args.alibi_slopes != nullptr)
            own.slope = args.alibi_slopes[work.head(row)] * (kLog2E / args.scale_log2);
    }
    __syncwarp();
}

// The bits of kKeys keys from one on, for the two rows of a lane.
template <int kKeys>
struct MaskBits {
    static constexpr int kWords = (kKeys + 31) / 32;
    u32 of[2][kWords];

    // rows: from the lane's first on.
    __device__ void load(const AttentionArgs& args, const BlockWork& work, const BiasedRow* rows, int key) {
        const int first = key - (args.mask_of_queries ? work.kv_len - work.q_len : 0);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const u32* words = args.mask + i64{work.q_start + rows[8 * half].query} * args.mask_stride;
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
// scale_log2 / log2(e), and so are slopes. rows: from the lane's first on.
template <int kBlocks>
__device__ inline void add_alibi(const BlockWork& work, const BiasedRow* rows, int first_key,
                                 float (&s)[kBlocks][4]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const BiasedRow row = rows[8 * half];
        const int own_key = work.kv_len - work.q_len + row.query;
        const float first = static_cast<float>(own_key - first_key - 2 * (lane_id() % 4));
#pragma unroll
        for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const float distance = first - static_cast<float>(n * 8 + i);
                s[n][2 * half + i] = __fmaf_rn(-row.slope, fabsf(distance), s[n][2 * half + i]);
            }
        }
    }
}

}  // namespace warpwright
