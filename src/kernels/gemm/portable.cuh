// SPDX-License-Identifier: Apache-2.0
// gemm on tensor cores, portable: D[m, n] = epilogue(sum_k A[m, k] B[n, k]).
//
//   block = one tile_m x tile_n tile of D; warp = warp_m x warp_n of it, sums in registers
//
//   copies     ring of `stages` tiles in shared memory, cp.async, stages - 1 tiles ahead
//   fragments  ldmatrix, 16 of k ahead of the products, two sets of registers
//   products   mma m16n8k16, fp32 sums
//   epilogue   16 rows of every warp at a time through shared memory, then 8 columns a lane
//
// Rows and columns that do not exist are copied as zeros; so is k beyond its end. Tiles are swizzled
// (tile/swizzle.h). Blocks are numbered so that those that run together share rows of A and B in L2.
#include "kernels/gemm/epilogue.cuh"
#include "kernels/gemm/rows.h"
#include "ptx/cp_async.cuh"
#include "ptx/launch.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "tile/swizzle.h"

namespace warpwright {

constexpr GemmRow kRow = sized<row_at(kGemmRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
using Shared = GemmShared<kRow>;

constexpr int kThreads = num_threads(kRow);
constexpr int kRowBytes = kRow.tile_k * 2;
constexpr int kRowChunks = kRow.tile_k / 8;
constexpr int kSteps = kRow.tile_k / 16;           // of k, per tile
constexpr u32 kBytesA = sizeof(Shared::Stage::a);  // B follows it in a stage
constexpr int kTilesM = kRow.warp_m / 16;
constexpr int kTilesN = kRow.warp_n / 8;
constexpr int kWarpsN = kRow.tile_n / kRow.warp_n;
static_assert(kSteps % 2 == 0, "the two sets of fragment registers take turns");
static_assert(kTilesN % 2 == 0, "B fragments are loaded for two tiles at once");

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

// Which 16-byte chunks of one operand a thread copies: chunk `threadIdx.x % kRowChunks` of every
// kRowsPerPass-th row.
template <int tile_rows>
struct Copier {
    static constexpr int kRowsPerPass = kThreads / kRowChunks;
    static constexpr int kPasses = tile_rows / kRowsPerPass;
    static_assert(kRowsPerPass % 8 == 0 && tile_rows % kRowsPerPass == 0);

    const T* source;  // the chunk of pass 0 in the next tile
    i64 pass_stride;  // elements
    u32 exists = 0;   // bit p: the row of pass p
    u32 offset;       // in shared memory, of pass 0

    __device__ Copier(const void* base, i64 stride, i64 first_row, i64 num_rows) {
        const int chunk = threadIdx.x % kRowChunks, row = threadIdx.x / kRowChunks;
        source = static_cast<const T*>(base) + (first_row + row) * stride + chunk * 8;
        pass_stride = stride * kRowsPerPass;
        offset = Swizzle<kRowChunks>::offset_bytes(row, chunk);
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
            if (first_row + row + pass * kRowsPerPass < num_rows) exists |= 1u << pass;
        }
    }

    // `elements` of the chunk are inside k.
    __device__ void copy(int pass, u32 tile, int elements) const {
        const u32 destination = tile + offset + pass * (kRowsPerPass * kRowBytes);
        const T* from = source + pass * pass_stride;
        const int count = (exists >> pass & 1) != 0 ? elements : 0;
        if constexpr (kRow.aligned) {
            ptx::cp_async_16(destination, from, count * 2);
        } else {
            u32 pairs[4] = {};
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                if (i < count) pairs[i / 2] |= static_cast<u32>(from[i].bits) << (i % 2 * 16);
            }
            ptx::store_shared(destination, {pairs[0], pairs[1], pairs[2], pairs[3]});
        }
    }
};

struct Copies {
    Copier<kRow.tile_m> a;
    Copier<kRow.tile_n> b;
    int k_left;  // from this thread's chunk of the next tile to the end of k

    static constexpr int kPasses = Copier<kRow.tile_m>::kPasses + Copier<kRow.tile_n>::kPasses;

    __device__ Copies(const GemmArgs& args, Block block)
        : a(args.a, args.a_stride, block.m, args.m),
          b(args.b, args.b_stride, block.n, args.n),
          k_left(args.k - static_cast<int>(threadIdx.x % kRowChunks) * 8) {}

    // Part `part` of `parts` of the next tile.
    __device__ void copy(u32 stage, int part, int parts) const {
        const int elements = k_left < 0 ? 0 : k_left < 8 ? k_left : 8;
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
            if (pass * parts / kPasses != part) continue;
            constexpr int kA = Copier<kRow.tile_m>::kPasses;
            if (pass < kA) {
                a.copy(pass, stage, elements);
            } else {
                b.copy(pass - kA, stage + kBytesA, elements);
            }
        }
    }
    __device__ void advance() {
        a.source += kRow.tile_k;
        b.source += kRow.tile_k;
        k_left -= kRow.tile_k;
    }
};

struct Fragments {
    u32 a[kTilesM][4];
    u32 b[kTilesN][2];
};

// Lanes 8 i .. 8 i + 7 address the rows of matrix i. A: (rows, rows + 8) x (k, k + 8), k outermost, as mma
// wants its registers; B: k innermost, so that one load serves two tiles of 8 columns.
struct FragmentAddress {
    u32 a, b;  // in their tile, at k = 0

    __device__ FragmentAddress() {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        const int a_row = warp / kWarpsN * kRow.warp_m + lane % 16;
        const int b_row = warp % kWarpsN * kRow.warp_n + lane / 16 * 8 + lane % 8;
        a = Swizzle<kRowChunks>::offset_bytes(a_row, lane / 16);
        b = Swizzle<kRowChunks>::offset_bytes(b_row, lane / 8 % 2);
    }
    __device__ void load(Fragments& f, u32 stage, int step) const {
        const u32 a_start = stage + Swizzle<kRowChunks>::advance(a, step * 2);
        const u32 b_start = stage + kBytesA + Swizzle<kRowChunks>::advance(b, step * 2);
#pragma unroll
        for (int i = 0; i < kTilesM; ++i) {
            ptx::ldmatrix_x4(f.a[i][0], f.a[i][1], f.a[i][2], f.a[i][3], a_start + i * (16 * kRowBytes));
        }
#pragma unroll
        for (int j = 0; j < kTilesN; j += 2) {
            ptx::ldmatrix_x4(f.b[j][0], f.b[j][1], f.b[j + 1][0], f.b[j + 1][1],
                             b_start + j * (8 * kRowBytes));
        }
    }
};

using Sums = float[kTilesM][kTilesN][4];

__device__ inline void multiply(Sums& sums, const Fragments& f) {
#pragma unroll
    for (int i = 0; i < kTilesM; ++i) {
#pragma unroll
        for (int j = 0; j < kTilesN; ++j) {
            const int n = i % 2 == 0 ? j : kTilesN - 1 - j;  // there and back: B is used again at once
            ptx::mma<T>(sums[i][n], f.a[i], f.b[n]);
        }
    }
}

__device__ inline void main_loop(Sums& sums, const GemmArgs& args, Block block, u32 ring) {
    constexpr u32 kStageBytes = sizeof(typename Shared::Stage);
    constexpr u32 kRingBytes = kRow.stages * kStageBytes;
    Copies copies(args, block);
#pragma unroll
    for (int stage = 0; stage < kRow.stages - 1; ++stage) {
        copies.copy(ring + stage * kStageBytes, 0, 1);
        copies.advance();
        ptx::cp_async_commit();
    }
    ptx::cp_async_wait<kRow.stages - 2>();
    __syncthreads();

    const FragmentAddress address;
    Fragments fragments[2];
    address.load(fragments[0], ring, 0);
    u32 read = 0, write = kRingBytes - kStageBytes;
    const int num_tiles = static_cast<int>(ceil_div(args.k, kRow.tile_k));
#pragma unroll 1
    for (int tile = 0; tile < num_tiles; ++tile) {
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
            if (step == kSteps - 1) {
                // The next tile has landed for everybody, and everybody has read the last of this one: its
                // stage is the one written to from the next step on.
                ptx::cp_async_wait<kRow.stages - 2>();
                __syncthreads();
                write = read;
                read = read + kStageBytes == kRingBytes ? 0 : read + kStageBytes;
            }
            address.load(fragments[(step + 1) % 2], ring + read, (step + 1) % kSteps);
            if (step < kSteps - 1) copies.copy(ring + write, step, kSteps - 1);
            if (step == kSteps - 2) {
                copies.advance();
                ptx::cp_async_commit();
            }
            multiply(sums, fragments[step % 2]);
        }
    }
    ptx::cp_async_wait<0>();
    __syncthreads();
}

__device__ inline void epilogue(Sums& sums, const GemmArgs& args, Block block, Shared& shared) {
    constexpr int kChunks = kRow.warp_n / 8;  // of eight columns
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const i64 first_m = block.m + warp / kWarpsN * kRow.warp_m;
    const i64 first_n = block.n + warp % kWarpsN * kRow.warp_n;
    auto& result = shared.result[warp];
#pragma unroll 1
    for (int i = 0; i < kTilesM; ++i) {
#pragma unroll
        for (int j = 0; j < kTilesN; ++j) {
            const int column = j * 8 + lane % 4 * 2;
            *reinterpret_cast<Two*>(&result[lane / 4][column]) = {sums[0][j][0], sums[0][j][1]};
            *reinterpret_cast<Two*>(&result[lane / 4 + 8][column]) = {sums[0][j][2], sums[0][j][3]};
        }
        // why: the next 16 rows move to sums[0], so that this loop is one copy of code with registers inside.
#pragma unroll
        for (int next = 1; next < kTilesM; ++next) {
#pragma unroll
            for (int j = 0; j < kTilesN; ++j) {
#pragma unroll
                for (int e = 0; e < 4; ++e) sums[next - 1][j][e] = sums[next][j][e];
            }
        }
        __syncwarp();
#pragma unroll 1
        for (int chunk = lane; chunk < 16 * kChunks; chunk += 32) {
            const int row = chunk / kChunks, column = chunk % kChunks * 8;
            const i64 m = first_m + i * 16 + row, n = first_n + column;
            if (m >= args.m) break;
            const float* from = &result[row][column];
            if (args.out_aligned && n + 8 <= args.n) {
                finish_eight<T>(args, m, n, *reinterpret_cast<const Eight*>(from));
            } else {
#pragma unroll 1
                for (int e = 0; e < 8 && n + e < args.n; ++e) finish_one<T>(args, m, n + e, from[e]);
            }
        }
        __syncwarp();
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::GemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    const Block block = this_block(args);
    Sums sums = {};
    ptx::wait_for_predecessor();
    main_loop(sums, args, block, ptx::shared_address(&shared));
    ptx::release_successor();
    epilogue(sums, args, block, shared);
}
