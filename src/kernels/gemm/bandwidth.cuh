// SPDX-License-Identifier: Apache-2.0
// gemm for few rows of A (decode): limited by reading B once. Nothing but the last sums goes through shared
// memory.
//
//   block = tile_n rows of B, all of k     warps split k: step i of tile_k belongs to warp i % warps_k
//   warp    a ring of `stages` steps in registers: multiply the oldest, load its successor into its place
//   block   adds the warps' sums in a fixed order, epilogue
//
// Operands go from memory to mma as they lie, without a move, because the order of k in a sum is free. A lane
// (lane = 4 * group + member) loads 16 bytes, k + 8 * member .. + 7, of rows `group` and `group + 8` of B and
// of token `group`: pairs 0..3 of each. The first mma takes pairs 0 and 1 for its k = 2 * member and
// 2 * member + 8, the second pairs 2 and 3: two mma do 16 rows of B x 8 tokens x 32 of k.
#include "kernels/gemm/epilogue.cuh"
#include "kernels/gemm/rows.h"
#include "ptx/launch.cuh"
#include "ptx/mma.cuh"

namespace warpwright {

constexpr GemmRow kRow = sized<row_at(kGemmRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
using Shared = GemmShared<kRow>;

constexpr int kThreads = num_threads(kRow);
constexpr int kSlices = kRow.tile_k / 32;  // of a step; two make whole 128-byte lines
constexpr int kGroupsB = kRow.tile_n / 8;  // of rows; mma takes two, or one and zeros
constexpr int kGroupsA = kRow.tile_m / 8;  // of tokens
constexpr int kTilesB = (kGroupsB + 1) / 2;

// Where a lane reads. Rows that do not exist are replaced by the last one: their sums are not used.
struct Source {
    const T* b[kGroupsB];
    const T* a[kGroupsA];

    __device__ Source(const GemmArgs& args, i64 first_n) {
        const int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
#pragma unroll
        for (int i = 0; i < kGroupsB; ++i) {
            const i64 wanted = first_n + i * 8 + group, row = wanted < args.n ? wanted : args.n - 1;
            b[i] = static_cast<const T*>(args.b) + row * args.b_stride + member * 8;
        }
#pragma unroll
        for (int j = 0; j < kGroupsA; ++j) {
            const int wanted = j * 8 + group, row = wanted < args.m ? wanted : args.m - 1;
            a[j] = static_cast<const T*>(args.a) + row * args.a_stride + member * 8;
        }
    }
    __device__ void advance(i64 elements) {
#pragma unroll
        for (int i = 0; i < kGroupsB; ++i) b[i] += elements;
#pragma unroll
        for (int j = 0; j < kGroupsA; ++j) a[j] += elements;
    }
};

struct Slice {  // 32 of k
    U32x4 b[kGroupsB];
    U32x4 a[kGroupsA];
};

__device__ inline void load_b(Slice& slice, const Source& source, int offset) {
#pragma unroll
    for (int i = 0; i < kGroupsB; ++i) slice.b[i] = ptx::load_streaming(source.b[i] + offset);
}
__device__ inline void load_a(Slice& slice, const Source& source, int offset) {
#pragma unroll
    for (int j = 0; j < kGroupsA; ++j) slice.a[j] = ptx::load(source.a[j] + offset);
}

using Sums = float[kTilesB][kGroupsA][4];

__device__ inline void multiply(Sums& sums, const Slice& slice) {
#pragma unroll
    for (int i = 0; i < kTilesB; ++i) {
        const U32x4 low = slice.b[2 * i], high = 2 * i + 1 < kGroupsB ? slice.b[2 * i + 1] : U32x4{};
#pragma unroll
        for (int j = 0; j < kGroupsA; ++j) {
            const U32x4 a = slice.a[j];
            ptx::mma<T>(sums[i][j], {low.x, high.x, low.y, high.y}, {a.x, a.y});
            ptx::mma<T>(sums[i][j], {low.z, high.z, low.w, high.w}, {a.z, a.w});
        }
    }
}

__device__ inline void stream(Sums& sums, const GemmArgs& args, i64 first_n, int warp) {
    Source source(args, first_n);
    source.advance(warp * kRow.tile_k);
    const int num_steps = args.k / kRow.tile_k;  // whole ones
    Slice ring[kRow.stages][kSlices];
    int next = warp;  // step that `source` points at
    const auto load_step = [&](Slice(&step)[kSlices]) {
        if (next < num_steps) {
#pragma unroll
            for (int s = 0; s < kSlices; ++s) {
                load_b(step[s], source, s * 32);
                load_a(step[s], source, s * 32);
            }
            source.advance(kRow.warps_k * kRow.tile_k);
            next += kRow.warps_k;
        }
    };
    // The first ring of B is under way while the predecessor, which may be making A, still runs.
    constexpr int kAdvance = kRow.warps_k * kRow.tile_k;
    const auto load_first = [&](auto&& load) {
#pragma unroll
        for (int stage = 0; stage < kRow.stages; ++stage) {
            if (warp + stage * kRow.warps_k >= num_steps) break;
#pragma unroll
            for (int s = 0; s < kSlices; ++s) load(ring[stage][s], source, stage * kAdvance + s * 32);
        }
    };
    if (args.b_is_constant) load_first(load_b);
    ptx::wait_for_predecessor();
    ptx::release_successor();
    if (!args.b_is_constant) load_first(load_b);
    load_first(load_a);
    const int num_own = (num_steps - warp + kRow.warps_k - 1) / kRow.warps_k;
    const int num_first = num_own < kRow.stages ? num_own : kRow.stages;
    source.advance(num_first * kAdvance);
    next += num_first * kRow.warps_k;
#pragma unroll 1
    for (int step = warp; step < num_steps;) {
#pragma unroll
        for (int stage = 0; stage < kRow.stages; ++stage) {
            if (step >= num_steps) break;
#pragma unroll
            for (int s = 0; s < kSlices; ++s) multiply(sums, ring[stage][s]);
            load_step(ring[stage]);
            step += kRow.warps_k;
        }
    }
    // `source` is at this warp's first step that is not whole: the remainder, or beyond. It is shared out 32
    // at a time; k is a multiple of 8: a lane's eight are all inside or all outside.
    int k = num_steps * kRow.tile_k + warp * 32;
    source.advance(k - next * kRow.tile_k);
#pragma unroll 1
    for (; k < args.k; k += kRow.warps_k * 32) {
        Slice slice = {};
        if (k + static_cast<int>(threadIdx.x % 4) * 8 < args.k) {
            load_b(slice, source, 0);
            load_a(slice, source, 0);
        }
        __syncwarp();
        multiply(sums, slice);
        source.advance(kRow.warps_k * 32);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::GemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(16) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const i64 first_n = i64{blockIdx.x} * kRow.tile_n;

    Sums sums = {};
    stream(sums, args, first_n, warp);

    // mma's row is a row of B, its column a token.
    const int group = lane / 4, token = lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < kGroupsB; ++i) {
#pragma unroll
        for (int j = 0; j < kGroupsA; ++j) {
            const float(&sum)[4] = sums[i / 2][j];
            shared.partial[warp][j * 8 + token][i * 8 + group] = sum[i % 2 * 2];
            shared.partial[warp][j * 8 + token + 1][i * 8 + group] = sum[i % 2 * 2 + 1];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < kRow.tile_m * kRow.tile_n; i += kThreads) {
        const int m = i / kRow.tile_n, column = i % kRow.tile_n;
        if (m >= args.m || first_n + column >= args.n) continue;
        float sum = 0;
#pragma unroll
        for (int part = 0; part < kRow.warps_k; ++part) sum += shared.partial[part][m][column];
        finish_one<T>(args, m, first_n + column, sum);
    }
}
