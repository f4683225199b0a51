// SPDX-License-Identifier: Apache-2.0
// gemm for few rows of A (decode): limited by reading B once. Nothing but the last sums goes through shared
// memory.
//
//   block = tile_n rows of B, all of k     warps split k: step i of tile_k belongs to warp i % warps_k
//   warp    a ring of `stages` steps in registers: multiply the oldest, load its successor into its place
//   block   adds the warps' sums in a fixed order, epilogue
//
// A lane's 16 bytes of B, as they lie, are mma's four registers of A. With lane = 4 * group + member they are
// pairs 0..3 of row `group`, k + 8 * member .. + 7, and mma takes them for
//     (m = group,     pairs 0 and 2)      as its k = 2 * member and 2 * member + 8,
//     (m = group + 8, pairs 1 and 3)      the same.
// So half h of m needs pairs h and h + 2 of A's row: column n = 2 * token + h of mma's B holds exactly these.
// Products of a half with the other half's column are thrown away; the wanted sum of row `group` and token
// `member` is d[0] + d[3] of the lane. An mma thus does 8 rows of B x 4 tokens x 32 of k, without one move.
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
constexpr int kGroupsB = kRow.tile_n / 8;  // of rows
constexpr int kGroupsA = kRow.tile_m / 4;  // of tokens

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
            const int wanted = j * 4 + group / 2, row = wanted < args.m ? wanted : args.m - 1;
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

__device__ inline void load(Slice& slice, const Source& source, int offset) {
#pragma unroll
    for (int i = 0; i < kGroupsB; ++i) slice.b[i] = ptx::load_streaming(source.b[i] + offset);
#pragma unroll
    for (int j = 0; j < kGroupsA; ++j) slice.a[j] = ptx::load(source.a[j] + offset);
}

using Sums = float[kGroupsB][kGroupsA][4];

__device__ inline void multiply(Sums& sums, const Slice& slice) {
    const bool second_half = threadIdx.x / 4 % 2 != 0;  // mma's column is the lane's group
#pragma unroll
    for (int j = 0; j < kGroupsA; ++j) {
        const U32x4 a = slice.a[j];
        const u32 column[2] = {second_half ? a.y : a.x, second_half ? a.w : a.z};
#pragma unroll
        for (int i = 0; i < kGroupsB; ++i) {
            const U32x4 b = slice.b[i];
            ptx::mma<T>(sums[i][j], {b.x, b.y, b.z, b.w}, column);
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
            for (int s = 0; s < kSlices; ++s) load(step[s], source, s * 32);
            source.advance(kRow.warps_k * kRow.tile_k);
            next += kRow.warps_k;
        }
    };
#pragma unroll
    for (int stage = 0; stage < kRow.stages; ++stage) load_step(ring[stage]);
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
        if (k + static_cast<int>(threadIdx.x % 4) * 8 < args.k) load(slice, source, 0);
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
    ptx::wait_for_predecessor();
    stream(sums, args, first_n, warp);
    ptx::release_successor();

#pragma unroll
    for (int i = 0; i < kGroupsB; ++i) {
#pragma unroll
        for (int j = 0; j < kGroupsA; ++j) {
            shared.partial[warp][j * 4 + lane % 4][i * 8 + lane / 4] = sums[i][j][0] + sums[i][j][3];
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
