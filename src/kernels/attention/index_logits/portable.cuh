// SPDX-License-Identifier: Apache-2.0
// Scores of an indexer, portable.
//
//   block   = a tile of keys and up to q_tile queries of one sequence
//   warp      32 keys, which stay in registers as the left factor; the heads of a query are the columns
//   query     32 heads at a time go through shared memory, the next ones meanwhile through registers
//
// No score leaves its lane before it is cut off at zero and weighed: a lane adds up its heads of four keys,
// and four lanes add up theirs. Codes become bf16, exactly.
//
// The order of the depth is free as long as both factors have the same: a lane reads 8 neighbours where the
// instruction would have it read four pairs, so that both come in whole vectors.
#include "kernels/attention/index_logits/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"
#include "tile/code_pairs.cuh"

namespace warpwright {

constexpr IndexLogitsRow kRow = row_at(kIndexLogitsRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");

constexpr bool kCodes = reads_codes(kRow), kCodedQueries = kRow.coded_queries;
constexpr int kThreads = num_threads(kRow), kParts = kIndexDim / 32;
constexpr int kQueryBytes = kCodedQueries ? 1 : 2;        // of a number
constexpr int kHeadLoads = kIndexDim * kQueryBytes / 16;  // 16-byte loads of a head
constexpr int kLoads = kIndexHeads * kHeadLoads / kThreads;
static_assert(kLoads * kThreads == kIndexHeads * kHeadLoads && kThreads >= kIndexHeads);

struct Shared {
    alignas(128) U32x4 heads[2][kIndexHeads * kIndexDim / 8];
    float weights[2][kIndexHeads];
};

// Of a 16-byte vector of 8 numbers, so that neither whole heads nor the lanes of a product meet in a bank.
__device__ inline int vector_at(int head, int vector) {
    return head * (kIndexDim / 8) + (vector ^ (head & 1) << 2);
}

__device__ inline U32x4 widen(u32 low, u32 high) {
    const CodePairs a = neighbouring_pairs<Bf16, KvFormat::fp8_e4m3, false>(low);
    const CodePairs b = neighbouring_pairs<Bf16, KvFormat::fp8_e4m3, false>(high);
    return {a.first, a.second, b.first, b.second};
}

struct Work {
    int q_start, q_len, kv_len;
    int page_entries;  // where the sequence's begin
    int first_key;
    int token, end;  // of the sequence's queries, those of this block that see one of its keys
};

__device__ inline int visible_keys(const IndexLogitsArgs& args, const Work& work, int token) {
    return min(args.max_kv_len, args.causal ? work.kv_len - work.q_len + token + 1 : work.kv_len);
}

// Key tiles change fastest: the queries are what there is more of.
__device__ inline Work find_work(const IndexLogitsArgs& args) {
    const u32 key_tiles = (args.max_kv_len + kRow.kv_tile - 1) / kRow.kv_tile;
    const u32 q_tiles = (args.max_q_len + kRow.q_tile - 1) / kRow.q_tile;
    const u32 part = blockIdx.x / key_tiles, sequence = part / q_tiles;
    Work work;
    work.q_start = args.q_starts[sequence];
    work.q_len = args.q_starts[sequence + 1] - work.q_start;
    work.kv_len = args.kv_lengths[sequence];
    work.page_entries = static_cast<int>(sequence) * args.page_table_stride;
    work.first_key = static_cast<int>(blockIdx.x % key_tiles) * kRow.kv_tile;
    work.token = static_cast<int>(part % q_tiles) * kRow.q_tile;
    work.end = min(work.q_len, work.token + kRow.q_tile);
    if (args.causal) work.token = max(work.token, work.first_key - (work.kv_len - work.q_len));
    if (work.end > 0 && visible_keys(args, work, work.end - 1) <= work.first_key) work.end = 0;
    return work;
}

// Of a query and up to 32 of its heads: what this thread carries from global to shared memory.
class Carried {
public:
    __device__ void load(const IndexLogitsArgs& args, i64 token, int first_head) {
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const int index = i * kThreads + static_cast<int>(threadIdx.x);
            const int head = first_head + index / kHeadLoads;
            vectors_[i] = {0, 0, 0, 0};
            if (head >= args.heads) continue;
            vectors_[i] =
                ptx::load(static_cast<const unsigned char*>(args.q) +
                          (token * args.q_token_stride + i64{head} * args.q_head_stride) * kQueryBytes +
                          index % kHeadLoads * 16);
        }
        weight_ = 0;
        const int head = first_head + static_cast<int>(threadIdx.x);
        if (static_cast<int>(threadIdx.x) < kIndexHeads && head < args.heads)
            weight_ = args.weights[token * args.weights_stride + head];
    }

    __device__ void store(Shared& shared, int stage) const {
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const int index = i * kThreads + static_cast<int>(threadIdx.x);
            const int head = index / kHeadLoads, vector = index % kHeadLoads;
            const U32x4 v = vectors_[i];
            if constexpr (kCodedQueries) {
                shared.heads[stage][vector_at(head, 2 * vector)] = widen(v.x, v.y);
                shared.heads[stage][vector_at(head, 2 * vector + 1)] = widen(v.z, v.w);
            } else {
                shared.heads[stage][vector_at(head, vector)] = v;
            }
        }
        if (threadIdx.x < kIndexHeads) shared.weights[stage][threadIdx.x] = weight_;
    }

private:
    U32x4 vectors_[kLoads];
    float weight_;
};

// A lane's numbers of its warp's keys: of rows lane / 4, + 8, + 16 and + 24 every fourth 8 columns. Of these
// four keys it stores the logits of one, and has that one's scale.
class Keys {
public:
    __device__ void load(const IndexLogitsArgs& args, const Work& work, int visible) {
        scale_ = 1;
#pragma unroll
        for (int row = 0; row < 4; ++row) {
            const int key = first_key(work) + row * 8;
#pragma unroll
            for (int part = 0; part < kParts; ++part) numbers_[row][part] = {0, 0, 0, 0};
            if (key >= visible) continue;
            const i64 page = args.page_table[work.page_entries + (key >> args.page_shift)];
            const int in_page = key & ((1 << args.page_shift) - 1);
            const unsigned char* from =
                static_cast<const unsigned char*>(args.cache) + page * args.page_stride * (kCodes ? 1 : 2);
            if constexpr (kCodes) {
                if (row == own_row())
                    scale_ = reinterpret_cast<const float*>(from + (kIndexDim << args.page_shift))[in_page];
                from += in_page * kIndexDim + threadIdx.x % 4 * 8;
#pragma unroll
                for (int part = 0; part < kParts; ++part) {
                    const U32x2 codes = *reinterpret_cast<const U32x2*>(from + part * 32);
                    numbers_[row][part] = widen(codes.x, codes.y);
                }
            } else {
                from += i64{in_page} * args.token_stride * 2 + threadIdx.x % 4 * 16;
#pragma unroll
                for (int part = 0; part < kParts; ++part) numbers_[row][part] = ptx::load(from + part * 64);
            }
        }
    }

    __device__ static int own_row() {
        return threadIdx.x % 4;
    }
    __device__ static int first_key(const Work& work) {
        return work.first_key + static_cast<int>(threadIdx.x) / 32 * kIndexWarpKeys +
               static_cast<int>(threadIdx.x) % 32 / 4;
    }

    // Adds the weighed scores of the heads to those of this lane's rows.
    __device__ void add(const Shared& shared, int stage, float (&sums)[4]) const {
        const int lane = threadIdx.x % 32;
#pragma unroll 1
        for (int first = 0; first < kIndexHeads; first += 8) {
            float scores[2][4] = {};
#pragma unroll
            for (int part = 0; part < kParts; ++part) {
                const U32x4 q = shared.heads[stage][vector_at(first + lane / 4, 4 * part + lane % 4)];
                const u32 b[2][2] = {{q.x, q.y}, {q.z, q.w}};
#pragma unroll
                for (int m = 0; m < 2; ++m) {
                    const U32x4 &upper = numbers_[2 * m][part], &lower = numbers_[2 * m + 1][part];
                    const u32 a[2][4] = {{upper.x, lower.x, upper.y, lower.y},
                                         {upper.z, lower.z, upper.w, lower.w}};
                    ptx::mma<Bf16>(scores[m], a[0], b[0]);
                    ptx::mma<Bf16>(scores[m], a[1], b[1]);
                }
            }
            const float2 weights =
                *reinterpret_cast<const float2*>(&shared.weights[stage][first + 2 * (lane % 4)]);
#pragma unroll
            for (int row = 0; row < 4; ++row) {
                const float* pair = &scores[row / 2][row % 2 * 2];
                sums[row] += weights.x * fmaxf(pair[0], 0);
                sums[row] += weights.y * fmaxf(pair[1], 0);
            }
        }
    }

    // All four lanes of a row add up; each stores one of their four rows.
    __device__ void store(const IndexLogitsArgs& args, const Work& work, int token,
                          const float (&sums)[4]) const {
        float own = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float sum = sums[i];
            sum += __shfl_xor_sync(~0u, sum, 1);
            sum += __shfl_xor_sync(~0u, sum, 2);
            if (i == own_row()) own = sum;
        }
        const int key = first_key(work) + own_row() * 8;
        if (key < visible_keys(args, work, token))
            args.logits[i64{work.q_start + token} * args.logits_stride + key] = own * scale_;
    }

private:
    U32x4 numbers_[4][kParts];
    float scale_;
};

__device__ inline void score(const IndexLogitsArgs& args, Shared& shared) {
    const Work work = find_work(args);
    if (work.token >= work.end) return;
    const int groups = (args.heads + kIndexHeads - 1) / kIndexHeads;
    Carried carried;
    carried.load(args, work.q_start + work.token, 0);
    Keys keys;
    keys.load(args, work, visible_keys(args, work, work.end - 1));
    carried.store(shared, 0);
    __syncthreads();
    int stage = 0;
#pragma unroll 1
    for (int token = work.token; token < work.end; ++token) {
        float sums[4] = {};
#pragma unroll 1
        for (int group = 0; group < groups; ++group) {
            const bool is_last = group + 1 == groups;
            const int next = is_last ? token + 1 : token;
            if (next < work.end)
                carried.load(args, work.q_start + next, is_last ? 0 : (group + 1) * kIndexHeads);
            keys.add(shared, stage, sums);
            stage ^= 1;
            if (next < work.end) carried.store(shared, stage);
            __syncthreads();  // the next heads are there, and all have read these
        }
        keys.store(args, work, token, sums);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, 2)
    WW_ENTRY(const __grid_constant__ warpwright::IndexLogitsArgs args) {
    using namespace warpwright;
    __shared__ Shared shared;
    ptx::wait_for_predecessor();
    score(args, shared);
    ptx::release_successor();
}
