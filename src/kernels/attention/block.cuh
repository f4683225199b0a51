// SPDX-License-Identifier: Apache-2.0
// What a block of either attention kernel works on, and how its query rows come in and its outputs leave.
//
// The query heads of one kv head are packed into the rows of a tile: packed row p of a sequence is query
// p / group of head kv_head * group + p % group, so that one pass over the keys serves the whole group.
// Everything is a template over the row R of its kernel.
#pragma once

#include "kernels/attention/finish.cuh"
#include "kernels/attention/rows.h"
#include "ptx/convert.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/memory.cuh"
#include "tile/code_pairs.cuh"
#include "tile/packed_codes.cuh"

namespace warpwright {

__device__ inline int lane_id() {
    return threadIdx.x % 32;
}
__device__ inline int warp_id() {
    return threadIdx.x / 32;
}

// An element of K or V in memory.
struct Code {
    u8 bits;
};
template <AttentionRow R, bool coded = is_coded(R)>
struct KvElementOf {
    using Type = Storage<R.dtype>;
};
template <AttentionRow R>
struct KvElementOf<R, true> {
    using Type = Code;
};
template <AttentionRow R>
using KvElement = typename KvElementOf<R>::Type;

// What the weights are rounded to and V is, when they are multiplied: codes become f16 with fewer
// instructions.
template <AttentionRow R>
using ValueType = Storage<is_coded(R) ? DType::f16 : R.dtype>;

// Columns of values and outputs.
template <AttentionRow R>
__device__ inline int value_columns(const AttentionArgs& args) {
    return has_two_sizes(R) ? args.head_dim_v : args.head_dim;
}

constexpr bool kConvertsFp8 = facts_of(static_cast<BuildTarget>(WW_TARGET)).first_capability >= 89;

// What scores, or outputs, of codes are multiplied by.
__device__ inline float scale_of_head(const float* scales, i32 stride, int kv_head) {
    return scales == nullptr ? 1 : scales[kv_head * stride];
}

// What makes of the products with numbers of codes those with what they stand for.
template <AttentionRow R, class T>
__device__ constexpr float code_factor() {
    return is_packed(R) ? kPackedFactor<T> : 1;
}

struct BlockWork {
    int sequence, kv_head, split;
    int group;                // query heads of a kv head
    int first_row, num_rows;  // packed rows: the tile's first, the sequence's number
    int q_start, q_len, kv_len;
    int kv_first;          // the first key that any row of the tile sees
    int kv_begin, kv_end;  // of the steps of this tile and split

    __device__ int query(int row) const { return min(row, num_rows - 1) / group; }

    // A packed row's own key: masks are bottom-right. Rows past the end are as the last one.
    __device__ int own_key(int row) const { return kv_len - q_len + query(row); }
    // Keys that it sees.
    __device__ int visible_keys(const AttentionArgs& args, int row) const {
        return visible_keys_of(args, own_key(row));
    }
    __device__ int visible_keys_of(const AttentionArgs& args, int own_key) const {
        return min(kv_len, max(0, own_key + 1 + args.window_right));
    }
    // The first of them; not above the number of visible keys of this row or a later one.
    __device__ int first_key(const AttentionArgs& args, int row) const {
        return first_key_of(args, own_key(row));
    }
    __device__ int first_key_of(const AttentionArgs& args, int own_key) const {
        const int own = max(0, own_key);
        return max(0, max(own - args.window_left, args.chunk.multiple_below(own)));
    }
    __device__ int head(int row) const { return kv_head * group + row % group; }

    // The first key of the last step, and of the step that is read first.
    template <AttentionRow R>
    __device__ int last_step() const {
        return kv_begin + ((kv_end - kv_begin + R.kv_tile - 1) / R.kv_tile - 1) * R.kv_tile;
    }
    template <AttentionRow R>
    __device__ int first_step() const {
        return R.biases && !R.lists ? last_step<R>() : kv_begin;
    }
};

// Of a step: fewer than its room where blocks of keys are smaller.
template <AttentionRow R>
__device__ inline int step_keys(const AttentionArgs& args) {
    if constexpr (R.lists && !has_only_lists(R)) {
        if (args.block_starts != nullptr) return min(R.kv_tile, 1 << args.block_shift);
    }
    return R.kv_tile;
}

// From a step's first key to that of the one read after it.
constexpr int key_step(const AttentionRow& row) {
    return row.biases ? -row.kv_tile : row.kv_tile;
}

// The block's part of the grid. Splits change fastest and row tiles slowest, the last tile first: with a
// causal mask it has the most keys.
template <AttentionRow R>
__device__ inline BlockWork find_place(const AttentionArgs& args) {
    BlockWork work;
    work.group = args.heads / args.kv_heads;
    const u32 num_splits = args.num_splits, kv_heads = args.kv_heads, sequences = args.sequences;
    const int num_tiles = (args.max_q_len * work.group + R.tile_rows - 1) / R.tile_rows;
    u32 index = blockIdx.x;
    work.split = index % num_splits;
    index /= num_splits;
    work.kv_head = index % kv_heads;
    index /= kv_heads;
    work.sequence = index % sequences;
    work.first_row = (num_tiles - 1 - static_cast<int>(index / sequences)) * R.tile_rows;
    return work;
}

// A length, or the number of a page: before the wait for the predecessor where the past is ready.
__device__ inline i32 load_length(const AttentionArgs& args, const i32* address) {
    return args.past_is_ready ? ptx::load_constant_i32(address) : ptx::load_i32(address);
}

// Of a sequence, as they are in memory. All are under way together: nothing here depends on another.
struct Lengths {
    i32 q_start, q_end;
    i32 kv_start, kv_end;  // paged: from 0 on

    template <class Load>  // load(address)
    __device__ Lengths(const AttentionArgs& args, int sequence, Load&& load) {
        q_start = load(args.q_starts + sequence);
        q_end = load(args.q_starts + sequence + 1);
        const bool paged = args.kv_lengths != nullptr;
        kv_start = paged ? 0 : load(args.kv_starts + sequence);
        kv_end = load(paged ? args.kv_lengths + sequence : args.kv_starts + sequence + 1);
    }
};

// What follows from the lengths; false where there is nothing to do.
template <AttentionRow R>
__device__ inline bool find_keys(const AttentionArgs& args, const Lengths& lengths, BlockWork& work) {
    work.q_start = lengths.q_start;
    work.q_len = lengths.q_end - lengths.q_start;
    work.kv_len = lengths.kv_end - lengths.kv_start;
    work.num_rows = work.q_len * work.group;
    if (work.first_row >= work.num_rows) return false;

    // Splits divide the keys from the first that the tile's first row sees to the last of its last row, in
    // whole steps. Steps begin at multiples of kv_tile, whatever the window: so the order in which a row's
    // keys are summed does not depend on the rows beside it.
    work.kv_first = work.first_key(args, work.first_row);
    const int first = work.kv_first / R.kv_tile * R.kv_tile;
    const int visible = work.visible_keys(args, work.first_row + R.tile_rows - 1);
    const int num_steps = (visible - first + R.kv_tile - 1) / R.kv_tile;
    const int steps_per_split = (num_steps + args.num_splits - 1) / args.num_splits;
    work.kv_begin = min(visible, first + work.split * steps_per_split * R.kv_tile);
    work.kv_end = min(visible, work.kv_begin + steps_per_split * R.kv_tile);
    return true;
}

template <AttentionRow R>
__device__ inline bool find_work(const AttentionArgs& args, BlockWork& work) {
    work = find_place<R>(args);
    const Lengths lengths(args, work.sequence, [](const i32* address) { return *address; });
    return find_keys<R>(args, lengths, work);
}

// A lane's share of the query fragments of 16 packed rows, in the order of an mma's A operand.
template <AttentionRow R, class Keep>  // keep(depth step, register, value)
__device__ inline void load_query(const AttentionArgs& args, const BlockWork& work, int first_row,
                                  Keep&& keep) {
    using T = Storage<R.dtype>;
    const int group_lane = lane_id() / 4, member = lane_id() % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        // Rows past the end repeat the last one: what they compute is not stored.
        const int row = min(first_row + group_lane + 8 * half, work.num_rows - 1);
        const T* q = static_cast<const T*>(args.q) +
                     i64{work.q_start + row / work.group} * args.q_token_stride +
                     i64{work.kv_head * work.group + row % work.group} * args.q_head_stride;
#pragma unroll
        for (int step = 0; step < R.head_dim / 16; ++step) {
            if constexpr (reads_codes(R) && is_packed(R)) {
                // In the order of packed_pair of a key's codes 8 * member to 8 * member + 7 of 32: of two
                // steps each has pairs (c, c + 4).
                const int column = step / 2 * 32 + 8 * member + step % 2 * 2;
                U32x2 ends{0, 0};
                if (column < args.head_dim) {
                    const auto* pairs = reinterpret_cast<const u32*>(q + column);
                    ends = {pairs[0], pairs[2]};
                }
                keep(step, half, __byte_perm(ends.x, ends.y, 0x5410));
                keep(step, half + 2, __byte_perm(ends.x, ends.y, 0x7632));
            } else if constexpr (reads_codes(R)) {
                // In the order of alternating_pairs of a key's codes 4 * member to 4 * member + 3.
                const int column = step * 16 + 4 * member;
                U32x2 four{0, 0};
                if (column < args.head_dim) four = *reinterpret_cast<const U32x2*>(q + column);
                keep(step, half, __byte_perm(four.x, four.y, 0x5410));
                keep(step, half + 2, __byte_perm(four.x, four.y, 0x7632));
            } else {
                const int column = step * 16 + 2 * member;
                const auto* pair = reinterpret_cast<const u32*>(q + column);
                keep(step, half, column < args.head_dim ? pair[0] : 0);
                keep(step, half + 2, column + 8 < args.head_dim ? pair[4] : 0);
            }
        }
    }
}

// A lane's query fragments, in registers or in shared memory.
template <AttentionRow R, bool in_shared = keeps_q_in_shared(R)>
struct Query {
    using S = AttentionShared<R>;
    static constexpr bool kIsCommon = false;
    u32 kept[R.head_dim / 16][4];
    __device__ void keep(S&, int step, int i, u32 value) { kept[step][i] = value; }
    __device__ void get(const S&, int step, u32 (&a)[4]) const {
#pragma unroll
        for (int i = 0; i < 4; ++i) a[i] = kept[step][i];
    }
};
template <AttentionRow R>
struct Query<R, true> {
    using S = AttentionShared<R>;
    static constexpr bool kIsCommon = S::kCopies == 1;  // first kept by one warp, then known to all
    __device__ static int copy() { return kIsCommon ? 0 : warp_id(); }
    __device__ void keep(S& shared, int step, int i, u32 value) {
        if (!kIsCommon || warp_id() == 0) shared.q[copy()][step][lane_id()][i] = value;
    }
    __device__ void get(const S& shared, int step, u32 (&a)[4]) const {
        const U32x4 v = *reinterpret_cast<const U32x4*>(shared.q[copy()][step][lane_id()]);
        a[0] = v.x, a[1] = v.y, a[2] = v.z, a[3] = v.w;
    }
};

// Where one packed row's results go: the output, or this split's partial output.
template <AttentionRow R>
struct OutputRow {
    using T = Storage<R.dtype>;
    T* out;
    float* partial;
    float* lse;
    int head;

    __device__ OutputRow(const AttentionArgs& args, const BlockWork& work, int row) {
        const i64 token = work.q_start + row / work.group;
        head = work.head(row);
        if (args.num_splits > 1) {
            const i64 index = (i64{work.split} * args.q_tokens + token) * args.heads + head;
            out = nullptr;
            partial = args.partial_out + index * partial_dim(value_columns<R>(args));
            lse = args.partial_lse + index;
        } else {
            out =
                static_cast<T*>(args.out) + token * args.out_token_stride + i64{head} * args.out_head_stride;
            partial = nullptr;
            lse = args.lse == nullptr ? nullptr : args.lse + token * args.lse_token_stride + head;
        }
    }

    // Columns column, column + 1; column is even.
    __device__ void store(int column, float low, float high, int num_columns) const {
        // The merge reads whole vectors: what is behind an odd head is written too.
        const bool to_vector = R.elementwise && partial != nullptr;
        if (column >= (to_vector ? static_cast<int>(partial_dim(num_columns)) : num_columns)) return;
        if (partial != nullptr) {
            *reinterpret_cast<float2*>(partial + column) = float2{low, high};
        } else if constexpr (R.elementwise) {
            out[column] = ptx::from_float<T>(low);
            if (column + 1 < num_columns) out[column + 1] = ptx::from_float<T>(high);
        } else {
            *reinterpret_cast<u32*>(out + column) = ptx::pack<T>(low, high);
        }
    }
};

// What a row's summed products are multiplied by, and its log-sum-exp, once all keys are in the sums.
template <AttentionRow R>
__device__ inline Finished finish_row(const AttentionArgs& args, const BlockWork& work, int head, float max,
                                      float sum) {
    Finished finished = finish(max, sum, args.scale_log2, args.sinks, head, args.lse_factor);
    if constexpr (is_coded(R))
        finished.scale *=
            scale_of_head(args.v_scale, args.v_scale_stride, work.kv_head) * code_factor<R, ValueType<R>>();
    return finished;
}

}  // namespace warpwright
