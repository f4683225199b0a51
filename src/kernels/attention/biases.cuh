// SPDX-License-Identifier: Apache-2.0
// What few calls ask for: ALiBi's distances, and masks of single bits.
//
// A mask is words of 32 bits for each query; bit j of word i is the key 32 i + j, counted from the sequence's
// first or, of trees of drafted tokens, from the first query's own. Keys before are seen, those behind the
// words are not.
//
// A call that asks for one of both, and for no window or softcap, has a loop of its own: OwnAlibi, OwnMask.
#pragma once

#include "kernels/attention/block.cuh"
#include "ptx/packed.cuh"

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

// Whether ALiBi has a loop of its own: all of a lane's rows are of one head.
__device__ inline bool has_own_alibi(const AttentionArgs& args, int group) {
    return args.alibi_slopes != nullptr && args.mask == nullptr && 8 % group == 0;
}
__device__ inline bool has_own_mask(const AttentionArgs& args) {
    return args.alibi_slopes == nullptr && args.mask != nullptr && args.mask_of_queries == 0;
}

// ALiBi where a lane's rows have one slope. Scores begin with it, as the products' third operand.
template <AttentionRow R, bool causal>
class OwnAlibi {
    static constexpr int kTiles = R.warp_rows / kMmaRows, kBlocks = R.kv_tile / 8;

public:
    using Scores = float[kTiles][kBlocks][4];

    // own: the lane's first packed row.
    __device__ OwnAlibi(const BlockWork& work, const BiasedRow* own)
        : slope_(own->slope), own_key_(work.kv_len - work.q_len + own->query) {
        const int queries = 8 / work.group;
        queries_ = static_cast<float>(queries);
    }

    __device__ bool sees_any() const { return true; }
    __device__ void advance(const AttentionArgs&, int) {}

    // What the scores of a step begin with. Keys behind a row's own, if causal, are masked afterwards.
    __device__ void start(int first_key, Scores& s) const {
        const float first = static_cast<float>(first_key + 2 * (lane_id() % 4) - own_key_);
#pragma unroll
        for (int half = 0; half < 2 * kTiles; ++half) {
            const float behind = __fmaf_rn(static_cast<float>(-half), queries_, first);
            const float common = slope_ * behind;
#pragma unroll
            for (int i = 0; i < 2 * kBlocks; ++i) {
                const int key = i / 2 * 8 + i % 2;
                const float column = static_cast<float>(key);
                float& score = s[half / 2][i / 2][half % 2 * 2 + i % 2];
                if constexpr (!causal) {
                    score = -slope_ * fabsf(behind + column);
                } else {
                    score = i == 0 ? common : __fmaf_rn(slope_, column, common);
                }
            }
        }
    }

    __device__ bool settle(Scores&) const {
        return false;
    }

private:
    float slope_;
    int own_key_;    // of the lane's first row
    float queries_;  // from a row of the lane to its next one
};

// WarpRows::mask without a register for each row. own: the lane's first packed row.
template <AttentionRow R, bool from_start, class Scores>
__device__ inline void mask_biased(const AttentionArgs& args, const BlockWork& work, const BiasedRow* own,
                                   int first_key, Scores& s) {
    const int key = first_key + 2 * (lane_id() % 4);  // the lane's first
#pragma unroll
    for (int half = 0; half < 2 * R.warp_rows / kMmaRows; ++half) {
        const int own_key = work.kv_len - work.q_len + own[8 * half].query;
        int limit = work.visible_keys_of(args, own_key) - key;
        if constexpr (R.lists) limit = min(limit, first_key + step_keys<R>(args) - key);
        const int first = from_start ? 0 : work.first_key_of(args, own_key) - key;
#pragma unroll
        for (int i = 0; i < R.kv_tile / 4; ++i) {
            const int column = i / 2 * 8 + i % 2;
            if (column >= limit || (!from_start && column < first))
                s[half / 2][i / 2][half % 2 * 2 + i % 2] = -infinity();
        }
    }
}

// A mask whose words begin with the sequence's first key. Lanes have the words of a row each, read a step
// before they are needed.
template <AttentionRow R>
class OwnMask {
    static constexpr int kTiles = R.warp_rows / kMmaRows, kBlocks = R.kv_tile / 8, kWords = R.kv_tile / 32;
    static_assert(R.warp_rows <= 32 && (!R.biases || R.elementwise || R.kv_tile % 32 == 0));

public:
    using Scores = float[kTiles][kBlocks][4];

    __device__ OwnMask(const AttentionArgs& args, const BlockWork& work, const BiasedRow* rows, int key)
        : words_(args.mask + i64{work.q_start + rows[lane_id() % R.warp_rows].query} * args.mask_stride) {
        advance(args, key);
    }
    // Whether a row of the warp sees a key of the step.
    __device__ bool sees_any() const {
        u32 all = of_row_[0];
#pragma unroll
        for (const u32 word : of_row_) all |= word;
        return __any_sync(~0u, all != 0);
    }
    // To the step of this first key.
    __device__ void advance(const AttentionArgs& args, int key) {
#pragma unroll
        for (int i = 0; i < kWords; ++i) {
            const bool reads = static_cast<u32>((key >> 5) + i) < static_cast<u32>(args.mask_words);
            of_row_[i] = reads ? words_[(key >> 5) + i] : 0;
        }
    }
    // What the scores of a step begin with: 0, or for keys that are not seen what no product makes large.
    __device__ void start(int, Scores& s) const {
#pragma unroll
        for (int half = 0; half < 2 * kTiles; ++half) {
#pragma unroll
            for (int i = 0; i < kWords; ++i) {
                // Two bits of each byte are the lane's: as the byte's sign.
                const u32 hidden = ~word(half, i);
                const u32 even = hidden << (7 - 2 * (lane_id() % 4)),
                          odd = hidden << (6 - 2 * (lane_id() % 4));
                begin<0>(even, odd, &s[half / 2][4 * i][half % 2 * 2]);
                begin<1>(even, odd, &s[half / 2][4 * i + 1][half % 2 * 2]);
                begin<2>(even, odd, &s[half / 2][4 * i + 2][half % 2 * 2]);
                begin<3>(even, odd, &s[half / 2][4 * i + 3][half % 2 * 2]);
            }
        }
    }
    // Before a maximum rises: keys that are not seen get no weight, whatever their products are.
    __device__ bool settle(Scores& s) const {
#pragma unroll
        for (int half = 0; half < 2 * kTiles; ++half) {
#pragma unroll
            for (int i = 0; i < kWords; ++i) {
                const u32 bits = word(half, i) >> (2 * (lane_id() % 4));
#pragma unroll
                for (int j = 0; j < 8; ++j) {
                    if ((bits & (1u << (j / 2 * 8 + j % 2))) == 0)
                        s[half / 2][4 * i + j / 2][half % 2 * 2 + j % 2] = -infinity();
                }
            }
        }
        return true;
    }

private:
    __device__ u32 word(int half, int i) const {
        return __shfl_sync(~0u, of_row_[i], 8 * half + lane_id() / 4);
    }
    // -2^127 where a byte's sign is 1: its last byte is the sign eight times, the others are 0.
    template <int byte>
    __device__ static void begin(u32 even, u32 odd, float* pair) {
        constexpr u32 kSelector = (8u | byte) << 12 | 0x444;
        pair[0] = __uint_as_float(ptx::permute_bytes<kSelector>(even, 0));
        pair[1] = __uint_as_float(ptx::permute_bytes<kSelector>(odd, 0));
    }

    const u32* words_;  // of the lane's row
    u32 of_row_[kWords];
};

}  // namespace warpwright
