// SPDX-License-Identifier: Apache-2.0
// quantized_gemm for few rows of A (decode): limited by reading W once.
//
//   block = tile_n rows of W, all of k     warps share out k: step i of 64 belongs to warp i % warps_k
//   warp    a ring of `stages` steps of its own in shared memory: cp.async, stages - 1 ahead, no barrier of
//           the block; codes become mma's A operand (weights.cuh), rows of A its B operand
//   block   adds the warps' sums in a fixed order, epilogue
//
// A lane copies the sixteen bytes of codes and of rows of A that it will read, so only scales and zero points
// pass between lanes. Rows of A that do not exist are zeros from the start; k beyond its end is copied as
// zeros.
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
constexpr int kTiles = kRow.tile_n / 16;
constexpr int kTokens = kRow.tile_m / 8;                     // groups of eight rows of A
constexpr int kBlocksK = facts_of(kRow.format).bits / 4;     // packed tiles of k in a step
constexpr int kStepBytes = kBlocksK * 4 * kPackedTileBytes;  // of 64 rows in memory
constexpr int kAhead = kRow.stages - 1;
// Where the parts of a step begin.
constexpr u32 kA = sizeof(Step::codes), kScales = kA + sizeof(Step::a),
              kZeros = kScales + sizeof(Step::scales);

// Where a lane's parts of a step come from and go to.
struct Copies {
    const unsigned char* codes;   // of the block's first tile, step 0
    u32 second_rows;              // bytes from there to the same of the block's second 64 rows
    const unsigned char* scales;  // this lane's chunk of 16 bytes; null: none
    const unsigned char* zeros;
    const T* a;  // k of step 0 of this lane's first row, at this lane's eight
    u32 exists;  // bit t: row a + 8 t
    u32 ring;    // this warp's, in the shared window

    __device__ Copies(const QuantizedGemmArgs& args, Shared& shared, Block block, int warp) {
        const int lane = threadIdx.x % 32, group = lane / 4, member = lane % 4;
        const i64 rows64 = block.n / kPackedRows;
        const int row = block.n % kPackedRows;
        const i64 num_steps = ceil_div(args.gemm.k, kPackedK);
        codes = codes_of(args, block.group) + rows64 * num_steps * kStepBytes + row / 16 * kPackedTileBytes +
                lane * 16;
        // Rows of W that do not exist are replaced by others.
        const bool second_exists = (rows64 + 1) * kPackedRows < args.gemm.n;
        second_rows = second_exists ? static_cast<u32>(num_steps * kStepBytes) : 0;
        const auto chunk = [&](const void* base, int bytes) -> const unsigned char* {
            const int per_group = kRow.tile_n * bytes / 16, per_rows64 = kPackedRows * bytes / 16;  // chunks
            const int num_groups = args.halves ? 2 : groups_a_step(kRow.format);
            if (base == nullptr || lane >= per_group * num_groups) return nullptr;
            const bool second = lane % per_group >= per_rows64 && second_exists;
            const i64 of_group = (rows64 + (second ? 1 : 0)) * args.num_groups + lane / per_group;
            return scales_of(args, block.group, base, bytes) + (of_group * kPackedRows + row) * bytes +
                   lane % per_group % per_rows64 * 16;
        };
        scales = chunk(args.scales, args.scale_bytes);
        zeros = chunk(args.zeros, 1);
        exists = 0;
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
            const int m = t * 8 + group;
            if (m < block.end_m) exists |= 1u << t;
        }
        a = static_cast<const T*>(args.gemm.a) + block.group * args.groups.a_stride +
            group * args.gemm.a_stride + member * 8;
        ring = ptx::shared_address(&shared.ring[warp][0]);
    }

    template <bool general>
    __device__ void copy_weights(const QuantizedGemmArgs& args, int stage, int step) const {
        const u64 policy = ptx::read_once_policy();
        const u32 lane_bytes = threadIdx.x % 32 * 16;
        const u32 to = ring + stage * static_cast<u32>(sizeof(Step)) + lane_bytes;
        const unsigned char* from = codes + i64{step} * kStepBytes;
#pragma unroll
        for (int i = 0; i < kBlocksK; ++i) {
#pragma unroll
            for (int t = 0; t < kTiles; ++t) {
                ptx::cp_async_16(to + (i * kTiles + t) * kPackedTileBytes,
                                 from + (t >= 4 ? second_rows : 0) + (i * 4 + t % 4) * kPackedTileBytes, 16,
                                 policy);
            }
        }
        const i64 group = step >> args.group_shift;
        if (scales != nullptr) {
            ptx::cp_async_16(to + kScales, scales + group * args.scale_step_bytes, 16, policy);
        }
        if (general && zeros != nullptr) {
            ptx::cp_async_16(to + kZeros, zeros + group * (args.halves ? 2 * kPackedRows : kPackedRows), 16,
                             policy);
        }
    }
    __device__ void copy_a(const QuantizedGemmArgs& args, int stage, int step) const {
        const u32 to = ring + stage * static_cast<u32>(sizeof(Step)) + kA + threadIdx.x % 32 * 16;
        if ((step + 1) * kPackedK > args.gemm.k) return copy_last_a(args, to);
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
            if ((exists >> t & 1) == 0) continue;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                ptx::cp_async_16(to + (t * 2 + half) * 512,
                                 a + t * 8 * args.gemm.a_stride + step * kPackedK + half * 32);
            }
        }
    }
    // Of the step in which k ends.
    __device__ void copy_last_a(const QuantizedGemmArgs& args, u32 to) const {
        const int first = args.gemm.k / kPackedK * kPackedK;
#pragma unroll 1
        for (int i = 0; i < kTokens * 2; ++i) {
            if ((exists >> i / 2 & 1) == 0) continue;
            const int k = first + i % 2 * 32;
            const bool inside = k + static_cast<int>(threadIdx.x % 4) * 8 < args.gemm.k;
            // What does not exist is not read.
            ptx::cp_async_16(to + i * 512, a + i / 2 * 8 * args.gemm.a_stride + k, inside ? 16 : 0);
        }
    }
};

// All rows of a group of rows are one block's.
__device__ inline Block stream_block(const QuantizedGemmArgs& args) {
    if (args.groups.kind != Grouping::none)
        return this_block<kRow.tile_m, kRow.tile_n>(args.gemm, args.groups);
    return {0, static_cast<i32>(blockIdx.x) * kRow.tile_n, args.gemm.m, 0};
}

using Sums = float[kTiles][kTokens][4];

// `address` is the step's in the shared window. Tiles take turns, so that no product waits for the one before
// it.
template <bool general>
__device__ inline void multiply(Sums& sums, const Step& step, u32 address, const QuantizedGemmArgs& args) {
    const int lane = threadIdx.x % 32;
    const U32x4* chunks = reinterpret_cast<const U32x4*>(step.a) + lane;
    const U32x4* codes = reinterpret_cast<const U32x4*>(step.codes) + lane;
    U32x4 a[2][kTokens];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int t = 0; t < kTokens; ++t) a[half][t] = chunks[t * 64 + half * 32];
    }
    // Registers are short where there is more to keep of each tile.
    constexpr int kTogether = general && kTokens > 1 && kTiles > 2 ? 2 : kTiles > 4 ? 4 : kTiles;
#pragma unroll
    for (int first = 0; first < kTiles; first += kTogether) {
        u32 words[kTogether][4 * kBlocksK];
        TileScales<kRow, general> scales[kTogether];
        float partial[kTogether][kTokens][4] = {};
#pragma unroll
        for (int tile = 0; tile < kTogether; ++tile) {
#pragma unroll
            for (int i = 0; i < kBlocksK; ++i) {
                const U32x4 chunk = codes[(i * kTiles + first + tile) * 32];
                words[tile][4 * i] = chunk.x, words[tile][4 * i + 1] = chunk.y;
                words[tile][4 * i + 2] = chunk.z, words[tile][4 * i + 3] = chunk.w;
            }
            scales[tile].read(address + kScales, address + kZeros, (first + tile) * 16, args);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
            for (int tile = 0; tile < kTogether; ++tile) {
                multiply_sixteen<kRow, general, kTokens>(
                    sums[first + tile], partial[tile], words[tile] + i * kBlocksK, a[i / 2], scales[tile], i);
            }
        }
    }
}

// Step `i` of a warp.
__device__ inline int step_of(int warp, int i) {
    return warp + i * kRow.warps_k;
}

template <bool general>
__device__ inline void main_loop(Sums& sums, const QuantizedGemmArgs& args, const Copies& copies,
                                 Shared& shared, int warp) {
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));
    int stage = 0;
#pragma unroll 1
    for (int i = 0; step_of(warp, i) < num_steps; ++i) {
        ptx::cp_async_wait<kAhead - 1>();
        __syncwarp();  // the step has landed for all lanes, and all have read the one before
        const int next = step_of(warp, i + kAhead), to = stage == 0 ? kAhead : stage - 1;
        if (next < num_steps) {
            copies.copy_weights<general>(args, to, next);
            copies.copy_a(args, to, next);
        }
        ptx::cp_async_commit();
        multiply<general>(sums, shared.ring[warp][stage],
                          copies.ring + stage * static_cast<u32>(sizeof(Step)), args);
        stage = stage == kAhead ? 0 : stage + 1;
    }
}

__device__ inline void stream(Sums& sums, const QuantizedGemmArgs& args, Shared& shared, Block block,
                              int warp) {
    const Copies copies(args, shared, block, warp);
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));

    // Groups of copies end in their order: where all of the first ring's weights are asked for before the
    // wait, the first product waits for them all, and a block that comes later does without.
    const u32 num_first = static_cast<u32>(args.gemm.num_sms * kRow.blocks_per_sm);
    const bool early = args.gemm.b_is_constant && blockIdx.x < num_first;
    const auto copy_first_weights = [&](int i) {
        if (step_of(warp, i) < num_steps) copies.copy_weights<true>(args, i, step_of(warp, i));
    };
    if (early) {
        for (int i = 0; i < kAhead; ++i) copy_first_weights(i);
    }
#pragma unroll 1
    for (int t = 0; t < kTokens; ++t) {
        if ((copies.exists >> t & 1) != 0) continue;
        for (int i = 0; i < kRow.stages * 2; ++i) {
            U32x4* chunks = reinterpret_cast<U32x4*>(shared.ring[warp][i / 2].a);
            chunks[(t * 2 + i % 2) * 32 + threadIdx.x % 32] = {};
        }
    }
    ptx::wait_for_predecessor();
    ptx::release_successor();
    for (int i = 0; i < kAhead; ++i) {
        if (!early) copy_first_weights(i);
        if (step_of(warp, i) < num_steps) copies.copy_a(args, i, step_of(warp, i));
        ptx::cp_async_commit();
    }
    if (is_general(args)) {
        main_loop<true>(sums, args, copies, shared, warp);
    } else {
        main_loop<false>(sums, args, copies, shared, warp);
    }
    ptx::cp_async_wait<0>();
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizedGemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    Block block = stream_block(args);
    wait_for_lists(args);
    if (!enter_group(block, args.groups)) return;

    Sums sums = {};
    stream(sums, args, shared, block, warp);
    __syncthreads();  // rings become sums

    // mma's row is a row of W, its column a row of A.
    const int group = lane / 4, token = lane % 4 * 2;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                shared.partial[warp][t * 8 + token + e % 2][tile * 16 + group + e / 2 * 8] = sums[tile][t][e];
            }
        }
    }
    __syncthreads();
    block = stream_block(args);  // once more: nothing of it takes a register of the products
    enter_group(block, args.groups);
    GemmArgs gemm = args.gemm;
    move_results(gemm, args.groups, block.group);
    const float scale = last_scale<kRow>(args, block.group);
    for (int i = threadIdx.x; i < kRow.tile_m * kRow.tile_n; i += kThreads) {
        const int m = i / kRow.tile_n, column = i % kRow.tile_n;
        if (m >= block.end_m || block.n + column >= gemm.n) continue;
        float sum = 0;
#pragma unroll
        for (int part = 0; part < kRow.warps_k; ++part) sum += shared.partial[part][m][column];
        finish_one<T>(gemm, m, block.n + column, sum * scale);
    }
}
