// SPDX-License-Identifier: Apache-2.0
// gemm on tensor cores, portable: D[m, n] = epilogue(sum_k A[m, k] B[n, k]).
//
//   block = one tile_m x tile_n tile of D     warp = warp_m x warp_n of it, sums in registers; warps_k groups
//                                             of warps share out the k of a tile
//
//   copies     ring of `stages` tiles in shared memory, cp.async, stages - 1 tiles ahead
//   fragments  ldmatrix, a step of 16 of k ahead of the products, two sets of registers
//   products   mma m16n8k16, fp32 sums
//   epilogue   16 rows of every warp at a time through shared memory, then 8 columns a lane
//
// Rows and columns that do not exist are copied as zeros; so is k beyond its end. Tiles are swizzled
// (tile/swizzle.h). Blocks are numbered so that those that run together share rows of A and B in L2.
// docs/kernels/gemm.md has what each of these choices was measured to be worth.
#include "kernels/gemm/codes.cuh"
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
constexpr int kWarpsMN = num_warps(kRow) / kRow.warps_k;
constexpr int kWarpsN = kRow.tile_n / kRow.warp_n;
constexpr int kRowBytes = kRow.tile_k * 2;
constexpr int kRowChunks = kRow.tile_k / 8;
constexpr int kSteps = kRow.tile_k / 16 / kRow.warps_k;  // of 16 of k: a warp's share of a tile
constexpr u32 kBytesA = sizeof(Shared::Stage::a);        // B follows it in a stage
constexpr u32 kStageBytes = sizeof(typename Shared::Stage);
constexpr u32 kRingBytes = kRow.stages * kStageBytes;
constexpr int kTilesM = kRow.warp_m / 16;
constexpr int kTilesN = kRow.warp_n / 8;
static_assert(kSteps % 2 == 0, "the two sets of fragment registers take turns");

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

    const char* base;   // the block's first row in the next tile: the same for all threads
    i64 stride_bytes;   // of rows
    u32 from[kPasses];  // bytes from `base` to the chunk of each pass, where they fit into 32 bits
    const char* next;   // chunk of the next pass, where tiles are copied partly
    u32 exists = 0;     // bit p: the row of pass p

    __device__ Copier(const void* operand, i64 stride, i64 first_row, i64 num_rows)
        : base(reinterpret_cast<const char*>(static_cast<const T*>(operand) + first_row * stride)),
          stride_bytes(stride * 2) {
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
            from[pass] = static_cast<u32>(offset(pass));
            if (first_row + row(pass) < num_rows) exists |= 1u << pass;
        }
    }
    __device__ static int row(int pass) {
        return static_cast<int>(threadIdx.x) / kRowChunks + pass * kRowsPerPass;
    }
    __device__ i64 offset(int pass) const {
        return row(pass) * stride_bytes + static_cast<int>(threadIdx.x) % kRowChunks * 16;
    }

    __device__ void copy_whole(int pass, u32 to) const {
        ptx::cp_async_16(to, base + from[pass]);
    }

    // `elements` of the chunk are inside k. Passes come in their order.
    template <bool early>
    __device__ void copy_partly(int pass, u32 to, int elements) {
        if (pass == 0) next = base + offset(0);
        const T* source = reinterpret_cast<const T*>(next);
        next += stride_bytes * kRowsPerPass;
        const int count = (exists >> pass & 1) != 0 ? elements : 0;
        if constexpr (early) {
            ptx::cp_async_16(to, source, count * 2, ptx::read_once_policy());
        } else if constexpr (kRow.aligned) {
            ptx::cp_async_16(to, source, count * 2);
        } else {
            u32 pairs[4] = {};
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                if (i < count) pairs[i / 2] |= static_cast<u32>(source[i].bits) << (i % 2 * 16);
            }
            ptx::store_shared(to, {pairs[0], pairs[1], pairs[2], pairs[3]});
        }
    }
};

// why: sizes of copies that vary cost eight instructions a copy and registers that 64 x 64 sums have not
// left. So there are two loops: one for tiles that all exist, one for the others.
enum class Tiles { whole, any };
enum class Operands { both, a, early_b };

struct Copies {
    Copier<kRow.tile_m> a;
    Copier<kRow.tile_n> b;
    int k_left;      // from this thread's chunk of the next tile to the end of k
    int tiles_left;  // to be copied
    u32 offset;      // of this thread's chunk in a tile in shared memory, pass 0

    static constexpr int kPassesA = Copier<kRow.tile_m>::kPasses;
    static constexpr int kPasses = kPassesA + Copier<kRow.tile_n>::kPasses;

    __device__ Copies(const GemmArgs& args, Block block)
        : a(args.a, args.a_stride, block.m, args.m),
          b(args.b, args.b_stride, block.n, args.n),
          k_left(args.k - static_cast<int>(threadIdx.x) % kRowChunks * 8),
          tiles_left(static_cast<int>(ceil_div(args.k, kRow.tile_k))),
          offset(Swizzle<kRowChunks>::offset_bytes(static_cast<int>(threadIdx.x) / kRowChunks,
                                                   static_cast<int>(threadIdx.x) % kRowChunks)) {}

    // Part `part` of `parts` of the next tile; with the last part a group ends, also when nothing is left,
    // but for B alone. One tile of zeros follows the last: its first fragments are loaded, though not used.
    template <Tiles tiles, Operands operands = Operands::both>
    __device__ void copy(u32 stage, int part, int parts) {
        if (tiles == Tiles::whole || tiles_left >= 0) {
            const int elements = k_left < 0 ? 0 : k_left < 8 ? k_left : 8;
#pragma unroll
            for (int pass = 0; pass < kPasses; ++pass) {
                if (pass * parts / kPasses != part) continue;
                const bool is_a = pass < kPassesA;
                if (operands == (is_a ? Operands::early_b : Operands::a)) continue;
                constexpr u32 kPassBytes = Copier<kRow.tile_m>::kRowsPerPass * kRowBytes;
                const u32 to = stage + offset + pass * kPassBytes;  // B follows A
                if constexpr (tiles == Tiles::whole) {
                    is_a ? a.copy_whole(pass, to) : b.copy_whole(pass - kPassesA, to);
                } else {
                    constexpr bool kEarly = operands == Operands::early_b;
                    is_a ? a.template copy_partly<false>(pass, to, elements)
                         : b.template copy_partly<kEarly>(pass - kPassesA, to, elements);
                }
            }
        }
        if (part < parts - 1) return;
        if (operands != Operands::early_b) ptx::cp_async_commit();
        a.base += kRowBytes;
        b.base += kRowBytes;
        k_left -= kRow.tile_k;
        --tiles_left;
    }
};

struct Fragments {
    u32 a[kTilesM][4];
    u32 b[kTilesN][2];
};

// Lanes 8 i .. 8 i + 7 address the rows of matrix i. A: (rows, rows + 8) x (k, k + 8), k outermost, as mma
// wants its registers; B: k innermost, so that one load serves two tiles of 8 columns.
struct FragmentAddress {
    u32 a, b;  // in their tile, at this warp's first k

    __device__ FragmentAddress() {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % kWarpsMN;
        const int chunk = threadIdx.x / 32 / kWarpsMN * (kSteps * 2);
        const int a_row = warp / kWarpsN * kRow.warp_m + lane % 16;
        const int b_row = warp % kWarpsN * kRow.warp_n + lane / 16 * 8 + lane % 8;
        a = Swizzle<kRowChunks>::offset_bytes(a_row, chunk + lane / 16);
        b = Swizzle<kRowChunks>::offset_bytes(b_row, chunk + lane / 8 % 2);
    }
    __device__ void load(Fragments& f, u32 stage, int step) const {
        const u32 a_start = stage + Swizzle<kRowChunks>::advance(a, step * 2);
        const u32 b_start = stage + kBytesA + Swizzle<kRowChunks>::advance(b, step * 2);
#pragma unroll
        for (int i = 0; i < kTilesM; ++i) {
            ptx::ldmatrix_x4(f.a[i][0], f.a[i][1], f.a[i][2], f.a[i][3], a_start + i * (16 * kRowBytes));
        }
#pragma unroll
        for (int j = 0; j + 1 < kTilesN; j += 2) {
            ptx::ldmatrix_x4(f.b[j][0], f.b[j][1], f.b[j + 1][0], f.b[j + 1][1],
                             b_start + j * (8 * kRowBytes));
        }
        if constexpr (kTilesN % 2 != 0) {
            constexpr int kLast = kTilesN - 1;
            ptx::ldmatrix_x2(f.b[kLast][0], f.b[kLast][1], b_start + kLast * (8 * kRowBytes));
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

struct Ring {
    u32 begin, read, write;  // stages, in the shared window
};

// One tile of k, and the copies of the one that is stages - 1 ahead.
template <Tiles tiles>
__device__ inline void multiply_tile(Sums& sums, Fragments (&fragments)[2], Copies& copies,
                                     const FragmentAddress& address, Ring& ring) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
        if (step == kSteps - 1) {
            // The next tile has landed for everybody, and everybody has read the last of this one: its
            // stage is the one written to from the next step on.
            ptx::cp_async_wait<kRow.stages - 2>();
            __syncthreads();
            ring.write = ring.read;
            ring.read += kStageBytes;
            if (ring.read == ring.begin + kRingBytes) ring.read = ring.begin;
        }
        address.load(fragments[(step + 1) % 2], ring.read, (step + 1) % kSteps);
        if (step < kSteps - 1) copies.copy<tiles>(ring.write, step, kSteps - 1);
        multiply(sums, fragments[step % 2]);
    }
}

// Copies the first stages - 1 tiles, and waits for the predecessor before it touches A.
__device__ inline void begin_ring(Copies& copies, const GemmArgs& args, u32 begin) {
    // The ring is full of constant B while the predecessor, which may be making A, still runs. Its groups end
    // with A's copies, and in their order: the first product waits for all of B, so blocks that come later do
    // without. So do those of a small grid: its successor is resident already, and would take memory from it.
    constexpr bool kMayBeEarly = kRow.aligned && kRow.tile_m <= 64;
    constexpr u32 kAhead = kRow.stages - 1;
    const u32 num_first = static_cast<u32>(args.num_sms * kRow.blocks_per_sm);
    const bool early =
        kMayBeEarly && args.b_is_constant && blockIdx.x < num_first && gridDim.x * 2 > num_first;
    if (early) {
        Copies ahead = copies;
#pragma unroll 1
        for (u32 stage = 0; stage < kAhead; ++stage) {
            ahead.copy<Tiles::any, Operands::early_b>(begin + stage * kStageBytes, 0, 1);
        }
    }
    ptx::wait_for_predecessor();
    ptx::release_successor();
#pragma unroll(kMayBeEarly ? 1 : kAhead)
    for (u32 stage = 0; stage < kAhead; ++stage) {
        const u32 to = begin + stage * kStageBytes;
        early ? copies.copy<Tiles::any, Operands::a>(to, 0, 1) : copies.copy<Tiles::any>(to, 0, 1);
    }
}

__device__ inline void main_loop(Sums& sums, const GemmArgs& args, Block block, u32 begin) {
    Copies copies(args, block);
    begin_ring(copies, args, begin);
    ptx::cp_async_wait<kRow.stages - 2>();
    __syncthreads();

    Ring ring{begin, begin, begin + kRingBytes - kStageBytes};
    const FragmentAddress address;
    Fragments fragments[2];
    address.load(fragments[0], begin, 0);
    constexpr i64 kLongestStride = 0xffffffff / 2 / (kRow.tile_m > kRow.tile_n ? kRow.tile_m : kRow.tile_n);
    const bool inside = block.m + kRow.tile_m <= args.m && block.n + kRow.tile_n <= args.n &&
                        args.a_stride < kLongestStride && args.b_stride < kLongestStride;
    const int num_tiles = static_cast<int>(ceil_div(args.k, kRow.tile_k));
    int tile = 0;
    if (kRow.aligned && inside) {
        const int whole = args.k / kRow.tile_k - (kRow.stages - 1);
#pragma unroll 1
        for (; tile < whole; ++tile) multiply_tile<Tiles::whole>(sums, fragments, copies, address, ring);
    }
#pragma unroll 1
    for (; tile < num_tiles; ++tile) multiply_tile<Tiles::any>(sums, fragments, copies, address, ring);
    ptx::cp_async_wait<0>();
    __syncthreads();
}

// Eight columns of a row of a warp's 16 rows: the sums of the warps that shared out k, in a fixed order.
__device__ inline Eight sum_of(const Shared& shared, int place, int row, int column) {
    Eight sum = *reinterpret_cast<const Eight*>(&shared.result[place][row][column]);
#pragma unroll
    for (int part = 1; part < kRow.warps_k; ++part) {
        const float* from = &shared.result[place + part * kWarpsMN][row][column];
        const Eight more = *reinterpret_cast<const Eight*>(from);
#pragma unroll
        for (int e = 0; e < 8; ++e) sum.v[e] += more.v[e];
    }
    return sum;
}

__device__ inline void wait_for_parts() {
    if constexpr (kRow.warps_k > 1) {
        __syncthreads();
    } else {
        __syncwarp();
    }
}

// Numbers of d, or codes of them.
template <bool codes>
struct Finish {
    __device__ explicit Finish(const GemmArgs&) {}
    __device__ void operator()(const GemmArgs& args, i64 m, i64 n, const Eight& sum) {
        finish_eight<T>(args, m, n, sum);
    }
    __device__ void operator()(const GemmArgs& args, i64 m, i64 n, float sum) {
        finish_one<T>(args, m, n, sum);
    }
    __device__ void end(const GemmArgs&) {}
};
template <>
struct Finish<true> {
    Coder coder;

    __device__ explicit Finish(const GemmArgs& args) : coder(args) {}
    __device__ void operator()(const GemmArgs& args, i64 m, i64 n, const Eight& sum) {
        coder.store_eight(args, m, n, result_eight<T>(args, m, n, sum));
    }
    __device__ void operator()(const GemmArgs& args, i64 m, i64 n, float sum) {
        coder.store_one(args, m, n, result_one<T>(args, m, n, sum));
    }
    __device__ void end(const GemmArgs& args) { coder.raise_amax(args); }
};

__device__ inline void epilogue(Sums& sums, const GemmArgs& args, Block block, Shared& shared) {
    constexpr int kChunks = kRow.warp_n / 8;   // of eight columns
    constexpr int kLanes = 32 * kRow.warps_k;  // that share out 16 rows
    constexpr int kRounds = (16 * kChunks + kLanes - 1) / kLanes;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, place = warp % kWarpsMN;
    const int first_chunk = warp / kWarpsMN * 32 + lane;
    const i64 first_m = block.m + place / kWarpsN * kRow.warp_m;
    const i64 first_n = block.n + place % kWarpsN * kRow.warp_n;
    Finish<kRow.codes> finish(args);
    // why: without anything to add, all loads of a lane are under way at once.
    const bool plain = !kRow.codes && args.bias == nullptr && args.gate == nullptr &&
                       args.residual == nullptr && args.activation == Activation::none && !args.out_f32 &&
                       args.out_aligned && first_n + kRow.warp_n <= args.n;
#pragma unroll 1
    for (int i = 0; i < kTilesM; ++i) {
#pragma unroll
        for (int tile = 0; tile < kTilesM; ++tile) {
            if (tile != i) continue;  // registers have no index: one copy of the stores for each i
#pragma unroll
            for (int j = 0; j < kTilesN; ++j) {
                const int column = j * 8 + lane % 4 * 2;
                const float(&d)[4] = sums[tile][j];
                *reinterpret_cast<Two*>(&shared.result[warp][lane / 4][column]) = {d[0], d[1]};
                *reinterpret_cast<Two*>(&shared.result[warp][lane / 4 + 8][column]) = {d[2], d[3]};
            }
        }
        wait_for_parts();
        if (plain) {
#pragma unroll
            for (int round = 0; round < kRounds; ++round) {
                const int chunk = first_chunk + round * kLanes;
                const int row = chunk / kChunks, column = chunk % kChunks * 8;
                const i64 m = first_m + i * 16 + row;
                if (row < 16 && m < args.m) {
                    store_eight<T>(args.d, m * args.d_stride + first_n + column,
                                   sum_of(shared, place, row, column));
                }
            }
        } else {
#pragma unroll 1
            for (int chunk = first_chunk; chunk < 16 * kChunks; chunk += kLanes) {
                const int row = chunk / kChunks, column = chunk % kChunks * 8;
                const i64 m = first_m + i * 16 + row, n = first_n + column;
                if (m >= args.m) break;
                const Eight sum = sum_of(shared, place, row, column);
                if (args.out_aligned && n + 8 <= args.n) {
                    finish(args, m, n, sum);
                } else {
                    float* kept = &shared.result[place][row][column];  // read by this lane only
                    *reinterpret_cast<Eight*>(kept) = sum;
#pragma unroll 1
                    for (int e = 0; e < 8 && n + e < args.n; ++e) finish(args, m, n + e, kept[e]);
                }
            }
        }
        wait_for_parts();
    }
    finish.end(args);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::GemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    const Block block = this_block(args);
    Sums sums = {};
    main_loop(sums, args, block, ptx::shared_address(&shared));
    epilogue(sums, args, block, shared);
}
