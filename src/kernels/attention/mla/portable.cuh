// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention, portable: a tile of latent rows in shared memory is keys, by all its columns,
// and values, by the first 512, so that every byte is read once.
//
//   block   = tile_rows packed rows (query, head) of one sequence, and one split of its keys
//   scores    warps divide rows or keys, and the depth: shares of scores go to shared memory
//   weights   the threads divide the rows: shares are added up, online softmax, weights to shared memory
//   values    a warp has a share of the columns of all rows, or of those of its group
//
//   one group, two stages    scores i | weights i | values i | ...                      bars are barriers
//   two groups of 32 rows    weights i | values i, scores i + 1 || weights i + 1 | ...      of the first
//   group
//                            scores i + 1, values i | weights i + 1 || scores i + 2, ...     of the second
//
// A bar of two groups is of one of them, so that one weighs while the other multiplies; a double one is of
// the block. Queries stay in registers: reading them again for every step would take as long as the products.
//
// Of a step of codes a warp makes numbers of those that it has copied, before scores. Where all codes have
// one scale, numbers are the codes', exactly, and it multiplies scores and outputs instead.
//
// Where a row serves lists of keys, keys are gathered by slots of the cache, which come from the page table
// or from a query's list.
//
// A row's weights are relative to the maximum so far, unless it has risen by more than 8 in log2: outputs are
// seldom rescaled. Each row by itself, so that its bits do not depend on its neighbours.
#include "kernels/attention/finish.cuh"
#include "kernels/attention/mla/rows.h"
#include "ptx/barrier.cuh"
#include "ptx/convert.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/launch.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"
#include "tile/code_pairs.cuh"
#include "tile/swizzle.h"

namespace warpwright {

constexpr int kKeyVectors = kMlaKeyDim / 8, kRowBytes = kMlaKeyDim * 2;
using KeyMap = Swizzle<kKeyVectors>;

__device__ inline int lane_id() {
    return threadIdx.x % 32;
}
__device__ inline int warp_id() {
    return threadIdx.x / 32;
}

// Warps with the same rows.
template <MlaRow R>
__device__ inline int group_id() {
    return R.row_warps == 1 ? 0 : warp_id() / (kMlaWarps / R.row_warps);
}
template <MlaRow R>
__device__ inline void sync_group() {
    if constexpr (R.row_warps == 1 || R.stages == 2) {
        __syncthreads();
    } else {
        ptx::sync_warps<kMlaThreads / R.row_warps>(1 + group_id<R>());
    }
}

template <MlaRow R>
__device__ inline bool has_lists(const MlaArgs& args) {
    if constexpr (R.key_sources == kMlaPages) return false;
    if constexpr (R.key_sources == kMlaLists) return true;
    return args.indices != nullptr;
}

// Rows past the end are as the last one.
__device__ inline int query_of(const MlaWork& work, int row) {
    return min(row, work.num_rows - 1) / work.heads;
}
// Keys that a packed row sees: masks are bottom-right.
__device__ inline int visible_keys(const MlaArgs& args, const MlaWork& work, int row) {
    return args.causal ? max(0, work.kv_len - work.q_len + query_of(work, row) + 1) : work.kv_len;
}

// The block's part of the grid: row tiles change fastest, as they read the same keys, the last one first:
// with a causal mask it has the most. False where there is nothing to do.
template <MlaRow R>
__device__ inline bool find_work(const MlaArgs& args, MlaWork& work) {
    const u32 num_splits = args.num_splits;
    const u32 num_tiles = (u32(args.max_q_len) * u32(args.heads) + R.tile_rows - 1) / R.tile_rows;
    const u32 part = blockIdx.x / num_tiles;
    work.heads = args.heads;
    work.first_row = static_cast<int>(num_tiles - 1 - blockIdx.x % num_tiles) * R.tile_rows;
    work.split = static_cast<int>(part % num_splits);
    work.sequence = static_cast<int>(part / num_splits);
    if (has_lists<R>(args)) {
        const int token = work.sequence;
        if (token < args.q_starts[0] || token >= args.q_starts[args.sequences]) return false;
        work.q_start = token;
        work.q_len = 1;
        work.kv_len = args.max_indices;
        if (args.index_lengths != nullptr) work.kv_len = max(0, min(work.kv_len, args.index_lengths[token]));
    } else {
        work.q_start = args.q_starts[work.sequence];
        work.q_len = args.q_starts[work.sequence + 1] - work.q_start;
        work.kv_len = args.kv_lengths[work.sequence];
    }
    work.num_rows = work.q_len * work.heads;
    if (work.first_row >= work.num_rows) return false;
    const int visible = visible_keys(args, work, work.first_row + R.tile_rows - 1);
    const int num_steps = (visible + R.kv_tile - 1) / R.kv_tile;
    const int split_keys = (num_steps + args.num_splits - 1) / args.num_splits * R.kv_tile;
    work.kv_begin = min(visible, work.split * split_keys);
    work.kv_end = min(visible, work.kv_begin + split_keys);
    return true;
}

template <class T>
__device__ inline const T* query_row(const MlaArgs& args, const MlaWork& work, int row) {
    const int packed = min(row, work.num_rows - 1);
    return static_cast<const T*>(args.q) + i64{work.q_start + packed / work.heads} * args.q_token_stride +
           i64{packed % work.heads} * args.q_head_stride;
}

// A block's copies of latent rows, or of their codes: a warp has four rows of a step, or where only the
// first group copies, eight. (It weighs while the second multiplies: copies there would keep the products
// waiting.)
template <MlaRow R>
class LatentTiles {
    using T = Storage<R.dtype>;
    static constexpr bool kByGroup = copies_by_group(R);
    static constexpr int kRows = kByGroup ? 2 * kMlaCopiedRows : kMlaCopiedRows;
    static constexpr int kBytes = latent_bytes(R), kVectors = kBytes / 16;
    static_assert(R.kv_tile == kMlaCopiedRows * kMlaWarps && kKeyVectors == 72);

public:
    __device__ LatentTiles(const MlaArgs& args, const MlaWork& work)
        : args_(args),
          first_entry_(work.sequence * (has_lists<R>(args) ? args.index_stride : args.page_table_stride)),
          end_(work.kv_end) {
        look_up(work.kv_begin);
    }

    __device__ int end() const { return end_; }

    // Starts the copies of the step from this key on, which is the next one, where there is one. Keys from
    // the end on, and those that a list has not, are zeros: a masked score has the weight 0, which would not
    // silence a NaN.
    __device__ void copy(MlaShared<R>& shared, int stage, int key) {
        if (key >= end_ || (kByGroup && group_id<R>() != 0)) return;
        if constexpr (kByGroup) {
            copy_pages(ptx::shared_address(shared.keys[stage]), key);
        } else {
            copy_rows(shared, stage, key);
        }
        look_up(key + R.kv_tile);
    }

    // Of the codes that this warp has copied, numbers as they are multiplied.
    __device__ static void widen(MlaShared<R>& shared, int stage) {
        if constexpr (R.one_scale) {
            widen_codes(shared, stage);
        } else {
            widen_records(shared, stage);
        }
    }

private:
    // Code x scale, rounded.
    __device__ static void widen_records(MlaShared<R>& shared, int stage) {
        const int lane = lane_id();
#pragma unroll 1  // registers are short
        for (int i = 0; i < 2 * kRows; ++i) {
            const int row = first_row() + i / 2, vector = i % 2 * 32 + lane;
            const u8* record = shared.codes[stage] + row * kMlaRecordBytes;
            const U32x2 codes = *reinterpret_cast<const U32x2*>(record + vector * 8);
            const float scale =
                *reinterpret_cast<const float*>(record + kMlaScalesAt + vector * 8 / kMlaGroup * 4);
            const CodePairs a = neighbouring_pairs<Bf16, R.kv_format, false>(codes.x);
            const CodePairs b = neighbouring_pairs<Bf16, R.kv_format, false>(codes.y);
            store_vector(shared, row, vector,
                         {scaled(a.first, scale), scaled(a.second, scale), scaled(b.first, scale),
                          scaled(b.second, scale)});
        }
        const int row = first_row() + lane / 8, vector = lane % 8;
        const u8* rope = shared.codes[stage] + row * kMlaRecordBytes + kMlaRopeAt;
        store_vector(shared, row, kMlaValueDim / 8 + vector,
                     *reinterpret_cast<const U32x4*>(rope + vector * 16));
    }
    __device__ static void widen_codes(MlaShared<R>& shared, int stage) {
        constexpr int kRounds = kRows * kKeyVectors / 32, kAtOnce = R.tile_rows > 16 ? 1 : 3;
        static_assert(kRows * kKeyVectors % 32 == 0);
        const u8* codes = shared.codes[stage] + first_row() * kMlaKeyDim;
#pragma unroll kAtOnce  // registers are short
        for (int i = 0; i < kRounds; ++i) {
            const int index = i * 32 + lane_id();
            const U32x2 eight = *reinterpret_cast<const U32x2*>(codes + index * 8);
            const CodePairs a = neighbouring_pairs<T, R.kv_format, false>(eight.x);
            const CodePairs b = neighbouring_pairs<T, R.kv_format, false>(eight.y);
            store_vector(shared, first_row() + index / kKeyVectors, index % kKeyVectors,
                         {a.first, a.second, b.first, b.second});
        }
    }
    __device__ static int first_row() {
        return warp_id() * kRows;
    }
    // Rows from the end on become zeros; where there are none, copies have no size: one that varies costs
    // eight more instructions each.
    __device__ void copy_pages(u32 to, int key) const {
        constexpr u32 kAllRows = (1 << kRows) - 1;
        const int own = key + first_row() + lane_id() % kRows;  // the row that this lane has looked up
        const u32 present = __ballot_sync(~0u, own < end_) & kAllRows;
        const u64 from = reinterpret_cast<u64>(address(place_, own & ((1 << args_.page_shift) - 1)));
        if (present == kAllRows) {
            copy_looked_up<true>(to, from, present);
        } else {
            copy_looked_up<false>(to, from, present);
        }
    }
    template <bool all>
    __device__ static void copy_looked_up(u32 to, u64 own, u32 present) {
        static_assert(!kByGroup || kRows == 8);
        const int lane = lane_id();
        const auto copy_vector = [&](int i, u32 at, u64 from, int vector) {
            const auto* source = reinterpret_cast<const unsigned char*>(from) + vector * 16;
            if constexpr (all) {
                ptx::cp_async_16(at, source);
            } else {
                ptx::cp_async_16(at, source, present >> i & 1 ? 16 : 0);
            }
        };
        // Of row i: bits of its number change those of the vector's.
        const u32 first = to + KeyMap::offset_bytes(first_row(), lane);
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
            const u64 from = __shfl_sync(~0u, own, i);
#pragma unroll
            for (int vector = 0; vector + 32 <= kVectors; vector += 32)
                copy_vector(i, (first ^ i * 16) + i * kBytes + vector * 16, from, vector + lane);
        }
        // What is left of all of them: whole rounds of the lanes.
        constexpr int kRest = kVectors % 32, kWhole = kVectors / 32 * 32;
        static_assert(!kByGroup || kRest * kRows % 32 == 0);
#pragma unroll
        for (int index = lane; index < kRest * kRows; index += 32) {
            const int i = index / kRest, vector = kWhole + index % kRest;
            copy_vector(i, to + KeyMap::offset_bytes(first_row() + i, vector), __shfl_sync(~0u, own, i),
                        vector);
        }
    }
    __device__ void copy_rows(MlaShared<R>& shared, int stage, int key) const {
        u32 to;
        if constexpr (reads_codes(R)) {
            to = ptx::shared_address(shared.codes[stage]);
        } else {
            to = ptx::shared_address(shared.keys[stage]);
        }
        const int lane = lane_id();
        const auto copy_vector = [&](int row, const Source& from, int vector) {
            const u32 offset =
                reads_codes(R) ? (row * kVectors + vector) * 16 : KeyMap::offset_bytes(row, vector);
            ptx::cp_async_16(to + offset, from.row + vector * 16, exists(from, key + row) ? 16 : 0);
        };
        if (has_lists<R>(args_)) {
            const u32 present = __ballot_sync(~0u, place_ >= 0);
            if (lane == 0) shared.present[stage][warp_id()] = present & ((1 << kRows) - 1);
        }
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
            const Source from = source(i, key);
#pragma unroll
            for (int vector = 0; vector + 32 <= kVectors; vector += 32)
                copy_vector(first_row() + i, from, vector + lane);
        }
        // What is left of all four.
        constexpr int kRest = kVectors % 32;
#pragma unroll
        for (int first = 0; first < kRest * kRows; first += 32) {
            const int index = min(first + lane, kRest * kRows - 1), i = index / kRest;
            const Source from = source(i, key);
            if (first + lane < kRest * kRows)
                copy_vector(first_row() + i, from, kVectors / 32 * 32 + index % kRest);
        }
    }
    __device__ static u32 scaled(u32 pair, float scale) {
        return ptx::pack<T>(__uint_as_float(pair << 16) * scale, __uint_as_float(pair & 0xffff0000u) * scale);
    }
    __device__ static void store_vector(MlaShared<R>& shared, int row, int vector, const U32x4& value) {
        *reinterpret_cast<U32x4*>(reinterpret_cast<unsigned char*>(shared.keys[0]) +
                                  KeyMap::offset_bytes(row, vector)) = value;
    }

    // Table entries of other keys are not touched.
    __device__ void look_up(int step_key) {
        if (kByGroup && group_id<R>() != 0) return;
        const int key = step_key + first_row() + lane_id() % kRows;
        if constexpr (R.key_sources == kMlaPages) {
            place_ = key < end_ ? args_.page_table[first_entry_ + (key >> args_.page_shift)] : 0;
        } else {
            place_ = -1;
            if (key >= end_) return;
            if (has_lists<R>(args_)) {
                const i32 slot = args_.indices[first_entry_ + key];
                if (static_cast<u32>(slot) < static_cast<u32>(args_.num_slots)) place_ = slot;
            } else {
                place_ = args_.page_table[first_entry_ + (key >> args_.page_shift)] << args_.page_shift |
                         (key & ((1 << args_.page_shift) - 1));
            }
        }
    }

    struct Source {
        const unsigned char* row;  // any, where there is none
        bool has_slot;
    };
    __device__ bool exists(const Source& source, int key) const {
        return R.key_sources == kMlaPages ? key < end_ : source.has_slot;
    }
    __device__ Source source(int index, int key) const {
        const i64 place = __shfl_sync(~0u, place_, index);
        if constexpr (R.key_sources == kMlaPages) {
            const i64 in_page = (key + first_row() + index) & ((1 << args_.page_shift) - 1);
            return {address(place, in_page), true};
        } else {
            const int slot = max(static_cast<int>(place), 0);
            return {address(slot >> args_.page_shift, slot & ((1 << args_.page_shift) - 1)), place >= 0};
        }
    }
    __device__ const unsigned char* address(i64 page, i64 in_page) const {
        return static_cast<const unsigned char*>(args_.cache) +
               (page * args_.page_stride + in_page * args_.token_stride) * (reads_codes(R) ? 1 : 2);
    }

    const MlaArgs& args_;
    int first_entry_;  // of the page table, or of the list
    int end_;
    i32 place_ = 0;  // of the row of the next step that this lane has looked up: its page, or its slot or -1
};

// A warp's share of the scores of a step.
template <MlaRow R>
class Scores {
    using T = Storage<R.dtype>;
    static constexpr int kRowTiles = R.tile_rows / 16 / R.row_warps;
    static constexpr int kKeyPairs = R.kv_tile / 16 / key_warps(R);  // of blocks of eight keys
    static constexpr int kDepthSteps = kMlaKeyDim / 16 / kMlaDepthWarps;
    static constexpr int kDepthStride = 16 * kMlaDepthWarps;  // columns
    static_assert(kDepthStride * 2 % 128 == 0);
    static_assert(kRowTiles * 16 * R.row_warps == R.tile_rows && kKeyPairs * 16 * key_warps(R) == R.kv_tile);

public:
    __device__ void load_query(const MlaArgs& args, const MlaWork& work) {
#pragma unroll
        for (int half = 0; half < 2 * kRowTiles; ++half) {
            const T* from =
                query_row<T>(args, work, work.first_row + first_row() + lane_id() / 4 + 8 * half) +
                depth_warp() * 16 + 2 * (lane_id() % 4);
#pragma unroll
            for (int step = 0; step < kDepthSteps; ++step) {
                q_[half / 2][step][half % 2] = *reinterpret_cast<const u32*>(from + step * kDepthStride);
                q_[half / 2][step][half % 2 + 2] =
                    *reinterpret_cast<const u32*>(from + step * kDepthStride + 8);
            }
        }
    }

    __device__ void add(const u16* step_keys, MlaShared<R>& shared) const {
        const int lane = lane_id();
        float* to = shared.scores[warp_id() % kMlaDepthWarps];
#pragma unroll
        for (int n = 0; n < kKeyPairs; ++n) {
            const u32 k = ptx::shared_address(step_keys) +
                          KeyMap::offset_bytes(first_key() + n * 16 + lane / 16 * 8 + lane % 8,
                                               2 * depth_warp() + lane / 8 % 2);
            float s[kRowTiles][2][4] = {};
#pragma unroll
            for (int step = 0; step < kDepthSteps; ++step) {
                u32 b[2][2];
                ptx::ldmatrix_x4(b[0][0], b[0][1], b[1][0], b[1][1], k + step * kDepthStride * 2);
#pragma unroll
                for (int m = 0; m < kRowTiles; ++m) {
                    ptx::mma<T>(s[m][0], q_[m][step], b[0]);
                    ptx::mma<T>(s[m][1], q_[m][step], b[1]);
                }
            }
#pragma unroll
            for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    const int row = first_row() + m * 16 + lane / 4,
                              column = first_key() + n * 16 + i * 8 + 2 * (lane % 4);
                    *reinterpret_cast<float2*>(to + offset(row, column)) = {s[m][i][0], s[m][i][1]};
                    *reinterpret_cast<float2*>(to + offset(row + 8, column)) = {s[m][i][2], s[m][i][3]};
                }
            }
        }
    }

    // Of a score, so that neither those that write fragments nor those that read rows meet in a bank.
    __device__ static int offset(int row, int column) {
        static_assert(R.kv_tile == 32);
        return row * R.kv_tile + (column ^ ((row & 1) << 4 | (row & 2) << 2));
    }

private:
    // Warps: depth changes fastest, then keys or rows. Of the steps of 16 columns a warp has every fourth, so
    // that its vectors lie in the same place of every 128 bytes.
    __device__ static int depth_warp() {
        return warp_id() % kMlaDepthWarps;
    }
    __device__ static int first_row() {
        return R.row_warps == 1 ? 0 : warp_id() / kMlaDepthWarps * 16 * kRowTiles;
    }
    __device__ static int first_key() {
        return R.row_warps == 1 ? warp_id() / kMlaDepthWarps * 16 * kKeyPairs : 0;
    }

    u32 q_[kRowTiles][kDepthSteps][4];
};

// What all numbers of the cache are multiplied by.
template <MlaRow R>
__device__ inline float key_scale(const MlaShared<R>& shared) {
    if constexpr (R.one_scale) return shared.scale;
    return 1;
}
// What scores are, log2(e) with it.
template <MlaRow R>
__device__ inline float score_scale(const MlaArgs& args, const MlaShared<R>& shared) {
    if constexpr (R.one_scale) return args.scale_log2 * shared.scale;
    return args.scale_log2;
}

// A thread's share of a row of scores, of which it makes weights.
template <MlaRow R>
class Weights {
    using T = Storage<R.dtype>;
    using WeightMap = Swizzle<R.kv_tile / 8>;
    static constexpr int kLanes = kMlaThreads / R.tile_rows;  // of a row
    static constexpr int kKeys = R.kv_tile / kLanes;          // of a lane
    static constexpr int kWidth = kKeys < 4 ? kKeys : 4;      // neighbours
    static constexpr float kHeadroom = 8;                     // in log2
    static_assert(kKeys % kWidth == 0 && kWidth >= 2 && kLanes <= 32);

public:
    __device__ Weights(const MlaArgs& args, const MlaWork& work)
        : limit_(visible_keys(args, work, work.first_row + row())) {}

    __device__ static int row() { return threadIdx.x / kLanes; }

    __device__ void weigh(const MlaArgs& args, int first_key, int stage, MlaShared<R>& shared) {
        float s[kKeys] = {};
#pragma unroll
        for (int part = 0; part < kMlaDepthWarps; ++part) {
#pragma unroll
            for (int v = 0; v < kKeys / kWidth; ++v) {
                const float* from = &shared.scores[part][Scores<R>::offset(row(), column(v))];
                if constexpr (kWidth == 4) {
                    const float4 four = *reinterpret_cast<const float4*>(from);
                    s[4 * v] += four.x, s[4 * v + 1] += four.y, s[4 * v + 2] += four.z,
                        s[4 * v + 3] += four.w;
                } else {
                    const float2 two = *reinterpret_cast<const float2*>(from);
                    s[2 * v] += two.x, s[2 * v + 1] += two.y;
                }
            }
        }
        if (has_lists<R>(args)) {
#pragma unroll
            for (int v = 0; v < kKeys / kWidth; ++v) {
                const u32 present =
                    shared.present[stage][column(v) / kMlaCopiedRows] >> column(v) % kMlaCopiedRows;
#pragma unroll
                for (int i = 0; i < kWidth; ++i) {
                    if ((present >> i & 1) == 0) s[v * kWidth + i] = -infinity();
                }
            }
        }
        float largest = -infinity();
#pragma unroll
        for (int i = 0; i < kKeys; ++i) {
            if (first_key + column(i / kWidth) + i % kWidth >= limit_) s[i] = -infinity();
            largest = fmaxf(largest, s[i]);
        }
#pragma unroll
        for (int mask = kLanes / 2; mask > 0; mask /= 2)
            largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, mask));
        const float scale = score_scale<R>(args, shared);
        float factor = 1;
        if ((largest - max_) * scale > kHeadroom) {
            factor = ptx::exp2_approx((max_ - largest) * scale);
            max_ = largest;
        }
        // why: a row that has seen no key yet keeps weights of 0, not 2^(-infinity + infinity).
        const float base = max_ == -infinity() ? 0 : max_ * scale;
        sum_ *= factor;
#pragma unroll
        for (int i = 0; i < kKeys; ++i) {
            s[i] = ptx::exp2_approx(s[i] * scale - base);
            sum_ += s[i];
        }
#pragma unroll
        for (int v = 0; v < kKeys / kWidth; ++v) {
#pragma unroll
            for (int i = 0; i < kWidth; i += 2) {
                const int at = column(v) + i;
                auto* to = reinterpret_cast<unsigned char*>(shared.weights) +
                           WeightMap::offset_bytes(row(), at / 8) + at % 8 * 2;
                *reinterpret_cast<u32*>(to) = ptx::pack<T>(s[v * kWidth + i], s[v * kWidth + i + 1]);
            }
        }
        if (threadIdx.x % kLanes == 0) shared.factors[row()] = factor;
    }

    // What the row's sums are multiplied by; the log-sum-exp is stored.
    __device__ void finish_row(const MlaArgs& args, const MlaWork& work, MlaShared<R>& shared) {
#pragma unroll
        for (int mask = kLanes / 2; mask > 0; mask /= 2) sum_ += __shfl_xor_sync(~0u, sum_, mask);
        const int packed = work.first_row + row();
        if (threadIdx.x % kLanes != 0) return;
        const bool is_partial = args.num_splits > 1;
        const auto [scale, lse] =
            finish(max_, sum_, score_scale<R>(args, shared), nullptr, 0, is_partial ? 1 : args.lse_factor);
        shared.factors[row()] = scale * key_scale<R>(shared);
        if (packed >= work.num_rows) return;
        const i64 token = work.q_start + packed / work.heads;
        const int head = packed % work.heads;
        if (is_partial) {
            args.partial_lse[(i64{work.split} * args.q_tokens + token) * work.heads + head] = lse;
        } else if (args.lse != nullptr) {
            args.lse[token * args.lse_token_stride + head] = lse;
        }
    }

private:
    __device__ static int column(int vector) {
        return (vector * kLanes + static_cast<int>(threadIdx.x) % kLanes) * kWidth;
    }

    int limit_;  // the row sees the keys before this one
    float max_ = -infinity();
    float sum_ = 0;  // of this lane's keys
};

// A warp's columns of the outputs of all rows.
template <MlaRow R>
class Outputs {
    using T = Storage<R.dtype>;
    using WeightMap = Swizzle<R.kv_tile / 8>;
    static constexpr int kRowTiles = R.tile_rows / 16 / R.row_warps;
    static constexpr int kColumns = kMlaValueDim * R.row_warps / kMlaWarps;

public:
    __device__ Outputs() {
#pragma unroll
        for (auto& tile : out_) {
#pragma unroll
            for (auto& block : tile) block[0] = block[1] = block[2] = block[3] = 0;
        }
    }

    __device__ void add(const u16* step_keys, const MlaShared<R>& shared) {
        scale(shared);
        const int lane = lane_id();
        const u32 v = ptx::shared_address(step_keys) + KeyMap::offset_bytes(lane % 16, lane / 16);
#pragma unroll
        for (int key = 0; key < R.kv_tile / 16; ++key) {
            u32 a[kRowTiles][4];
#pragma unroll
            for (int m = 0; m < kRowTiles; ++m) {
                ptx::ldmatrix_x4(
                    a[m][0], a[m][1], a[m][2], a[m][3],
                    ptx::shared_address(shared.weights) +
                        WeightMap::offset_bytes(first_row() + m * 16 + lane % 16, 2 * key + lane / 16));
            }
#pragma unroll
            for (int d = 0; d < kColumns / 16; ++d) {
                u32 b[2][2];
                ptx::ldmatrix_x4_trans(b[0][0], b[0][1], b[1][0], b[1][1],
                                       KeyMap::advance(v, first_column() / 8 + 2 * d) + key * 16 * kRowBytes);
#pragma unroll
                for (int m = 0; m < kRowTiles; ++m) {
                    ptx::mma<T>(out_[m][2 * d], a[m], b[0]);
                    ptx::mma<T>(out_[m][2 * d + 1], a[m], b[1]);
                }
            }
        }
    }

    // Rows that no key was seen for have the factor 0.
    __device__ void store(const MlaArgs& args, const MlaWork& work, const MlaShared<R>& shared) const {
#pragma unroll
        for (int half = 0; half < 2 * kRowTiles; ++half) {
            const int row = first_row() + half * 8 + lane_id() / 4, packed = work.first_row + row;
            if (packed >= work.num_rows) continue;
            const float scale = shared.factors[row];
            const i64 token = work.q_start + packed / work.heads;
            const int head = packed % work.heads;
            const int column = first_column() + 2 * (lane_id() % 4);
            if (args.num_splits > 1) {
                float* to = args.partial_out + column +
                            ((i64{work.split} * args.q_tokens + token) * work.heads + head) * kMlaValueDim;
#pragma unroll
                for (int n = 0; n < kColumns / 8; ++n) {
                    const float* sums = &out_[half / 2][n][half % 2 * 2];
                    *reinterpret_cast<float2*>(to + n * 8) = {sums[0] * scale, sums[1] * scale};
                }
            } else {
                T* to = static_cast<T*>(args.out) + column + token * args.out_token_stride +
                        i64{head} * args.out_head_stride;
#pragma unroll
                for (int n = 0; n < kColumns / 8; ++n) {
                    const float* sums = &out_[half / 2][n][half % 2 * 2];
                    *reinterpret_cast<u32*>(to + n * 8) = ptx::pack<T>(sums[0] * scale, sums[1] * scale);
                }
            }
        }
    }

private:
    __device__ static int first_row() {
        return group_id<R>() * 16 * kRowTiles;
    }
    __device__ static int first_column() {
        return warp_id() % (kMlaWarps / R.row_warps) * kColumns;
    }

    __device__ void scale(const MlaShared<R>& shared) {
        float factors[2 * kRowTiles];
        bool is_needed = false;
#pragma unroll
        for (int half = 0; half < 2 * kRowTiles; ++half) {
            factors[half] = shared.factors[first_row() + half * 8 + lane_id() / 4];
            is_needed |= factors[half] != 1;
        }
        if (!__any_sync(~0u, is_needed)) return;
#pragma unroll
        for (int half = 0; half < 2 * kRowTiles; ++half) {
#pragma unroll
            for (auto& block : out_[half / 2]) {
                block[half % 2 * 2] *= factors[half];
                block[half % 2 * 2 + 1] *= factors[half];
            }
        }
    }

    float out_[kRowTiles][kColumns / 8][4];
};

template <MlaRow R>
__device__ inline void attend(const MlaArgs& args, MlaShared<R>& shared) {
    constexpr bool kIsAhead = R.stages > 2;  // scores, of values
    constexpr int kAhead = R.stages - 1;     // steps whose copies are under way
    static_assert(!kIsAhead || !reads_codes(R));
    MlaWork work;
    if (!find_work<R>(args, work)) return;
    shared.work = work;  // until the end: registers are short
    if constexpr (R.one_scale) shared.scale = args.k_scale != nullptr ? *args.k_scale : 1;
    Weights<R> weights(args, work);
    Outputs<R> outputs;
    if (work.kv_begin < work.kv_end) {
        Scores<R> scores;
        scores.load_query(args, work);
        LatentTiles<R> keys(args, work);
#pragma unroll
        for (int stage = 0; stage < kAhead; ++stage) {
            keys.copy(shared, stage, work.kv_begin + stage * R.kv_tile);
            ptx::cp_async_commit();
        }
        if constexpr (kIsAhead) {
            ptx::cp_async_wait<kAhead - 1>();
            __syncthreads();
            scores.add(shared.keys[0], shared);
            if (group_id<R>() == 1) {
                sync_group<R>();
                weights.weigh(args, work.kv_begin, 0, shared);
            }
        }
        int stage = 0;
#pragma unroll 1
        for (int key = work.kv_begin; key < keys.end(); key += R.kv_tile) {
            ptx::cp_async_wait<kIsAhead ? kAhead - 2 : kAhead - 1>();
            __syncthreads();  // the keys of the next scores are there, and all have read the step before
            keys.copy(shared, stage == 0 ? R.stages - 1 : stage - 1, key + kAhead * R.kv_tile);
            ptx::cp_async_commit();
            const int next = stage + 1 == R.stages ? 0 : stage + 1;
            const u16* numbers = shared.keys[reads_codes(R) ? 0 : stage];
            if constexpr (reads_codes(R)) {
                keys.widen(shared, stage);
                __syncthreads();
            }
            if constexpr (!kIsAhead) {
                scores.add(numbers, shared);
                __syncthreads();
            }
            const bool is_last = key + R.kv_tile >= keys.end();
            if (!kIsAhead || group_id<R>() == 0) {
                weights.weigh(args, key, stage, shared);
                sync_group<R>();
            }
            if (kIsAhead && group_id<R>() == 1 && !is_last) scores.add(shared.keys[next], shared);
            outputs.add(numbers, shared);
            if constexpr (kIsAhead) {
                if (group_id<R>() == 0 && !is_last) scores.add(shared.keys[next], shared);
                if (group_id<R>() == 1) {
                    sync_group<R>();
                    if (!is_last) weights.weigh(args, key + R.kv_tile, next, shared);
                }
            }
            stage = next;
        }
        ptx::cp_async_wait<0>();
        __syncthreads();  // all have read the last factors
    }
    const MlaWork found = shared.work;
    weights.finish_row(args, found, shared);
    __syncthreads();
    outputs.store(args, found, shared);
}

constexpr MlaRow kRow = sized<row_at(kMlaRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
static_assert(sizeof(MlaShared<kRow>) == kRow.shared_bytes);

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kMlaThreads, warpwright::kRow.min_blocks)
    WW_ENTRY(const __grid_constant__ warpwright::MlaArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    ptx::wait_for_predecessor();
    attend<kRow>(args, *reinterpret_cast<MlaShared<kRow>*>(shared_memory));
    ptx::release_successor();
}
