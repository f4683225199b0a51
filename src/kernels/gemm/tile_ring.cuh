// SPDX-License-Identifier: Apache-2.0
// What products through shared memory have in common, whatever the type of their operands: a block's tiles of
// A and B are rows of bytes.
//
//   copies     ring of `stages` tiles, cp.async, stages - 1 tiles ahead
//   fragments  ldmatrix, 32 bytes of k ahead of the products, two sets of registers: what mma's operands are
//              for 16 elements of 16 bits or 32 of 8
//   products   the caller's
//
// Rows and columns that do not exist are copied as zeros; so is k beyond its end. Tiles are swizzled
// (tile/swizzle.h). docs/kernels/gemm.md has what each of these choices was measured to be worth.
#pragma once

#include "kernels/gemm/blocks.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/memory.cuh"
#include "tile/swizzle.h"

namespace warpwright {

struct TileShape {
    int tile_m, tile_n;  // rows of A and of B that a block takes
    int row_bytes;       // of k, at a time
    int warp_m, warp_n;  // what a warp computes
    int stages;
    int warps_k;  // groups of warps that share out the k of a tile
    int blocks_per_sm;
    int element_bytes;
    bool aligned;  // rows of A and B start at multiples of 16 bytes
};

template <int bytes>
struct ElementOf;
template <>
struct ElementOf<1> {
    using Type = u8;
};
template <>
struct ElementOf<2> {
    using Type = u16;
};

template <TileShape S>
struct TileRing {
    static constexpr int kWarpsN = S.tile_n / S.warp_n;
    static constexpr int kWarpsMN = S.tile_m / S.warp_m * kWarpsN;
    static constexpr int kWarps = kWarpsMN * S.warps_k;
    static constexpr int kThreads = kWarps * 32;
    static constexpr int kRowChunks = S.row_bytes / 16;
    static constexpr int kChunkElements = 16 / S.element_bytes;
    static constexpr int kTileK = S.row_bytes / S.element_bytes;
    static constexpr int kSteps = S.row_bytes / 32 / S.warps_k;  // of 32 bytes: a warp's share of a tile
    static constexpr u32 kBytesA = S.tile_m * S.row_bytes;       // B follows it in a stage
    static constexpr u32 kStageBytes = kBytesA + S.tile_n * S.row_bytes;
    static constexpr u32 kRingBytes = S.stages * kStageBytes;
    static constexpr int kTilesM = S.warp_m / 16;
    static constexpr int kTilesN = S.warp_n / 8;
    static_assert(kSteps % 2 == 0, "the two sets of fragment registers take turns");
    static_assert(kTilesN % 2 == 0, "B fragments are loaded for two tiles at once");

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
            : base(static_cast<const char*>(operand) + first_row * stride * S.element_bytes),
              stride_bytes(stride * S.element_bytes) {
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
            const char* source = next;
            next += stride_bytes * kRowsPerPass;
            const int count = (exists >> pass & 1) != 0 ? elements : 0;
            if constexpr (early) {
                ptx::cp_async_16(to, source, count * S.element_bytes, ptx::read_once_policy());
            } else if constexpr (S.aligned) {
                ptx::cp_async_16(to, source, count * S.element_bytes);
            } else {
                using Element = typename ElementOf<S.element_bytes>::Type;
                constexpr int kOfWord = 4 / S.element_bytes;
                u32 words[4] = {};
#pragma unroll
                for (int i = 0; i < kChunkElements; ++i) {
                    if (i >= count) continue;
                    words[i / kOfWord] |= static_cast<u32>(reinterpret_cast<const Element*>(source)[i])
                                          << (i % kOfWord * 8 * S.element_bytes);
                }
                ptx::store_shared(to, {words[0], words[1], words[2], words[3]});
            }
        }
    };

    // why: sizes of copies that vary cost eight instructions a copy and registers that 64 x 64 sums have not
    // left. So there are two loops: one for tiles that all exist, one for the others.
    enum class Tiles { whole, any };
    enum class Operands { both, a, early_b };

    struct Copies {
        Copier<S.tile_m> a;
        Copier<S.tile_n> b;
        int k_left;      // from this thread's chunk of the next tile to the end of k
        int tiles_left;  // to be copied
        u32 offset;      // of this thread's chunk in a tile in shared memory, pass 0

        static constexpr int kPassesA = Copier<S.tile_m>::kPasses;
        static constexpr int kPasses = kPassesA + Copier<S.tile_n>::kPasses;

        __device__ Copies(const GemmArgs& args, const Block& block)
            : a(args.a, args.a_stride, block.m, block.end_m),
              b(args.b, args.b_stride, block.n, args.n),
              k_left(args.k - static_cast<int>(threadIdx.x) % kRowChunks * kChunkElements),
              tiles_left(static_cast<int>(ceil_div(args.k, kTileK))),
              offset(Swizzle<kRowChunks>::offset_bytes(static_cast<int>(threadIdx.x) / kRowChunks,
                                                       static_cast<int>(threadIdx.x) % kRowChunks)) {}

        // Part `part` of `parts` of the next tile; with the last part a group ends, also when nothing is
        // left, but for B alone. One tile of zeros follows the last: its first fragments are loaded, though
        // not used.
        template <Tiles tiles, Operands operands = Operands::both>
        __device__ void copy(u32 stage, int part, int parts) {
            if (tiles == Tiles::whole || tiles_left >= 0) {
                const int elements = k_left < 0 ? 0 : k_left < kChunkElements ? k_left : kChunkElements;
#pragma unroll
                for (int pass = 0; pass < kPasses; ++pass) {
                    if (pass * parts / kPasses != part) continue;
                    const bool is_a = pass < kPassesA;
                    if (operands == (is_a ? Operands::early_b : Operands::a)) continue;
                    constexpr u32 kPassBytes = Copier<S.tile_m>::kRowsPerPass * S.row_bytes;
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
            a.base += S.row_bytes;
            b.base += S.row_bytes;
            k_left -= kTileK;
            --tiles_left;
        }
    };

    struct Fragments {
        u32 a[kTilesM][4];
        u32 b[kTilesN][2];
    };

    // Lanes 8 i .. 8 i + 7 address the rows of matrix i. A: (rows, rows + 8) x (chunk, next chunk of k), k
    // outermost, as mma wants its registers; B: k innermost, so that one load serves two tiles of 8 columns.
    struct FragmentAddress {
        u32 a, b;  // in their tile, at this warp's first k

        __device__ FragmentAddress() {
            const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % kWarpsMN;
            const int chunk = threadIdx.x / 32 / kWarpsMN * (kSteps * 2);
            const int a_row = warp / kWarpsN * S.warp_m + lane % 16;
            const int b_row = warp % kWarpsN * S.warp_n + lane / 16 * 8 + lane % 8;
            a = Swizzle<kRowChunks>::offset_bytes(a_row, chunk + lane / 16);
            b = Swizzle<kRowChunks>::offset_bytes(b_row, chunk + lane / 8 % 2);
        }
        __device__ void load(Fragments& f, u32 stage, int step) const {
            const u32 a_start = stage + Swizzle<kRowChunks>::advance(a, step * 2);
            const u32 b_start = stage + kBytesA + Swizzle<kRowChunks>::advance(b, step * 2);
#pragma unroll
            for (int i = 0; i < kTilesM; ++i) {
                ptx::ldmatrix_x4(f.a[i][0], f.a[i][1], f.a[i][2], f.a[i][3],
                                 a_start + i * (16 * S.row_bytes));
            }
#pragma unroll
            for (int j = 0; j < kTilesN; j += 2) {
                ptx::ldmatrix_x4(f.b[j][0], f.b[j][1], f.b[j + 1][0], f.b[j + 1][1],
                                 b_start + j * (8 * S.row_bytes));
            }
        }
    };

    struct Ring {
        u32 begin, read, write;  // stages, in the shared window
    };

    // One tile of k, and the copies of the one that is stages - 1 ahead.
    template <Tiles tiles, class Products, class AnyCopies>
    __device__ static void multiply_tile(Products& products, Fragments (&fragments)[2], AnyCopies& copies,
                                         const FragmentAddress& address, Ring& ring) {
        products.begin_tile();
#pragma unroll
        for (int step = 0; step < kSteps; ++step) {
            if (step == kSteps - 1) {
                // The next tile has landed for everybody, and everybody has read the last of this one: its
                // stage is the one written to from the next step on.
                ptx::cp_async_wait<S.stages - 2>();
                __syncthreads();
                ring.write = ring.read;
                ring.read += kStageBytes;
                if (ring.read == ring.begin + kRingBytes) ring.read = ring.begin;
            }
            address.load(fragments[(step + 1) % 2], ring.read, (step + 1) % kSteps);
            if (step < kSteps - 1) copies.template copy<tiles>(ring.write, step, kSteps - 1);
            products.multiply(fragments[step % 2], step);
        }
    }

    // Copies the first stages - 1 tiles, and calls wait() before it touches A.
    template <class Wait>
    __device__ static void begin_ring(Copies& copies, const GemmArgs& args, u32 begin, const Wait& wait) {
        // The ring is full of constant B while the predecessor, which may be making A, still runs. Its groups
        // end with A's copies, and in their order: the first product waits for all of B, so blocks that come
        // later do without. So do those of a small grid: its successor is resident already, and would take
        // memory from it.
        constexpr bool kMayBeEarly = S.aligned && S.tile_m <= 64;
        constexpr u32 kAhead = S.stages - 1;
        const u32 num_first = static_cast<u32>(args.num_sms * S.blocks_per_sm);
        const bool early =
            kMayBeEarly && args.b_is_constant && blockIdx.x < num_first && gridDim.x * 2 > num_first;
        if (early) {
            Copies ahead = copies;
#pragma unroll 1
            for (u32 stage = 0; stage < kAhead; ++stage) {
                ahead.template copy<Tiles::any, Operands::early_b>(begin + stage * kStageBytes, 0, 1);
            }
        }
        wait();
#pragma unroll(kMayBeEarly ? 1 : kAhead)
        for (u32 stage = 0; stage < kAhead; ++stage) {
            const u32 to = begin + stage * kStageBytes;
            early ? copies.template copy<Tiles::any, Operands::a>(to, 0, 1)
                  : copies.template copy<Tiles::any>(to, 0, 1);
        }
    }

    // `wait` waits for the predecessor (ptx/launch.cuh). `products` has begin(), for what is read behind
    // that; begin_tile(); and multiply(fragments, step), of 32 bytes of k.
    template <class Products, class Wait>
    __device__ static void main_loop(Products& products, const GemmArgs& args, const Block& block, u32 begin,
                                     const Wait& wait) {
        Copies copies(args, block);
        begin_ring(copies, args, begin, wait);
        constexpr i64 kLongestStride =
            0xffffffff / S.element_bytes / (S.tile_m > S.tile_n ? S.tile_m : S.tile_n);
        const bool inside = block.m + S.tile_m <= block.end_m && block.n + S.tile_n <= args.n &&
                            args.a_stride < kLongestStride && args.b_stride < kLongestStride;
        run_ring(products, copies, begin, args.k, inside);
    }

    // The ring has been begun. `inside`: every row of the tiles exists.
    template <class Products, class AnyCopies>
    __device__ static void run_ring(Products& products, AnyCopies& copies, u32 begin, i32 k, bool inside) {
        products.begin();
        ptx::cp_async_wait<S.stages - 2>();
        __syncthreads();

        Ring ring{begin, begin, begin + kRingBytes - kStageBytes};
        const FragmentAddress address;
        Fragments fragments[2];
        address.load(fragments[0], begin, 0);
        const int num_tiles = static_cast<int>(ceil_div(k, kTileK));
        int tile = 0;
        if (S.aligned && inside) {
            const int whole = k / kTileK - (S.stages - 1);
#pragma unroll 1
            for (; tile < whole; ++tile)
                multiply_tile<Tiles::whole>(products, fragments, copies, address, ring);
        }
#pragma unroll 1
        for (; tile < num_tiles; ++tile)
            multiply_tile<Tiles::any>(products, fragments, copies, address, ring);
        ptx::cp_async_wait<0>();
        __syncthreads();
    }
};

}  // namespace warpwright
