// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention, portable: a tile of latent rows in shared memory is keys, by all its columns,
// and values, by the first 512, so that every byte is read once.
//
//   block   = tile_rows packed rows (query, head) of one sequence, and one split of its keys
//   scores    warps divide rows or keys, and the depth: shares of scores go to shared memory
//   weights   the threads divide the rows: shares are added up, online softmax, weights to shared memory
//   values    a warp has all rows and 64 of the 512 columns
//
//   two stages          scores i   | weights i | values i | ...
//   three               weights i  | scores i + 1, values i | weights i + 1 | ...     bars are barriers
//
// Of a step of records a warp makes numbers of those that it has copied, before scores.
//
// A row's weights are relative to the maximum so far, unless it has risen by more than 8 in log2: outputs are
// seldom rescaled. Each row by itself, so that its bits do not depend on its neighbours.
#include "kernels/attention/finish.cuh"
#include "kernels/attention/mla/rows.h"
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

struct MlaWork {
    int heads;
    int sequence, split;
    int first_row, num_rows;  // packed rows: the tile's first, the sequence's number
    int q_start, q_len, kv_len;
    int kv_begin, kv_end;  // keys of this tile and split

    // Rows past the end are as the last one.
    __device__ int query(int row) const { return min(row, num_rows - 1) / heads; }
    // Keys that a packed row sees: masks are bottom-right.
    __device__ int visible_keys(const MlaArgs& args, int row) const {
        return args.causal ? max(0, kv_len - q_len + query(row) + 1) : kv_len;
    }
};

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
    work.q_start = args.q_starts[work.sequence];
    work.q_len = args.q_starts[work.sequence + 1] - work.q_start;
    work.kv_len = args.kv_lengths[work.sequence];
    work.num_rows = work.q_len * work.heads;
    if (work.first_row >= work.num_rows) return false;
    const int visible = work.visible_keys(args, work.first_row + R.tile_rows - 1);
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

// A block's copies of latent rows, or of records of them: a warp has four rows of a step.
template <MlaRow R>
class LatentTiles {
    using T = Storage<R.dtype>;
    static constexpr int kRows = 4;
    static constexpr int kBytes = reads_records(R) ? kMlaRecordBytes : kRowBytes, kVectors = kBytes / 16;
    static_assert(R.kv_tile == kRows * kMlaWarps && kKeyVectors == 72);

public:
    __device__ LatentTiles(const MlaArgs& args, const MlaWork& work)
        : args_(args),
          pages_(args.page_table + i64{work.sequence} * args.page_table_stride),
          key_(work.kv_begin),
          end_(work.kv_end) {
        look_up();
    }

    // Starts the copies of the next step. Keys from the end on are zeros: a masked score has the weight 0,
    // which would not silence a NaN.
    __device__ void copy(MlaShared<R>& shared, int stage) {
        u32 to;
        if constexpr (reads_records(R)) {
            to = ptx::shared_address(shared.records[stage]);
        } else {
            to = ptx::shared_address(shared.keys[stage]);
        }
        const int lane = lane_id();
        const auto copy_vector = [&](int row, const unsigned char* from, int vector) {
            const u32 offset =
                reads_records(R) ? (row * kVectors + vector) * 16 : KeyMap::offset_bytes(row, vector);
            ptx::cp_async_16(to + offset, from + vector * 16, key_ + row < end_ ? 16 : 0);
        };
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
            const unsigned char* from = row(i);
#pragma unroll
            for (int vector = 0; vector + 32 <= kVectors; vector += 32)
                copy_vector(first_row() + i, from, vector + lane);
        }
        // What is left of all four.
        constexpr int kRest = kVectors % 32;
#pragma unroll
        for (int first = 0; first < kRest * kRows; first += 32) {
            const int index = min(first + lane, kRest * kRows - 1), i = index / kRest;
            const unsigned char* from = row(i);
            if (first + lane < kRest * kRows)
                copy_vector(first_row() + i, from, kVectors / 32 * 32 + index % kRest);
        }
        key_ += R.kv_tile;
        look_up();
    }

    // Of the records that this warp has copied, numbers as they are multiplied: code x scale, rounded.
    __device__ static void widen(MlaShared<R>& shared, int stage) {
        const int lane = lane_id();
#pragma unroll 1  // registers are short
        for (int i = 0; i < kRows; ++i) {
            const int row = first_row() + i;
            const u8* record = shared.records[stage] + row * kMlaRecordBytes;
#pragma unroll
            for (int part = 0; part < 2; ++part) {
                const int vector = part * 32 + lane;
                const U32x2 codes = *reinterpret_cast<const U32x2*>(record + vector * 8);
                const float scale =
                    *reinterpret_cast<const float*>(record + kMlaScalesAt + vector * 8 / kMlaGroup * 4);
                const CodePairs a = neighbouring_pairs<Bf16, R.kv_format, false>(codes.x);
                const CodePairs b = neighbouring_pairs<Bf16, R.kv_format, false>(codes.y);
                store_vector(shared, row, vector,
                             {scaled(a.first, scale), scaled(a.second, scale), scaled(b.first, scale),
                              scaled(b.second, scale)});
            }
        }
        const int row = first_row() + lane / 8, vector = lane % 8;
        const u8* rope = shared.records[stage] + row * kMlaRecordBytes + kMlaRopeAt;
        store_vector(shared, row, kMlaValueDim / 8 + vector,
                     *reinterpret_cast<const U32x4*>(rope + vector * 16));
    }

private:
    __device__ static int first_row() {
        return warp_id() * kRows;
    }
    __device__ static u32 scaled(u32 pair, float scale) {
        return ptx::pack<T>(__uint_as_float(pair << 16) * scale, __uint_as_float(pair & 0xffff0000u) * scale);
    }
    __device__ static void store_vector(MlaShared<R>& shared, int row, int vector, const U32x4& value) {
        *reinterpret_cast<U32x4*>(reinterpret_cast<unsigned char*>(shared.keys[0]) +
                                  KeyMap::offset_bytes(row, vector)) = value;
    }

    // Table entries of other keys are not touched.
    __device__ void look_up() {
        const int key = key_ + first_row() + lane_id() % kRows;
        offset_ = 0;
        if (key < end_) {
            offset_ = (i64{pages_[key >> args_.page_shift]} * args_.page_stride +
                       i64{key & ((1 << args_.page_shift) - 1)} * args_.token_stride) *
                      (reads_records(R) ? 1 : 2);
        }
    }
    __device__ const unsigned char* row(int index) const {
        return static_cast<const unsigned char*>(args_.cache) + __shfl_sync(~0u, offset_, index);
    }

    const MlaArgs& args_;
    const i32* pages_;
    int key_, end_;  // the first key of the next step
    i64 offset_;     // of the row of the next step that this lane has looked up
};

// A warp's share of the scores of a step.
template <MlaRow R>
class Scores {
    using T = Storage<R.dtype>;
    static constexpr int kRowTiles = R.tile_rows / 16 / R.row_warps;
    static constexpr int kKeyPairs = R.kv_tile / 16 / key_warps(R);  // of blocks of eight keys
    static constexpr int kDepthSteps = kMlaKeyDim / 16 / kMlaDepthWarps;
    static_assert(kRowTiles * 16 * R.row_warps == R.tile_rows && kKeyPairs * 16 * key_warps(R) == R.kv_tile);

public:
    __device__ void load_query(const MlaArgs& args, const MlaWork& work, MlaShared<R>& shared) {
        if constexpr (keeps_q_in_shared(R)) {
            const u32 to = ptx::shared_address(shared.q);
            for (int row = warp_id(); row < R.tile_rows; row += kMlaWarps) {
                const T* from = query_row<T>(args, work, work.first_row + row);
                for (int vector = lane_id(); vector < kKeyVectors; vector += 32)
                    ptx::cp_async_16(to + KeyMap::offset_bytes(row, vector), from + vector * 8);
            }
        } else {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const T* from = query_row<T>(args, work, work.first_row + lane_id() / 4 + 8 * half) +
                                first_depth_step() * 16 + 2 * (lane_id() % 4);
#pragma unroll
                for (int step = 0; step < kDepthSteps; ++step) {
                    q_[step][half] = *reinterpret_cast<const u32*>(from + step * 16);
                    q_[step][half + 2] = *reinterpret_cast<const u32*>(from + step * 16 + 8);
                }
            }
        }
    }

    __device__ void add(const u16* step_keys, MlaShared<R>& shared) const {
        const int lane = lane_id();
        const u32 k = ptx::shared_address(step_keys) +
                      KeyMap::offset_bytes(first_key() + lane / 16 * 8 + lane % 8, lane / 8 % 2);
        float s[kRowTiles][2 * kKeyPairs][4] = {};
#pragma unroll
        for (int step = 0; step < kDepthSteps; ++step) {
            const int vector = 2 * (first_depth_step() + step);
            u32 a[kRowTiles][4];
            if constexpr (keeps_q_in_shared(R)) {
                const u32 q =
                    ptx::shared_address(shared.q) + KeyMap::offset_bytes(first_row() + lane % 16, lane / 16);
#pragma unroll
                for (int m = 0; m < kRowTiles; ++m) {
                    ptx::ldmatrix_x4(a[m][0], a[m][1], a[m][2], a[m][3],
                                     KeyMap::advance(q, vector) + m * 16 * kRowBytes);
                }
            } else {
#pragma unroll
                for (int i = 0; i < 4; ++i) a[0][i] = q_[step][i];
            }
#pragma unroll
            for (int n = 0; n < kKeyPairs; ++n) {
                u32 b[2][2];
                ptx::ldmatrix_x4(b[0][0], b[0][1], b[1][0], b[1][1],
                                 KeyMap::advance(k, vector) + n * 16 * kRowBytes);
#pragma unroll
                for (int m = 0; m < kRowTiles; ++m) {
                    ptx::mma<T>(s[m][2 * n], a[m], b[0]);
                    ptx::mma<T>(s[m][2 * n + 1], a[m], b[1]);
                }
            }
        }
        float* to = shared.scores[warp_id() % kMlaDepthWarps];
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
            for (int n = 0; n < 2 * kKeyPairs; ++n) {
                const int row = first_row() + m * 16 + lane / 4,
                          column = first_key() + n * 8 + 2 * (lane % 4);
                *reinterpret_cast<float2*>(to + offset(row, column)) = {s[m][n][0], s[m][n][1]};
                *reinterpret_cast<float2*>(to + offset(row + 8, column)) = {s[m][n][2], s[m][n][3]};
            }
        }
    }

    // Of a score, so that neither those that write fragments nor those that read rows meet in a bank.
    __device__ static int offset(int row, int column) {
        static_assert(R.kv_tile == 32);
        return row * R.kv_tile + (column ^ ((row & 1) << 4 | (row & 2) << 2));
    }

private:
    // Warps: depth changes fastest, then keys or rows.
    __device__ static int first_depth_step() {
        return warp_id() % kMlaDepthWarps * kDepthSteps;
    }
    __device__ static int first_row() {
        return R.row_warps == 1 ? 0 : warp_id() / kMlaDepthWarps * 16 * kRowTiles;
    }
    __device__ static int first_key() {
        return R.row_warps == 1 ? warp_id() / kMlaDepthWarps * 16 * kKeyPairs : 0;
    }

    u32 q_[keeps_q_in_shared(R) ? 1 : kDepthSteps][4];
};

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
        : limit_(work.visible_keys(args, work.first_row + row())) {}

    __device__ static int row() { return threadIdx.x / kLanes; }

    __device__ void weigh(const MlaArgs& args, int first_key, MlaShared<R>& shared) {
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
        float largest = -infinity();
#pragma unroll
        for (int i = 0; i < kKeys; ++i) {
            if (first_key + column(i / kWidth) + i % kWidth >= limit_) s[i] = -infinity();
            largest = fmaxf(largest, s[i]);
        }
#pragma unroll
        for (int mask = kLanes / 2; mask > 0; mask /= 2)
            largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, mask));
        float factor = 1;
        if ((largest - max_) * args.scale_log2 > kHeadroom) {
            factor = ptx::exp2_approx((max_ - largest) * args.scale_log2);
            max_ = largest;
        }
        // why: a row that has seen no key yet keeps weights of 0, not 2^(-infinity + infinity).
        const float base = max_ == -infinity() ? 0 : max_ * args.scale_log2;
        sum_ *= factor;
#pragma unroll
        for (int i = 0; i < kKeys; ++i) {
            s[i] = ptx::exp2_approx(s[i] * args.scale_log2 - base);
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
            finish(max_, sum_, args.scale_log2, nullptr, 0, is_partial ? 1 : args.lse_factor);
        shared.factors[row()] = scale;
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
    static constexpr int kRowTiles = R.tile_rows / 16;
    static constexpr int kColumns = kMlaValueDim / kMlaWarps;

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
                ptx::ldmatrix_x4(a[m][0], a[m][1], a[m][2], a[m][3],
                                 ptx::shared_address(shared.weights) +
                                     WeightMap::offset_bytes(m * 16 + lane % 16, 2 * key + lane / 16));
            }
#pragma unroll
            for (int d = 0; d < kColumns / 16; ++d) {
                u32 b[2][2];
                ptx::ldmatrix_x4_trans(
                    b[0][0], b[0][1], b[1][0], b[1][1],
                    KeyMap::advance(v, warp_id() * (kColumns / 8) + 2 * d) + key * 16 * kRowBytes);
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
            const int row = half * 8 + lane_id() / 4, packed = work.first_row + row;
            if (packed >= work.num_rows) continue;
            const float scale = shared.factors[row];
            const i64 token = work.q_start + packed / work.heads;
            const int head = packed % work.heads;
            const int first_column = warp_id() * kColumns + 2 * (lane_id() % 4);
            if (args.num_splits > 1) {
                float* to = args.partial_out + first_column +
                            ((i64{work.split} * args.q_tokens + token) * work.heads + head) * kMlaValueDim;
#pragma unroll
                for (int n = 0; n < kColumns / 8; ++n) {
                    const float* sums = &out_[half / 2][n][half % 2 * 2];
                    *reinterpret_cast<float2*>(to + n * 8) = {sums[0] * scale, sums[1] * scale};
                }
            } else {
                T* to = static_cast<T*>(args.out) + first_column + token * args.out_token_stride +
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
    __device__ void scale(const MlaShared<R>& shared) {
        float factors[2 * kRowTiles];
        bool is_needed = false;
#pragma unroll
        for (int half = 0; half < 2 * kRowTiles; ++half) {
            factors[half] = shared.factors[half * 8 + lane_id() / 4];
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
    static_assert(!kIsAhead || !reads_records(R));
    MlaWork work;
    if (!find_work<R>(args, work)) return;
    Weights<R> weights(args, work);
    Outputs<R> outputs;
    const int num_steps = (work.kv_end - work.kv_begin + R.kv_tile - 1) / R.kv_tile;
    if (num_steps > 0) {
        Scores<R> scores;
        scores.load_query(args, work, shared);  // of its copies, the first step's group
        LatentTiles<R> keys(args, work);
#pragma unroll
        for (int stage = 0; stage < kAhead; ++stage) {
            if (stage < num_steps) keys.copy(shared, stage);
            ptx::cp_async_commit();
        }
        if constexpr (kIsAhead) {
            ptx::cp_async_wait<kAhead - 1>();
            __syncthreads();
            scores.add(shared.keys[0], shared);
        }
        int stage = 0, stage_ahead = kAhead;
#pragma unroll 1
        for (int step = 0; step < num_steps; ++step) {
            ptx::cp_async_wait<kIsAhead ? kAhead - 2 : kAhead - 1>();
            __syncthreads();  // the keys of the next scores are there, and all have read the step before
            if (step + kAhead < num_steps) keys.copy(shared, stage_ahead);
            ptx::cp_async_commit();
            const int next = stage + 1 == R.stages ? 0 : stage + 1;
            stage_ahead = stage_ahead + 1 == R.stages ? 0 : stage_ahead + 1;
            const u16* numbers = shared.keys[reads_records(R) ? 0 : stage];
            if constexpr (reads_records(R)) {
                keys.widen(shared, stage);
                __syncthreads();
            }
            if constexpr (!kIsAhead) {
                scores.add(numbers, shared);
                __syncthreads();
            }
            weights.weigh(args, work.kv_begin + step * R.kv_tile, shared);
            __syncthreads();
            if constexpr (kIsAhead) {
                if (step + 1 < num_steps) scores.add(shared.keys[next], shared);
            }
            outputs.add(numbers, shared);
            stage = next;
        }
        ptx::cp_async_wait<0>();
        __syncthreads();  // all have read the last factors
    }
    weights.finish_row(args, work, shared);
    __syncthreads();
    outputs.store(args, work, shared);
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
