// SPDX-License-Identifier: Apache-2.0
// quantized_gemm on tensor cores, for any number of rows of A.
//
//   block = tile_m rows of A x tile_n rows of W     warp = warp_m x warp_n of them, sums in registers;
//   warps_k
//                                                   groups of warps share out the steps of 64 of k
//
//   copies     a ring of `stages` rounds in shared memory, cp.async, stages - 1 ahead; a group copies its own
//              step: codes as they lie, rows of A with their halves exchanged in every other row
//   fragments  half a step of 32 of k ahead of the products, two sets of registers: 16 bytes of each row of A
//   products   rows of A as mma's B operand; codes become its A operand (weights.cuh)
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
constexpr u32 kRoundBytes = sizeof(Step) * kRow.warps_k;
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

    i64 first_m;
    int thread;                            // of the group
    const unsigned char* codes[kPassesW];  // this thread's chunks of step 0
    const unsigned char* scales;           // this thread's chunk of 16 bytes; null: none
    const unsigned char* zeros;
    const T* a[kPassesA];  // this thread's rows, its first of k

    __device__ Copies(const QuantizedGemmArgs& args, Block block)
        : first_m(block.m), thread(threadIdx.x % kGroupThreads) {
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
        for (int pass = 0; pass < kPassesA; ++pass) a[pass] = row_of_a(args, pass);
    }
    // A row that does not exist is replaced by the last one.
    __device__ const T* row_of_a(const QuantizedGemmArgs& args, int pass) const {
        const i64 wanted = first_m + pass * kRowsPerPass + thread / 8;
        const i64 row = wanted < args.gemm.m ? wanted : args.gemm.m - 1;
        return static_cast<const T*>(args.gemm.a) + row * args.gemm.a_stride;
    }
    __device__ u32 a_offset(int pass) const {
        return kA + chunk_of_a(pass * kRowsPerPass + thread / 8, thread % 8);
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
        const int k = step * kPackedK + thread % 8 * 8, left = args.gemm.k - step * kPackedK;
        if (kRow.aligned && left >= kPackedK) {
#pragma unroll
            for (int pass = 0; pass < kPassesA; ++pass) ptx::cp_async_16(to + a_offset(pass), a[pass] + k);
            return;
        }
#pragma unroll(kRow.aligned ? 1 : kPassesA)
        for (int pass = 0; pass < kPassesA; ++pass) {
            const T* row = row_of_a(args, pass);
            if constexpr (kRow.aligned) {
                const bool inside = thread % 8 * 8 < left;
                ptx::cp_async_16(to + a_offset(pass), inside ? row + k : row, inside ? 16 : 0);
            } else {
                u32 pairs[4] = {};
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    if (thread % 8 * 8 + i >= left) break;
                    const int column = args.order != nullptr ? args.order[k + i] : k + i;
                    pairs[i / 2] |= static_cast<u32>(row[column].bits) << (i % 2 * 16);
                }
                ptx::store_shared(to + a_offset(pass), {pairs[0], pairs[1], pairs[2], pairs[3]});
            }
        }
    }
};

using Sums = float[kTiles][kTokens][4];

// Half a step: 32 of k.
struct Fragments {
    U32x4 a[kTokens];
    u32 words[kTiles][2 * kBlocksK];

    // `step` is the address of this warp's group's step in the shared window.
    __device__ void load(u32 step, int half) {
        const int lane = threadIdx.x % 32, place = threadIdx.x / 32 % kWarpsMN;
        const int row = place / kWarpsN * kRow.warp_m + lane / 4;
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
            a[t] =
                ptx::load_shared(step + kA + chunk_of_a(row, half * 4 + lane % 4) + t * (8 * kPackedK * 2));
        }
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            const int number = place % kWarpsN * kTiles + tile;
            if constexpr (kBlocksK == 1) {
                const U32x2 chunk = ptx::load_shared_8(step + (number * 32 + lane) * 16 + half * 8);
                words[tile][0] = chunk.x, words[tile][1] = chunk.y;
            } else {
                const U32x4 chunk =
                    ptx::load_shared(step + ((half * (kRow.tile_n / 16) + number) * 32 + lane) * 16);
                words[tile][0] = chunk.x, words[tile][1] = chunk.y;
                words[tile][2] = chunk.z, words[tile][3] = chunk.w;
            }
        }
    }
};

using Partial = float[kTiles][kTokens][4];

template <bool general>
__device__ inline void multiply_half(Sums& sums, Partial& partial, const Fragments& f,
                                     const TileScales<kRow, general> (&scales)[kTiles], int half) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            multiply_sixteen<kRow, general, kTokens>(sums[tile], partial[tile], f.words[tile] + i * kBlocksK,
                                                     f.a, scales[tile], half * 2 + i);
        }
    }
}

// The group's step of a round.
__device__ inline int step_of(int group, int round) {
    return round * kRow.warps_k + group;
}

template <bool general>
__device__ inline void main_loop(Sums& sums, const QuantizedGemmArgs& args, const Copies& copies,
                                 Shared& shared, int group) {
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));
    const int num_rounds = static_cast<int>(ceil_div(num_steps, kRow.warps_k));
    const int first_n = threadIdx.x / 32 % kWarpsMN % kWarpsN * kRow.warp_n;
    const u32 ring = ptx::shared_address(&shared.ring[0][group]);
    const ScaleForm form(args.scale);
    ptx::cp_async_wait<kAhead - 1>();
    __syncthreads();
    Fragments fragments[2];
    if (step_of(group, 0) < num_steps) fragments[0].load(ring, 0);
    int stage = 0;
#pragma unroll 1
    for (int round = 0; round < num_rounds; ++round) {
        const u32 here = ring + stage * kRoundBytes;
        const bool exists = kRow.warps_k == 1 || step_of(group, round) < num_steps;
        TileScales<kRow, general> scales[kTiles];
        if (exists) {
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                scales[tile].read(shared.ring[stage][group], first_n + tile * 16, args, form);
            }
            fragments[1].load(here, 1);
        }
        // Everybody has read the round before.
        const int next = step_of(group, round + kAhead), to = stage == 0 ? kAhead : stage - 1;
        if (next < num_steps) {
            copies.copy_weights<false>(args, ring + to * kRoundBytes, next);
            copies.copy_a(args, ring + to * kRoundBytes, next);
        }
        ptx::cp_async_commit();
        Partial partial = {};
        if (exists) multiply_half<general>(sums, partial, fragments[0], scales, 0);
        // The next round has landed for everybody, and everybody has read this one.
        ptx::cp_async_wait<kAhead - 1>();
        __syncthreads();
        stage = stage == kAhead ? 0 : stage + 1;
        if (step_of(group, round + 1) < num_steps) fragments[0].load(ring + stage * kRoundBytes, 0);
        if (exists) multiply_half<general>(sums, partial, fragments[1], scales, 1);
    }
    ptx::cp_async_wait<0>();
    __syncthreads();
}

__device__ inline void sum_up(Sums& sums, const QuantizedGemmArgs& args, Block block, Shared& shared) {
    const Copies copies(args, block);
    const int group = threadIdx.x / 32 / kWarpsMN;
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));
    const u32 ring = ptx::shared_address(&shared.ring[0][group]);

    // As in gemm: the blocks that start first ask for constant weights before they wait for A.
    const u32 num_first = static_cast<u32>(args.gemm.num_sms * kRow.blocks_per_sm);
    const bool early = kRow.aligned && kRow.tile_m <= 64 && args.gemm.b_is_constant && blockIdx.x < num_first;
    if (early) {
#pragma unroll 1
        for (int round = 0; round < kAhead; ++round) {
            if (step_of(group, round) < num_steps)
                copies.copy_weights<true>(args, ring + round * kRoundBytes, step_of(group, round));
        }
    }
    ptx::wait_for_predecessor();
    ptx::release_successor();
#pragma unroll 1
    for (int round = 0; round < kAhead; ++round) {
        if (step_of(group, round) < num_steps) {
            if (!early) copies.copy_weights<false>(args, ring + round * kRoundBytes, step_of(group, round));
            copies.copy_a(args, ring + round * kRoundBytes, step_of(group, round));
        }
        ptx::cp_async_commit();
    }
    if (is_general(args)) {
        main_loop<true>(sums, args, copies, shared, group);
    } else {
        main_loop<false>(sums, args, copies, shared, group);
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
            const Eight sum = sum_of(shared, place, row, column, last_scale<kRow>(args));
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
    sum_up(sums, args, block, shared);
    epilogue(sums, args, block, shared);
}
