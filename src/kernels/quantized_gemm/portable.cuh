// SPDX-License-Identifier: Apache-2.0
// quantized_gemm on tensor cores, for any number of rows of A.
//
//   block = tile_m rows of A x tile_n rows of W     warp = warp_m x warp_n of them, sums in registers;
//   warps_k
//                                                   groups of warps share out the steps of 64 of k
//
//   copies     a ring of `stages` rounds in shared memory, cp.async, stages - 1 ahead; a group copies its own
//              step: codes as they lie, rows of A with their halves exchanged in every other row
//   products   rows of A as mma's B operand, 16 bytes a lane; codes become its A operand (weights.cuh)
//   epilogue   16 rows of A of every warp at a time through shared memory, then 8 columns a lane
//
// Rows that do not exist are replaced by the last one, and their sums are not used; k beyond its end is
// copied as zeros. Blocks are numbered so that those that run together share rows of A and W in L2.
#include "kernels/gemm/epilogue.cuh"
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
// Where the parts of a step begin.
constexpr u32 kA = sizeof(Step::codes), kScales = kA + sizeof(Step::a),
              kZeros = kScales + sizeof(Step::scales);

struct Block {
    i64 m, n;  // first row and column of D
};

// Columns of blocks, kGroup blocks high, one after another.
__device__ inline Block this_block(const GemmArgs& args) {
    constexpr u32 kGroup = 2048 / kRow.tile_m;
    const u32 blocks_m = static_cast<u32>(ceil_div(args.m, kRow.tile_m));
    const u32 blocks_n = static_cast<u32>(ceil_div(args.n, kRow.tile_n));
    const u32 group = blockIdx.x / (kGroup * blocks_n), rest = blockIdx.x % (kGroup * blocks_n);
    const u32 left = blocks_m - group * kGroup, height = left < kGroup ? left : kGroup;
    return {i64{group * kGroup + rest % height} * kRow.tile_m, i64{rest / height} * kRow.tile_n};
}

// Byte of chunk `chunk`, eight of k, of a row of A in a step.
__device__ inline u32 chunk_of_a(int row, int chunk) {
    return static_cast<u32>(row * (kPackedK * 2) + (chunk ^ (row % 2 * 4)) * 16);
}

struct Copies {
    static constexpr int kChunksW = sizeof(Step::codes) / 16;
    static constexpr int kPassesW = (kChunksW + kGroupThreads - 1) / kGroupThreads;
    static constexpr int kRowsPerPass = kGroupThreads / 8;
    static constexpr int kPassesA = kRow.tile_m / kRowsPerPass;
    static_assert(kRow.tile_m % kRowsPerPass == 0);

    int thread;                            // of the group
    const unsigned char* codes[kPassesW];  // this thread's chunks of step 0
    const unsigned char* scales;           // this thread's chunk of 16 bytes; null: none
    const unsigned char* zeros;
    const T* a[kPassesA];  // this thread's rows, its first of k

    __device__ Copies(const QuantizedGemmArgs& args, Block block) : thread(threadIdx.x % kGroupThreads) {
        const i64 num_steps = ceil_div(args.gemm.k, kPackedK);
        const i64 first64 = block.n / kPackedRows, last64 = ceil_div(args.gemm.n, kPackedRows) - 1;
        const int first_tile = static_cast<int>(block.n % kPackedRows) / 16;
        const auto rows64 = [&](int tile) {  // that tile `tile` of the block is in
            const i64 wanted = first64 + (first_tile + tile) / 4;
            return wanted < last64 ? wanted : last64;
        };
        constexpr int kTilesN = kRow.tile_n / 16;
#pragma unroll
        for (int pass = 0; pass < kPassesW; ++pass) {
            const int chunk = pass * kGroupThreads + thread, tile = chunk / 32 % kTilesN;
            codes[pass] =
                static_cast<const unsigned char*>(args.gemm.b) + rows64(tile) * num_steps * kStepBytes +
                (chunk / 32 / kTilesN * 4 + (first_tile + tile) % 4) * kPackedTileBytes + chunk % 32 * 16;
        }
        const auto chunk_of = [&](const void* base, int bytes) -> const unsigned char* {
            const int per_group = kRow.tile_n * bytes / 16;
            const int num_groups = args.halves ? 2 : groups_a_step(kRow.format);
            if (base == nullptr || thread >= per_group * num_groups) return nullptr;
            const int byte = thread % per_group * 16, tile = byte / (16 * bytes);
            const i64 of_group = rows64(tile) * args.num_groups + thread / per_group;
            return static_cast<const unsigned char*>(base) + of_group * kPackedRows * bytes +
                   (first_tile + tile) % 4 * 16 * bytes + byte % (16 * bytes);
        };
        scales = chunk_of(args.scales, args.scale_bytes);
        zeros = chunk_of(args.zeros, 1);
#pragma unroll
        for (int pass = 0; pass < kPassesA; ++pass) {
            const i64 wanted = block.m + pass * kRowsPerPass + thread / 8;
            const i64 row = wanted < args.gemm.m ? wanted : args.gemm.m - 1;
            a[pass] = static_cast<const T*>(args.gemm.a) + row * args.gemm.a_stride;
        }
    }

    template <bool early>
    __device__ void copy_weights(const QuantizedGemmArgs& args, u32 to, int step) const {
        const auto copy = [&](u32 address, const unsigned char* from) {
            if constexpr (early) {
                ptx::cp_async_16(address, from, 16, ptx::read_once_policy());
            } else {
                ptx::cp_async_16(address, from);
            }
        };
#pragma unroll
        for (int pass = 0; pass < kPassesW; ++pass) {
            const int chunk = pass * kGroupThreads + thread;
            if (kChunksW % kGroupThreads == 0 || chunk < kChunksW) {
                copy(to + chunk * 16, codes[pass] + i64{step} * kStepBytes);
            }
        }
        const i64 group = step >> args.group_shift;
        if (scales != nullptr) copy(to + kScales + thread * 16, scales + group * args.scale_step_bytes);
        if (zeros != nullptr) {
            copy(to + kZeros + thread * 16, zeros + group * (args.halves ? 2 * kPackedRows : kPackedRows));
        }
    }

    __device__ void copy_a(const QuantizedGemmArgs& args, u32 to, int step) const {
        const int k = step * kPackedK + thread % 8 * 8, left = args.gemm.k - k;
        const bool whole = (step + 1) * kPackedK <= args.gemm.k;
#pragma unroll
        for (int pass = 0; pass < kPassesA; ++pass) {
            const u32 address = to + kA + chunk_of_a(pass * kRowsPerPass + thread / 8, thread % 8);
            if constexpr (!kRow.aligned) {
                u32 pairs[4] = {};
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    if (i >= left) break;
                    const int column = args.order != nullptr ? args.order[k + i] : k + i;
                    pairs[i / 2] |= static_cast<u32>(a[pass][column].bits) << (i % 2 * 16);
                }
                ptx::store_shared(address, {pairs[0], pairs[1], pairs[2], pairs[3]});
            } else if (whole) {
                ptx::cp_async_16(address, a[pass] + k);
            } else {
                ptx::cp_async_16(address, left > 0 ? a[pass] + k : a[pass], left > 0 ? 16 : 0);
            }
        }
    }
};

using Sums = float[kTiles][kTokens][4];

// This warp's part of its group's step.
__device__ inline void multiply(Sums& sums, const Step& step, const QuantizedGemmArgs& args, int warp_m,
                                int warp_n) {
    const int lane = threadIdx.x % 32, group = lane / 4, member = lane % 4;
    const unsigned char* rows = reinterpret_cast<const unsigned char*>(step.a);
    U32x4 a[kTokens][2];
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const u32 from = chunk_of_a(warp_m + t * 8 + group, half * 4 + member);
            a[t][half] = *reinterpret_cast<const U32x4*>(rows + from);
        }
    }
    const U32x4* codes = reinterpret_cast<const U32x4*>(step.codes) + lane;
    constexpr bool kFixed = facts_of(kRow.format).group != 0;
    const int scale_bytes = kFixed ? 1 : args.scale_bytes;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
        U32x4 own[kBlocksK];
#pragma unroll
        for (int i = 0; i < kBlocksK; ++i) own[i] = codes[(i * (kRow.tile_n / 16) + warp_n / 16 + tile) * 32];
        const int pair = warp_n + tile * 16 + group * 2;
        multiply_tile<kRow.format, T, kTokens>(
            sums[tile], own, a, step.scales + pair * scale_bytes, kRow.tile_n * scale_bytes,
            args.zeros == nullptr ? nullptr : step.zeros + pair, kRow.tile_n, args);
    }
}

__device__ inline void main_loop(Sums& sums, const QuantizedGemmArgs& args, Block block, Shared& shared) {
    const Copies copies(args, block);
    const int warp = threadIdx.x / 32, group = warp / kWarpsMN, place = warp % kWarpsMN;
    const int warp_m = place / kWarpsN * kRow.warp_m, warp_n = place % kWarpsN * kRow.warp_n;
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));
    const int num_rounds = static_cast<int>(ceil_div(num_steps, kRow.warps_k));
    const u32 ring = ptx::shared_address(&shared.ring[0][group]);
    constexpr u32 kRoundBytes = sizeof(shared.ring[0]);
    const auto step_of = [&](int round) { return round * kRow.warps_k + group; };

    // As in gemm: the blocks that start first ask for constant weights before they wait for A.
    const u32 num_first = static_cast<u32>(args.gemm.num_sms * kRow.blocks_per_sm);
    const bool early = kRow.aligned && kRow.tile_m <= 64 && args.gemm.b_is_constant && blockIdx.x < num_first;
    if (early) {
#pragma unroll 1
        for (int round = 0; round < kAhead; ++round) {
            if (step_of(round) < num_steps)
                copies.copy_weights<true>(args, ring + round * kRoundBytes, step_of(round));
        }
    }
    ptx::wait_for_predecessor();
    ptx::release_successor();
#pragma unroll 1
    for (int round = 0; round < kAhead; ++round) {
        if (step_of(round) < num_steps) {
            if (!early) copies.copy_weights<false>(args, ring + round * kRoundBytes, step_of(round));
            copies.copy_a(args, ring + round * kRoundBytes, step_of(round));
        }
        ptx::cp_async_commit();
    }
    int stage = 0;
#pragma unroll 1
    for (int round = 0; round < num_rounds; ++round) {
        // The round has landed for everybody, and everybody has read the one before: it is written to next.
        ptx::cp_async_wait<kAhead - 1>();
        __syncthreads();
        const int next = step_of(round + kAhead), to = stage == 0 ? kAhead : stage - 1;
        if (next < num_steps) {
            copies.copy_weights<false>(args, ring + to * kRoundBytes, next);
            copies.copy_a(args, ring + to * kRoundBytes, next);
        }
        ptx::cp_async_commit();
        if (step_of(round) < num_steps) multiply(sums, shared.ring[stage][group], args, warp_m, warp_n);
        stage = stage == kAhead ? 0 : stage + 1;
    }
    ptx::cp_async_wait<0>();
    __syncthreads();
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
    const GemmArgs& gemm = args.gemm;
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
            if (m >= gemm.m) break;
            const Eight sum = sum_of(shared, place, row, column, args.global_scale);
            if (gemm.out_aligned && n + 8 <= gemm.n) {
                finish_eight<T>(gemm, m, n, sum);
            } else {
                float* kept = &shared.result[place][row][column];  // read by this lane only
#pragma unroll
                for (int e = 0; e < 8; ++e) kept[e] = sum.v[e];
#pragma unroll 1
                for (int e = 0; e < 8 && n + e < gemm.n; ++e) finish_one<T>(gemm, m, n + e, kept[e]);
            }
        }
        wait_for_parts();
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizedGemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    const Block block = this_block(args.gemm);
    Sums sums = {};
    main_loop(sums, args, block, shared);
    epilogue(sums, args, block, shared);
}
