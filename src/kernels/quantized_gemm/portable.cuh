// SPDX-License-Identifier: Apache-2.0
// quantized_gemm on tensor cores, for any number of rows of A.
//
//   block = tile_m rows of A x tile_n rows of W    warp = warp_m x warp_n of them, sums in registers
//                                                  warps_k groups of warps share out the steps of 64 of k
//
//   copies     a ring of `stages` rounds in shared memory, cp.async, stages - 1 ahead; a group copies its own
//              step: codes as they lie, rows of A with their halves exchanged in every other row
//   fragments  half a step of 32 of k ahead of the products, two sets of registers: 16 bytes of each row of A
//   products   rows of A as mma's B operand; codes become its A operand (weights.cuh)
//   epilogue   16 rows of A of every warp at a time through shared memory, then 8 columns a lane
//
// Rows of A that do not exist are zeros from the start, rows of W are others, whose sums are not used; k
// beyond its end is copied as zeros. Blocks are numbered so that those that run together share rows of A and
// W in L2.
#include "kernels/quantized_gemm/finish.cuh"
#include "kernels/quantized_gemm/rows.h"
#include "kernels/quantized_gemm/weights.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/launch.cuh"
#include "ptx/ldmatrix.cuh"

namespace warpwright {

constexpr QuantizedGemmRow kRow = sized<row_at(kQuantizedGemmRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
using Shared = QuantizedGemmShared<kRow>;
using Step = QuantizedGemmStep<kRow>;

constexpr int kThreads = num_threads(kRow);
constexpr int kGroupThreads = kThreads / kRow.warps_k;
constexpr int kWarpsMN = kGroupThreads / 32;
constexpr int kWarpsN = kRow.tile_n / kRow.warp_n;
constexpr int kTiles = kRow.warp_n / 16;
constexpr int kTokens = kRow.warp_m / 8;                     // groups of eight rows of A
constexpr int kBlocksK = facts_of(kRow.format).bits / 4;     // packed tiles of k in a step
constexpr int kStepBytes = kBlocksK * 4 * kPackedTileBytes;  // of 64 rows in memory
constexpr int kAhead = kRow.stages - 1;
constexpr u32 kRoundBytes = sizeof(Step) * kRow.warps_k;
// Where the parts of a step begin.
constexpr u32 kA = sizeof(Step::codes), kScales = kA + sizeof(Step::a),
              kZeros = kScales + sizeof(Step::scales);

static_assert(kRow.tile_n % kPackedRows == 0);

// Byte of chunk `chunk`, eight of k, of a row of A in a step.
__device__ inline u32 chunk_of_a(int row, int chunk) {
    return static_cast<u32>(row * (kPackedK * 2) + (chunk ^ (row % 2 * 4)) * 16);
}

// Where a thread's parts of a step come from and go to. They are for the steps of its group in their order.
struct Copies {
    static constexpr int kPassesW = sizeof(Step::codes) / 16 / kGroupThreads;
    static constexpr int kRowsPerPass = kGroupThreads / 8;
    static constexpr int kPassesA = kRow.tile_m / kRowsPerPass;
    static_assert(sizeof(Step::codes) / 16 % kGroupThreads == 0 && kRow.tile_m % kRowsPerPass == 0);
    static_assert(kRowsPerPass % 2 == 0, "a thread's rows of A are swizzled alike");

    const unsigned char* codes;   // this thread's first chunk of the next step
    u32 second_rows;              // bytes from there to the same of the block's second 64 rows
    const unsigned char* scales;  // this thread's chunk of 16 bytes of group 0; null: none
    const unsigned char* zeros;
    const T* a;      // this thread's first row, at its first of k of the next step
    int rows_left;   // from that row to the last that exists
    i32 group;       // of rows
    int next;        // the step that is copied next
    u32 to_w, to_a;  // in the first stage of the ring
    static_assert(kRow.tile_n <= 2 * kPackedRows);

    __device__ Copies(const QuantizedGemmArgs& args, Block block, u32 ring) {
        const int thread = threadIdx.x % kGroupThreads;
        const i64 num_steps = ceil_div(args.gemm.k, kPackedK);
        const i64 first64 = block.n / kPackedRows;
        group = block.group;
        // Rows of W that do not exist are replaced by others.
        const bool second_exists = (first64 + 1) * kPackedRows < args.gemm.n;
        next = threadIdx.x / kGroupThreads;
        second_rows = second_exists ? static_cast<u32>(num_steps * kStepBytes) : 0;
        codes = codes_of(args, group) + (first64 * num_steps + next) * kStepBytes +
                (thread / 128 == 0 ? 0 : second_rows) + thread / 32 % 4 * kPackedTileBytes + thread % 32 * 16;
        const auto chunk_of = [&](const void* base, int bytes) -> const unsigned char* {
            const int per_group = kRow.tile_n * bytes / 16, per_rows64 = kPackedRows * bytes / 16;
            const int num_groups = args.halves ? 2 : groups_a_step(kRow.format);
            if (base == nullptr || thread >= per_group * num_groups) return nullptr;
            const i64 rows64 = first64 + (second_exists && thread % per_group >= per_rows64 ? 1 : 0);
            const i64 of_group = rows64 * args.num_groups + thread / per_group;
            return scales_of(args, group, base, bytes) + of_group * kPackedRows * bytes +
                   thread % per_rows64 * 16;
        };
        scales = chunk_of(args.scales, args.scale_bytes);
        zeros = chunk_of(args.zeros, 1);
        a = static_cast<const T*>(args.gemm.a) + group * args.groups.a_stride +
            (block.m + thread / 8) * args.gemm.a_stride + next * kPackedK + thread % 8 * 8;
        rows_left = min(block.end_m - block.m - thread / 8, kRow.tile_m);
        to_w = ring + thread * 16;
        to_a = ring + kA + chunk_of_a(thread / 8, thread % 8);
    }

    // Rows of A that do not exist are zeros from the start.
    __device__ void clear_missing_rows() const {
#pragma unroll 1
        for (int pass = 0; pass < kPassesA; ++pass) {
            if (pass * kRowsPerPass < rows_left) continue;
            for (u32 stage = 0; stage < kRow.stages; ++stage) {
                ptx::store_shared(to_a + stage * kRoundBytes + pass * (kRowsPerPass * kPackedK * 2), {});
            }
        }
    }

    template <bool early, bool general, bool scaled = true>
    __device__ void copy_weights(const QuantizedGemmArgs& args, u32 stage_bytes, int step) const {
        const auto copy = [&](u32 address, const unsigned char* from) {
            if constexpr (early) {
                ptx::cp_async_16(address, from, 16, ptx::read_once_policy());
            } else {
                ptx::cp_async_16(address, from);
            }
        };
        const unsigned char* here = codes + i64{step - next} * kStepBytes;
        const u32 to = to_w + stage_bytes;
#pragma unroll
        for (int pass = 0; pass < kPassesW; ++pass) {
            // Warps take whole tiles of a step as they lie in the ring: [packed tile of k][tile of the
            // block].
            constexpr int kWarps = kGroupThreads / 32, kTilesN = kRow.tile_n / 16;
            static_assert(kWarps <= kTilesN && (kWarps == 8 || 4 % kWarps == 0));
            const int tile = pass * kWarps % kTilesN, i = pass * kWarps / kTilesN;
            copy(to + pass * (kGroupThreads * 16),
                 here + (tile >= 4 ? second_rows : 0) + (i * 4 + tile % 4) * kPackedTileBytes);
        }
        const int group = step >> args.group_shift;
        if (scaled && scales != nullptr) copy(to + kScales, scales + i64{group} * args.scale_step_bytes);
        if (general && scaled && zeros != nullptr) {
            copy(to + kZeros, zeros + i64{group} * (args.halves ? 2 * kPackedRows : kPackedRows));
        }
    }

    __device__ void copy_a(const QuantizedGemmArgs& args, u32 stage_bytes) const {
        constexpr u32 kPassBytes = kRowsPerPass * kPackedK * 2;
        const u32 to = to_a + stage_bytes;
        const i64 pass_elements = kRowsPerPass * args.gemm.a_stride;
        if (kRow.aligned && (next + 1) * kPackedK <= args.gemm.k) {
#pragma unroll
            for (int pass = 0; pass < kPassesA; ++pass) {
                if (pass * kRowsPerPass < rows_left)
                    ptx::cp_async_16(to + pass * kPassBytes, a + pass * pass_elements);
            }
            return;
        }
        const int k = next * kPackedK + static_cast<int>(threadIdx.x % 8) * 8;
#pragma unroll 1
        for (int pass = 0; pass < kPassesA && pass * kRowsPerPass < rows_left; ++pass) {
            const T* from = a + pass * pass_elements;
            if constexpr (kRow.aligned) {
                const bool inside = k < args.gemm.k;
                ptx::cp_async_16(to + pass * kPassBytes, inside ? from : static_cast<const T*>(args.gemm.a),
                                 inside ? 16 : 0);
            } else {
                u32 pairs[4] = {};
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    if (k + i >= args.gemm.k) break;
                    const i64 here = i64{group} * args.gemm.k + k + i;
                    const int column = args.order != nullptr ? args.order[here] - k : i;
                    pairs[i / 2] |= static_cast<u32>(from[column].bits) << (i % 2 * 16);
                }
                ptx::store_shared(to + pass * kPassBytes, {pairs[0], pairs[1], pairs[2], pairs[3]});
            }
        }
    }

    // Of a step that is whole, where all rows of A exist: without a condition between the copies.
    template <bool scaled, bool zeroed>
    __device__ void copy_whole(const QuantizedGemmArgs& args, u32 stage_bytes) const {
        copy_weights<false, zeroed, scaled>(args, stage_bytes, next);
#pragma unroll
        for (int pass = 0; pass < kPassesA; ++pass) {
            ptx::cp_async_16(to_a + stage_bytes + pass * (kRowsPerPass * kPackedK * 2),
                             a + pass * (kRowsPerPass * args.gemm.a_stride));
        }
    }

    __device__ void advance() {
        next += kRow.warps_k;
        codes += i64{kRow.warps_k} * kStepBytes;
        a += kRow.warps_k * kPackedK;
    }
};

using Sums = float[kTiles][kTokens][4];

// Where a lane reads in the first stage of the ring.
struct Places {
    u32 a[2], codes, scales;

    __device__ explicit Places(u32 ring) {
        const int lane = threadIdx.x % 32, place = threadIdx.x / 32 % kWarpsMN;
        const int row = place / kWarpsN * kRow.warp_m + lane / 4;
        a[0] = ring + kA + chunk_of_a(row, lane % 4);
        a[1] = ring + kA + chunk_of_a(row, 4 + lane % 4);
        codes = ring + (place % kWarpsN * kTiles * 32 + lane) * 16;
        scales = ring + kScales;
    }
};

// Half a step: 32 of k.
struct Fragments {
    U32x4 a[kTokens];
    u32 words[kTiles][2 * kBlocksK];

    __device__ void load(const Places& places, u32 stage_bytes, int half) {
        const u32 rows = places.a[half] + stage_bytes, codes = places.codes + stage_bytes;
#pragma unroll
        for (int t = 0; t < kTokens; ++t) a[t] = ptx::load_shared(rows + t * (8 * kPackedK * 2));
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            if constexpr (kBlocksK == 1) {
                const U32x2 chunk = ptx::load_shared_8(codes + tile * kPackedTileBytes + half * 8);
                words[tile][0] = chunk.x, words[tile][1] = chunk.y;
            } else {
                const U32x4 chunk =
                    ptx::load_shared(codes + (half * (kRow.tile_n / 16) + tile) * kPackedTileBytes);
                words[tile][0] = chunk.x, words[tile][1] = chunk.y;
                words[tile][2] = chunk.z, words[tile][3] = chunk.w;
            }
        }
    }
};

using Partial = float[kTiles][kTokens][4];

template <bool general, class OfTile>
__device__ inline void multiply_half(Sums& sums, Partial& partial, const Fragments& f,
                                     const OfTile (&scales)[kTiles], int half, bool ends = true,
                                     bool one_group = false) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            multiply_sixteen<kRow, general, kTokens>(sums[tile], partial[tile], f.words[tile] + i * kBlocksK,
                                                     f.a, scales[tile], half * 2 + i, ends, one_group);
        }
    }
}

// Whether two steps are summed before their sums are scaled: a group is no less than that, or scales are in
// the weights. It says nothing of m, so that a row of A has the same bits among any others.
constexpr bool kMayPair = may_pair_steps(kRow);
constexpr int kAheadWhole = kRow.stages - 2;
static_assert(!kMayPair || (kRow.stages % 2 == 0 && kAheadWhole > 0));

__device__ inline bool steps_are_paired(const QuantizedGemmArgs& args) {
    return kMayPair && !args.halves && args.gemm.k % (2 * kPackedK) == 0 &&
           (facts_of(kRow.format).group != 0 || args.group_shift > 0);
}

// `paired`: steps_are_paired.
template <bool general, bool paired>
__device__ inline void main_loop(Sums& sums, const QuantizedGemmArgs& args, Copies& copies,
                                 const Places& places) {
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));
    const int first_n = threadIdx.x / 32 % kWarpsMN % kWarpsN * kRow.warp_n;
    const int group = threadIdx.x / kGroupThreads;
    constexpr u32 kRingBytes = kRow.stages * kRoundBytes;
    ptx::cp_async_wait<kAhead - 1>();
    __syncthreads();
    Fragments fragments[2];
    if (kRow.warps_k == 1 || group < num_steps) fragments[0].load(places, 0, 0);
    u32 stage = 0, to = kRingBytes - kRoundBytes;  // bytes
    constexpr int kSteps = paired ? 2 : 1;         // that are scaled together
#pragma unroll 1
    for (int first = 0; first < num_steps; first += kSteps * kRow.warps_k) {
        Partial partial = {};
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
            const int now = first + step * kRow.warps_k;
            const bool ends = step == kSteps - 1;
            const bool exists = kRow.warps_k == 1 || now + group < num_steps;
            TileScales<kRow, general> scales[kTiles];
            if (exists) {
#pragma unroll
                for (int tile = 0; tile < kTiles; ++tile) {
                    const u32 at = places.scales + stage;
                    scales[tile].read(at, at + (kZeros - kScales), first_n + tile * 16, args);
                }
                fragments[1].load(places, stage, 1);
            }
            // Everybody has read the round before.
            if (copies.next < num_steps) {
                copies.copy_weights<false, general>(args, to, copies.next);
                copies.copy_a(args, to);
                copies.advance();
            }
            ptx::cp_async_commit();
            if (exists) multiply_half<general>(sums, partial, fragments[0], scales, 0, ends, paired);
            // The next round has landed for everybody, and everybody has read this one.
            ptx::cp_async_wait<kAhead - 1>();
            __syncthreads();
            to = stage;
            stage = stage == kRingBytes - kRoundBytes ? 0 : stage + kRoundBytes;
            if (now + kRow.warps_k + group < num_steps) fragments[0].load(places, stage, 0);
            if (exists) multiply_half<general>(sums, partial, fragments[1], scales, 1, ends, paired);
        }
    }
    ptx::cp_async_wait<0>();
    __syncthreads();
}

// The same where every row of A and of k exists and pairs are summed together: a turn is two steps, with one
// barrier.
template <bool zeros>
struct WholeLoop {
    static constexpr u32 kTurnBytes = 2 * kRoundBytes, kRingBytes = kRow.stages * kRoundBytes;
    Fragments fragments[2];
    TileScales<kRow, false> scales[kTiles];
    u32 stage = 0, to = kRingBytes - kTurnBytes;  // bytes

    __device__ void read_scales(const QuantizedGemmArgs& args, const Places& places, u32 at) {
        const int first_n = threadIdx.x / 32 % kWarpsN * kRow.warp_n;
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            scales[tile].read(places.scales + at, 0, first_n + tile * 16, args);
            if constexpr (zeros) {
                scales[tile].read_zeros(places.scales + at + (kZeros - kScales), first_n + tile * 16);
            }
        }
    }

    // `copied`: the turn after those that are on their way exists.
    template <bool copied>
    __device__ void turn(Sums& sums, const QuantizedGemmArgs& args, Copies& copies, const Places& places,
                         bool last) {
        constexpr bool kFixed = facts_of(kRow.format).group != 0;
        Partial partial = {};
        read_scales(args, places, stage);
        fragments[1].load(places, stage, 1);
        if constexpr (copied) {
            copies.copy_whole<true, zeros>(args, to);
            copies.advance();
            copies.copy_whole<kFixed, zeros>(args, to + kRoundBytes);
            copies.advance();
        }
        ptx::cp_async_commit();
        ptx::cp_async_commit();
        multiply_half<zeros>(sums, partial, fragments[0], scales, 0, false);
        fragments[0].load(places, stage + kRoundBytes, 0);
        multiply_half<zeros>(sums, partial, fragments[1], scales, 1, false);
        if constexpr (kFixed) read_scales(args, places, stage + kRoundBytes);
        fragments[1].load(places, stage + kRoundBytes, 1);
        multiply_half<zeros>(sums, partial, fragments[0], scales, 0, false);
        // The next turn has landed for everybody, and everybody has read this one.
        ptx::cp_async_wait<kAheadWhole - 2>();
        __syncthreads();
        to = stage;
        stage = stage == kRingBytes - kTurnBytes ? 0 : stage + kTurnBytes;
        if (!last) fragments[0].load(places, stage, 0);
        multiply_half<zeros>(sums, partial, fragments[1], scales, 1);
    }
};

template <bool zeros>
__device__ inline void whole_loop(Sums& sums, const QuantizedGemmArgs& args, Copies& copies,
                                  const Places& places) {
    const int num_steps = args.gemm.k / kPackedK;
    ptx::cp_async_wait<kAheadWhole - 2>();
    __syncthreads();
    WholeLoop<zeros> loop;
    loop.fragments[0].load(places, 0, 0);
    int first = 0;
#pragma unroll 1
    for (; first + kAheadWhole < num_steps; first += 2)
        loop.template turn<true>(sums, args, copies, places, false);
#pragma unroll 1
    for (; first < num_steps; first += 2)
        loop.template turn<false>(sums, args, copies, places, first + 2 >= num_steps);
    ptx::cp_async_wait<0>();
    __syncthreads();
}

__device__ inline void sum_up(Sums& sums, const QuantizedGemmArgs& args, Block block, Shared& shared) {
    const int group = threadIdx.x / kGroupThreads;
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));
    const u32 ring = ptx::shared_address(&shared.ring[0][group]);
    Copies copies(args, block, ring);
    copies.clear_missing_rows();
    const bool whole = steps_are_paired(args) && block.m + kRow.tile_m <= block.end_m;
    const int ahead = whole ? kAheadWhole : kAhead;

    // As in gemm: the blocks that start first ask for constant weights before they wait for A.
    const u32 num_first = static_cast<u32>(args.gemm.num_sms * kRow.blocks_per_sm);
    const bool early = kRow.aligned && kRow.tile_m <= 64 && args.gemm.b_is_constant && blockIdx.x < num_first;
    if (early) {
#pragma unroll 1
        for (int round = 0; round < ahead; ++round) {
            const int step = round * kRow.warps_k + group;
            if (step < num_steps) copies.copy_weights<true, true>(args, round * kRoundBytes, step);
        }
    }
    ptx::wait_for_predecessor();
    ptx::release_successor();
#pragma unroll 1
    for (int round = 0; round < ahead; ++round) {
        if (copies.next < num_steps) {
            if (kMayPair && whole && !early) {
                copies.copy_whole<true, is_integer(kRow.format)>(args, round * kRoundBytes);
            } else {
                if (!early) copies.copy_weights<false, true>(args, round * kRoundBytes, copies.next);
                copies.copy_a(args, round * kRoundBytes);
            }
            copies.advance();
        }
        ptx::cp_async_commit();
    }
    const Places places(ring);
    if (kMayPair && whole) {
        if constexpr (kMayPair && is_integer(kRow.format)) {
            if (args.zeros != nullptr) return whole_loop<true>(sums, args, copies, places);
        }
        if constexpr (kMayPair) whole_loop<false>(sums, args, copies, places);
    } else if (kMayPair && steps_are_paired(args)) {
        if constexpr (kMayPair) {
            if (is_general(args)) return main_loop<true, true>(sums, args, copies, places);
            main_loop<false, true>(sums, args, copies, places);
        }
    } else if (is_general(args)) {
        main_loop<true, false>(sums, args, copies, places);
    } else {
        main_loop<false, false>(sums, args, copies, places);
    }
}

// Eight columns of a row of a warp's 16: the sums of the groups that shared out k, in a fixed order.
__device__ inline Eight sum_of(const Shared& shared, int place, int row, int column, float scale) {
    Eight sum = {};
#pragma unroll
    for (int part = 0; part < kRow.warps_k; ++part) {
        const float* from = &shared.result[place + part * kWarpsMN][row][column];
#pragma unroll
        for (int e = 0; e < 8; ++e) sum.v[e] += from[e];
    }
#pragma unroll
    for (int e = 0; e < 8; ++e) sum.v[e] *= scale;
    return sum;
}

__device__ inline void wait_for_parts() {
    if constexpr (kRow.warps_k > 1) {
        __syncthreads();
    } else {
        __syncwarp();
    }
}

__device__ inline void epilogue(Sums& sums, const QuantizedGemmArgs& args, Block block, Shared& shared) {
    constexpr int kChunks = kRow.warp_n / 8;   // of eight columns
    constexpr int kLanes = 32 * kRow.warps_k;  // that share out 16 rows
    GemmArgs gemm = args.gemm;
    move_results(gemm, args.groups, block.group);
    const float scale = last_scale<kRow>(args, block.group);
    Finish<T> finish(gemm);
    // Sums as they are need little code.
    const bool plain = gemm.out_aligned && !gemm.out_f32 && gemm.d_scale == nullptr && gemm.bias == nullptr &&
                       gemm.gate == nullptr && gemm.residual == nullptr &&
                       gemm.activation == Activation::none;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, place = warp % kWarpsMN;
    const i64 first_m = block.m + place / kWarpsN * kRow.warp_m;
    const i64 first_n = block.n + place % kWarpsN * kRow.warp_n;
#pragma unroll 1
    for (int i = 0; i < kTokens / 2; ++i) {
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
            if (t / 2 != i) continue;  // registers have no index: one copy of the stores for each i
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    const int row = t % 2 * 8 + lane % 4 * 2 + e % 2,
                              column = tile * 16 + e / 2 * 8 + lane / 4;
                    shared.result[warp][row][column] = sums[tile][t][e];
                }
            }
        }
        wait_for_parts();
#pragma unroll 1
        for (int chunk = warp / kWarpsMN * 32 + lane; chunk < 16 * kChunks; chunk += kLanes) {
            const int row = chunk / kChunks, column = chunk % kChunks * 8;
            const i64 m = first_m + i * 16 + row, n = first_n + column;
            if (m >= block.end_m) break;
            if (!row_exists(args.groups, m)) continue;
            const Eight sum = sum_of(shared, place, row, column, scale);
            if (plain && n + 8 <= gemm.n) {
                store_eight<T>(gemm.d, m * gemm.d_stride + n, sum);
            } else if (gemm.out_aligned && n + 8 <= gemm.n) {
                finish(gemm, m, n, sum);
            } else {
                float* kept = &shared.result[place][row][column];  // read by this lane only
#pragma unroll
                for (int e = 0; e < 8; ++e) kept[e] = sum.v[e];
#pragma unroll 1
                for (int e = 0; e < 8 && n + e < gemm.n; ++e) finish(gemm, m, n + e, kept[e]);
            }
        }
        wait_for_parts();
    }
    finish.end(gemm);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizedGemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    Block block = this_block<kRow.tile_m, kRow.tile_n>(args.gemm, args.groups);
    wait_for_lists(args);
    if (!enter_group(block, args.groups)) return;
    Sums sums = {};
    sum_up(sums, args, block, shared);
    epilogue(sums, args, block, shared);
}
