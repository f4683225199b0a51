// SPDX-License-Identifier: Apache-2.0
// Sampling, portable. draw.h defines the result; here is how a row is searched without sorting it. After the
// first pass its logits come from L2.
//
//   block = one row of logits
//   pass 1             the largest logit; greedy rows end here
//   pass 2             with top-k or top-p: collect the few likeliest tokens in shared memory, sum all
//   weights thresholds         bisection of keys among those tokens; if they do not reach far enough (a flat
//                      distribution, a large k): passes with several pivots until they do
//   draw               bisection of ids among those tokens, or one pass of sums per warp and one over the
//                      range of the warp that holds the drawn weight
//
// What to collect: the r-th largest of the threads' own largest logits has at least r tokens above it, and in
// any usual order few more.
#include "kernels/fused/sample/philox.h"
#include "kernels/fused/sample/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr SampleRow kRow = row_at(kSampleRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

constexpr int kThreads = kRow.threads;
constexpr int kNumWarps = kThreads / kWarpThreads;
static_assert(kNumWarps == kWarpThreads, "one lane of a warp stands for each warp");
constexpr int kElements = kRow.vectors ? 16 / sizeof(T) : 1;  // that a thread loads at a time
constexpr int kLoads = 2;                                     // in flight per thread; more of them spill
constexpr int kSlots = 2;                                     // collected tokens per thread
constexpr int kMaxCollected = kSlots * kThreads;
constexpr u32 kUsualRank = 256;  // what to collect for top-p without top-k
constexpr int kPivots = 3;

struct Shared {
    u64 weight[kMaxCollected];
    u32 key[kMaxCollected];
    i32 id[kMaxCollected];
    u64 sums[2][kNumWarps];  // two, so that one barrier a reduction is enough
    u32 largest[kNumWarps];
    i32 first[kNumWarps];
    u32 num_collected;
};

struct RowOfLogits {
    const T* logits;
    int vocabulary;
    float largest;
    float scale;
};

struct Search {  // a threshold is known to lie in [low, high)
    u32 low, high;
    u64 above;  // the measure from `high` on, less than what is needed
};

enum class Measure { tokens, weight };

__device__ inline u64 block_sum(u64 value, Shared& shared, int& turn) {
    const u64 sum = warp_sum(value);
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    if (lane == 0) shared.sums[turn][warp] = sum;
    __syncthreads();
    const u64 total = warp_sum(shared.sums[turn][lane]);
    turn ^= 1;
    return total;
}

// ---- passes over the row. A warp owns a contiguous range, so that its sums can be searched by id.

struct Range {
    int begin, end;
};

__device__ inline Range warp_range(int warp, int vocabulary) {
    constexpr int kAccess = kWarpThreads * kElements;
    const int span = static_cast<int>(round_up(ceil_div(vocabulary, kNumWarps), kAccess));
    const int begin = min(warp * span, vocabulary);
    return {begin, min(begin + span, vocabulary)};
}

struct Piece {  // kElements logits
    U32x4 words;
};

__device__ inline Piece load_piece(const T* address) {
    if constexpr (kRow.vectors) {
        return {ptx::load(address)};
    } else {
        return {{__float_as_uint(ptx::to_float(*address)), 0, 0, 0}};
    }
}

template <class Body>
__device__ inline void for_each_in(const Piece& piece, int id, Body body) {
    const u32 words[4] = {piece.words.x, piece.words.y, piece.words.z, piece.words.w};
    if constexpr (kElements == 8) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            body(id + 2 * i, clean_logit(ptx::low_float<T>(words[i])));
            body(id + 2 * i + 1, clean_logit(ptx::high_float<T>(words[i])));
        }
    } else {
#pragma unroll
        for (int i = 0; i < kElements; ++i) body(id + i, clean_logit(__uint_as_float(words[i])));
    }
}

// body(id, logit), in ascending order of ids within a thread.
template <int num_loads = kLoads, class Body>
__device__ inline void for_each_logit(const RowOfLogits& row, Body body) {
    constexpr int kAccess = kWarpThreads * kElements;
    const Range range = warp_range(threadIdx.x / kWarpThreads, row.vocabulary);
    const int lane_begin = range.begin + static_cast<int>(threadIdx.x) % kWarpThreads * kElements;
    for (int start = lane_begin; start < range.end; start += num_loads * kAccess) {
        Piece pieces[num_loads];
#pragma unroll
        for (int i = 0; i < num_loads; ++i) {
            if (start + i * kAccess < range.end) pieces[i] = load_piece(row.logits + start + i * kAccess);
        }
#pragma unroll
        for (int i = 0; i < num_loads; ++i) {
            if (start + i * kAccess < range.end) for_each_in(pieces[i], start + i * kAccess, body);
        }
    }
}

// Collects the tokens with low <= key < high, counting those that no longer fit; returns the weight of all
// tokens with key >= weigh_from.
__device__ inline u64 collect(const RowOfLogits& row, u32 low, u32 high, u32 weigh_from, Shared& shared,
                              int& turn) {
    __syncthreads();  // the collected tokens may still be read
    if (threadIdx.x == 0) shared.num_collected = 0;
    __syncthreads();
    u64 sum = 0;
    for_each_logit(row, [&](int id, float logit) {
        const u32 key = key_of(logit);
        const bool wanted = key >= low && key < high;
        if (!wanted && key < weigh_from) return;
        const u64 weight = weight_of(logit, row.largest, row.scale);
        if (key >= weigh_from) sum += weight;
        if (!wanted) return;
        const u32 slot = atomicAdd(&shared.num_collected, 1u);
        if (slot >= kMaxCollected) return;
        shared.key[slot] = key;
        shared.id[slot] = id;
        shared.weight[slot] = weight;
    });
    return block_sum(sum, shared, turn);
}

// ---- searches among the collected tokens

struct Collected {  // this thread's share
    u32 key[kSlots];
    i32 id[kSlots];
    u64 weight[kSlots];
};

__device__ inline Collected my_collected(const Shared& shared) {
    Collected mine;
#pragma unroll
    for (int i = 0; i < kSlots; ++i) {
        const u32 slot = i * kThreads + threadIdx.x;
        const bool there = slot < shared.num_collected;
        mine.key[i] = there ? shared.key[slot] : 0;
        mine.id[i] = there ? shared.id[slot] : 0;
        mine.weight[i] = there ? shared.weight[slot] : 0;
    }
    return mine;
}

template <Measure measure>
__device__ inline u64 measure_from(u32 key, const Collected& mine, Shared& shared, int& turn) {
    u64 sum = 0;
#pragma unroll
    for (int i = 0; i < kSlots; ++i) {
        const bool counts = mine.key[i] >= key && mine.key[i] != 0;
        sum += !counts ? 0 : measure == Measure::tokens ? 1 : mine.weight[i];
    }
    return block_sum(sum, shared, turn);
}

// The largest v of the search with at least `needed` from v on. All tokens of the range are collected.
template <Measure measure>
__device__ inline u32 bisect(Search search, u64 needed, Shared& shared, int& turn) {
    const Collected mine = my_collected(shared);
    while (search.high - search.low > 1) {
        const u32 middle = search.low + (search.high - search.low) / 2;
        const bool reached = search.above + measure_from<measure>(middle, mine, shared, turn) >= needed;
        (reached ? search.low : search.high) = middle;
    }
    return search.low;
}

// ---- the search over the whole row, for thresholds that lie deep in it

// Pivots at equal steps of the logit find a smooth distribution's threshold soon, those at equal steps of the
// key bound the number of passes for any other: the two take turns.
__device__ inline u32 pivot_key(const RowOfLogits& row, const Search& search, int pivot, bool by_logit) {
    const u32 inner = search.high - search.low;
    u32 key = search.low + static_cast<u32>(static_cast<u64>(inner) * (pivot + 1) / (kPivots + 1));
    if (by_logit) {
        const float top = logit_of(search.high);
        const float weightless = row.largest - 4294967296.0f / row.scale;
        const float bottom = fmaxf(logit_of(search.low), weightless);
        const float step = (top - bottom) / (kPivots + 1);
        if (step > 0 && step < kLargestFloat) key = key_of(bottom + step * (pivot + 1));
    }
    return min(max(key, search.low + 1), search.high - 1);
}

template <Measure measure>
__device__ inline u32 narrow(const RowOfLogits& row, Search search, u64 needed, Shared& shared, int& turn) {
    u32 tokens_from_low = row.vocabulary, tokens_from_high = 0;
    for (bool by_logit = true; search.high - search.low > 1; by_logit = !by_logit) {
        if (tokens_from_low - tokens_from_high <= kMaxCollected) {
            collect(row, search.low, search.high, ~0u, shared, turn);
            return bisect<measure>(search, needed, shared, turn);
        }
        u32 pivots[kPivots], tokens[kPivots] = {};
        u64 weights[kPivots] = {};
#pragma unroll
        for (int i = 0; i < kPivots; ++i) pivots[i] = pivot_key(row, search, i, by_logit);
        for_each_logit(row, [&](int, float logit) {
            const u32 key = key_of(logit);
            const u64 weight = measure == Measure::weight ? weight_of(logit, row.largest, row.scale) : 0;
#pragma unroll
            for (int i = 0; i < kPivots; ++i) {
                tokens[i] += key >= pivots[i];
                if (measure == Measure::weight) weights[i] += key >= pivots[i] ? weight : 0;
            }
        });
        bool found = false;
#pragma unroll
        for (int i = 0; i < kPivots; ++i) {
            const u64 count = block_sum(u64{tokens[i]}, shared, turn);
            const u64 sum = measure == Measure::tokens ? count : block_sum(weights[i], shared, turn);
            if (found) continue;
            if (sum >= needed) {
                search.low = pivots[i];
                tokens_from_low = static_cast<u32>(count);
            } else {
                search.high = pivots[i];
                search.above = sum;
                tokens_from_high = static_cast<u32>(count);
                found = true;
            }
        }
    }
    return search.low;
}

// ---- the two ends

struct Best {
    u32 key;
    i32 id;
};

// The largest key and its first id; `mine` is this thread's largest key.
__device__ inline Best find_best(const T* logits, int vocabulary, u32& mine, Shared& shared) {
    float largest = __uint_as_float(0xff800000u);
    i32 first = 0x7fffffff;
    for_each_logit<4>({logits, vocabulary, 0, 0}, [&](int id, float logit) {
        if (logit > largest) largest = logit, first = id;
    });
    mine = key_of(largest);
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    const auto combine = [](u32 key, i32 id) {
        const u32 best = __reduce_max_sync(~0u, key);
        return Best{best, __reduce_min_sync(~0u, key == best ? id : 0x7fffffff)};
    };
    const Best of_warp = combine(mine, first);
    if (lane == 0) shared.largest[warp] = of_warp.key, shared.first[warp] = of_warp.id;
    __syncthreads();
    return combine(shared.largest[lane], shared.first[lane]);
}

// The rank-th largest of the threads' keys.
__device__ inline u32 rank_of_threads(u32 mine, u32 rank, u32 largest) {
    u32 low = 0, high = largest + 1;
    while (high - low > 1) {
        const u32 middle = low + (high - low) / 2;
        const u32 count = __syncthreads_count(mine >= middle);
        (count >= rank ? low : high) = middle;
    }
    return low;
}

// The first id at which the running sum of kept weights exceeds the drawn share of their total. Everything
// kept is collected.
__device__ inline i32 draw_collected(u32 floor, u64 min_weight, u64 bits, int vocabulary, Shared& shared,
                                     int& turn) {
    Collected mine = my_collected(shared);
    u64 sum = 0;
#pragma unroll
    for (int i = 0; i < kSlots; ++i) {
        if (mine.key[i] < floor || mine.weight[i] < min_weight) mine.weight[i] = 0;
        sum += mine.weight[i];
    }
    const u64 drawn = multiply_high(block_sum(sum, shared, turn), bits);
    i32 low = -1, high = vocabulary - 1;  // the running sum exceeds at `high`, not at `low`
    while (high - low > 1) {
        const i32 middle = low + (high - low) / 2;
        u64 up_to = 0;
#pragma unroll
        for (int i = 0; i < kSlots; ++i) up_to += mine.id[i] <= middle ? mine.weight[i] : 0;
        (block_sum(up_to, shared, turn) > drawn ? high : low) = middle;
    }
    return high;
}

// The same over the whole row. Exactly one thread stores the token.
__device__ inline void draw_row(const RowOfLogits& row, u32 floor, u64 min_weight, u64 bits, i32* token,
                                Shared& shared, int& turn) {
    const auto kept = [&](float logit) {
        const u64 weight = weight_of(logit, row.largest, row.scale);
        return key_of(logit) >= floor && weight >= min_weight ? weight : u64{0};
    };
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    u64 sum = 0;
    for_each_logit(row, [&](int, float logit) { sum += kept(logit); });
    sum = warp_sum(sum);
    if (lane == 0) shared.sums[turn][warp] = sum;
    __syncthreads();
    const u64 of_warps = warp_running_sum(shared.sums[turn][lane]);
    turn ^= 1;
    const u64 drawn = multiply_high(__shfl_sync(~0u, of_warps, kWarpThreads - 1), bits);
    const int target = __ffs(__ballot_sync(~0u, of_warps > drawn)) - 1;
    const u64 before = __shfl_sync(~0u, of_warps, max(target - 1, 0));
    u64 running = target == 0 ? 0 : before;

    const Range range = warp_range(target, row.vocabulary);
    for (int start = range.begin; start < range.end && running <= drawn; start += kThreads * kElements) {
        const int id = start + static_cast<int>(threadIdx.x) * kElements;
        Piece piece{};
        u64 mine = 0;
        if (id < range.end) {
            piece = load_piece(row.logits + id);
            for_each_in(piece, id, [&](int, float logit) { mine += kept(logit); });
        }
        const u64 in_warp = warp_running_sum(mine);
        if (lane == kWarpThreads - 1) shared.sums[turn][warp] = in_warp;
        __syncthreads();
        const u64 across = warp_running_sum(shared.sums[turn][lane]);
        turn ^= 1;
        const u64 below = __shfl_sync(~0u, across, max(warp - 1, 0));
        u64 sum_here = running + (warp == 0 ? 0 : below) + in_warp - mine;
        if (sum_here <= drawn && drawn < sum_here + mine) {
            bool done = false;
            for_each_in(piece, id, [&](int element, float logit) {
                sum_here += kept(logit);
                if (!done && sum_here > drawn) *token = element, done = true;
            });
        }
        running += __shfl_sync(~0u, across, kWarpThreads - 1);
    }
}

// The threshold with at least `needed` from it on, at or above `floor`. The collected tokens are those from
// `collected_from` on, all of them if `complete`. Where they do not reach, they are replaced.
template <Measure measure>
__device__ inline u32 threshold(const RowOfLogits& row, u32 floor, u32 collected_from, bool& complete,
                                u64 needed, Shared& shared, int& turn) {
    const u32 end = key_of(row.largest) + 1;
    Search search{floor, end, 0};
    if (complete) {
        const u64 reached = measure_from<measure>(0, my_collected(shared), shared, turn);
        if (reached >= needed) {
            return bisect<measure>({max(floor, collected_from), end, 0}, needed, shared, turn);
        }
        search = {floor, collected_from, reached};
    }
    complete = false;
    return narrow<measure>(row, search, needed, shared, turn);
}

__device__ inline void sample_row(const SampleArgs& args, i64 index, Shared& shared) {
    const T* logits = static_cast<const T*>(args.logits) + index * args.logits_stride;
    i32* token = args.tokens + index;
    u32 mine;
    const Best best = find_best(logits, args.vocabulary, mine, shared);
    const SampleFilters filters = make_filters(args.temperature[index], args.top_k[index], args.top_p[index],
                                               args.min_p[index], args.vocabulary);
    if (filters.greedy || best.key == kMinusInfinityKey) {
        if (threadIdx.x == 0) *token = best.key == kMinusInfinityKey ? 0 : best.id;
        return;
    }
    const RowOfLogits row{logits, args.vocabulary, logit_of(best.key), filters.scale};
    int turn = 0;
    u32 floor = 0;
    bool complete = false;  // everything from collected_from on is collected
    u32 collected_from = 0;
    if (filters.top_k > 0 || filters.has_top_p) {
        const u32 rank = filters.top_k == 0 ? kUsualRank : filters.top_k;
        collected_from = rank_of_threads(mine, rank < kThreads ? rank : kThreads, best.key);
        u64 weight = collect(row, collected_from, ~0u, filters.top_k == 0 ? 0 : ~0u, shared, turn);
        complete = shared.num_collected <= kMaxCollected;
        if (filters.top_k > 0) {
            floor = threshold<Measure::tokens>(row, 0, collected_from, complete, filters.top_k, shared, turn);
            if (filters.has_top_p) {
                weight = complete ? measure_from<Measure::weight>(floor, my_collected(shared), shared, turn)
                                  : collect(row, ~0u, ~0u, floor, shared, turn);
            }
        }
        if (filters.has_top_p) {
            floor = threshold<Measure::weight>(row, floor, collected_from, complete,
                                               multiply_high(weight, filters.top_p), shared, turn);
        }
    }
    const i32* seed = args.seeds + index * args.seeds_stride;
    const u64 bits = step_bits(seed[0], seed[1], args.steps[index]);
    if (complete) {
        const i32 drawn = draw_collected(floor, filters.min_weight, bits, args.vocabulary, shared, turn);
        if (threadIdx.x == 0) *token = drawn;
    } else {
        draw_row(row, floor, filters.min_weight, bits, token, shared, turn);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::SampleArgs args) {
    using namespace warpwright;
    __shared__ Shared shared;
    ptx::wait_for_predecessor();
    sample_row(args, blockIdx.x, shared);
    ptx::release_successor();
}
