// SPDX-License-Identifier: Apache-2.0
// grouped_gemm on tensor cores, portable: a block's rows of A are of one group, whose weights it reads.
//
//   block = tile_m rows of D, and tile_n rows of weights: as many columns of D, or, gated, half as many, for
//           which it has the gate's weights as well
//
//   copies, fragments   gemm's (kernels/gemm/tile_ring.cuh), of rows of A that a list may name
//   products            mma m16n8k16, fp32 sums
//   epilogue            16 rows of every warp at a time through shared memory, then 8 columns a lane, beside
//                       the same 8 of the gate
//
// Which group a block is of it reads on the device: places that no row has end at once.
#include "kernels/gemm/epilogue.cuh"
#include "kernels/gemm/tile_result.cuh"
#include "kernels/grouped_gemm/gated.cuh"
#include "kernels/grouped_gemm/rows.h"
#include "ptx/launch.cuh"
#include "ptx/mma.cuh"

namespace warpwright {

constexpr GroupedGemmRow kRow = sized<row_at(kGroupedGemmRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
using Shared = GroupedGemmShared<kRow>;

constexpr TileShape kShape{.tile_m = kRow.tile_m,
                           .tile_n = kRow.tile_n,
                           .row_bytes = kRow.tile_k * 2,
                           .warp_m = kRow.warp_m,
                           .warp_n = kRow.warp_n,
                           .stages = kRow.stages,
                           .warps_k = kRow.warps_k,
                           .blocks_per_sm = kRow.blocks_per_sm,
                           .element_bytes = 2,
                           .aligned = kRow.aligned};
using Ring = TileRing<kShape>;
using Result = TileResult<kShape, float>;

// The first weights are under way before the wait, where lists are constant: of rows that stream them.
constexpr bool kReadsAhead = kRow.aligned && kRow.tile_m <= 32;

__device__ inline bool reads_ahead(const GroupedGemmArgs& args) {
    return kReadsAhead && args.lists_are_constant && args.gemm.b_is_constant;
}
__device__ inline i32 read_list(const GroupedGemmArgs& args, const i32* from) {
    return reads_ahead(args) ? ptx::load_constant_i32(from) : *from;
}

// As blocks.cuh's.
__device__ inline bool enter_group(Block& block, const GroupedGemmArgs& args) {
    if (!reads_ahead(args)) return enter_group(block, args.groups);
    if (args.groups.kind == Grouping::masked) {
        block.end_m = min(ptx::load_constant_i32(args.groups.num_rows + block.group), block.end_m);
        return block.m < block.end_m;
    }
    block.group = ptx::load_constant_i32(args.groups.of_row + block.m);
    return block.group >= 0;
}

// As blocks.cuh's, with half as many columns of D where they are gated.
__device__ inline Block this_block(const GroupedGemmArgs& args) {
    constexpr u32 kHeight = 2048 / kRow.tile_m;
    const u32 columns = args.b_gate != nullptr ? kRow.tile_n / 2 : kRow.tile_n;
    const u32 blocks_m = static_cast<u32>(ceil_div(args.gemm.m, kRow.tile_m));
    const u32 blocks_n = (static_cast<u32>(args.gemm.n) + columns - 1) / columns;
    u32 index = blockIdx.x, group = 0;
    if (args.groups.kind == Grouping::masked) {
        group = index / (blocks_m * blocks_n);
        index %= blocks_m * blocks_n;
    }
    const u32 column = index / (kHeight * blocks_n), rest = index % (kHeight * blocks_n);
    const u32 left = blocks_m - column * kHeight, height = left < kHeight ? left : kHeight;
    return {static_cast<i32>((column * kHeight + rest % height) * kRow.tile_m),
            static_cast<i32>(rest / height * columns), args.gemm.m, static_cast<i32>(group)};
}

// Which 16-byte chunks of a tile a thread copies, and where they come from: a number of bytes from one
// address for all rows of A, and from two for weights, whose second half of a warp's rows is the gate's.
struct Copies {
    static constexpr int kRowsPerPass = Ring::kThreads / Ring::kRowChunks;
    static constexpr int kPassesA = kRow.tile_m / kRowsPerPass;
    static constexpr int kPassesB = kRow.tile_n / kRowsPerPass;
    static constexpr int kPasses = kPassesA + kPassesB;
    static constexpr int kHalf = kRow.warp_n / 2;
    static_assert(kRowsPerPass % 8 == 0 && kRow.tile_m % kRowsPerPass == 0);
    static_assert(kHalf % kRowsPerPass == 0, "a pass is of gate or of the other rows");

    const char* a;
    const char* b[2];
    u32 from_a[kPassesA], from_b[kPassesB];
    u32 exists = 0;  // bit p: the row of pass p
    int k_left;      // from this thread's chunk of the next tile to the end of k
    int tiles_left;  // to be copied
    u32 offset;      // of this thread's chunk in a tile in shared memory, pass 0

    // Of this thread's passes: rows of A. Before it is known which group they are of: two waits are one.
    struct Places {
        i32 row[kPassesA];

        __device__ Places(const GroupedGemmArgs& args, const Block& block) {
            const i32 first = static_cast<i32>(threadIdx.x) / Ring::kRowChunks;
            const bool masked = args.groups.kind == Grouping::masked;
            const i32* list = args.row_of_a;
            if (list != nullptr && masked) list += i64{block.group} * args.gemm.m;
#pragma unroll
            for (int pass = 0; pass < kPassesA; ++pass) {
                row[pass] = first + pass * kRowsPerPass;
                const i32 m = block.m + row[pass];
                if (list != nullptr) {
                    row[pass] = m < args.gemm.m ? read_list(args, list + m) : 0;
                } else if (!masked && (m >= args.gemm.m || read_list(args, args.groups.of_row + m) < 0)) {
                    row[pass] = 0;  // nobody need have written what lies between groups
                }
            }
        }
    };

    __device__ Copies(const GroupedGemmArgs& args, const Block& block, const Places& places)
        : k_left(args.gemm.k - static_cast<int>(threadIdx.x) % Ring::kRowChunks * 8),
          tiles_left(static_cast<int>(ceil_div(args.gemm.k, kRow.tile_k))),
          offset(Swizzle<Ring::kRowChunks>::offset_bytes(static_cast<int>(threadIdx.x) / Ring::kRowChunks,
                                                         static_cast<int>(threadIdx.x) % Ring::kRowChunks)) {
        const bool gated = args.b_gate != nullptr, gather = args.row_of_a != nullptr;
        const i32 first = static_cast<i32>(threadIdx.x) / Ring::kRowChunks;
        const u32 chunk = threadIdx.x % Ring::kRowChunks * 16;
        const i64 group_of_a = args.groups.kind == Grouping::masked ? block.group : 0;
        a = static_cast<const char*>(args.gemm.a) +
            (gather ? 0 : (group_of_a * args.groups.a_stride + block.m * args.gemm.a_stride) * 2);
#pragma unroll
        for (int pass = 0; pass < kPassesA; ++pass) {
            const bool here = block.m + first + pass * kRowsPerPass < block.end_m;
            i32 place = places.row[pass];
            if (gather && (place < 0 || place >= args.rows_of_a)) place = 0;
            from_a[pass] = static_cast<u32>(place) * static_cast<u32>(args.gemm.a_stride * 2) + chunk;
            if (here) exists |= 1u << pass;
        }
        const i64 of_group = block.group * args.groups.b_stride;
        const char* gate = static_cast<const char*>(gated ? args.b_gate : args.gemm.b);
        b[0] = static_cast<const char*>(args.gemm.b) + (of_group + block.n * args.gemm.b_stride) * 2;
        b[1] = gate + (of_group + block.n * args.gemm.b_stride) * 2;
#pragma unroll
        for (int pass = 0; pass < kPassesB; ++pass) {
            const i32 row = first + pass * kRowsPerPass;
            const i32 column = gated ? row / kRow.warp_n * kHalf + row % kHalf : row;
            from_b[pass] = static_cast<u32>(column) * static_cast<u32>(args.gemm.b_stride * 2) + chunk;
            if (block.n + column < args.gemm.n) exists |= 1u << (kPassesA + pass);
        }
    }

    __device__ static void copy_elements(u32 to, const char* source, int elements) {
        if constexpr (kRow.aligned) {
            ptx::cp_async_16(to, source, elements * 2);
        } else {
            u32 words[4] = {};
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                if (i >= elements) continue;
                words[i / 2] |= static_cast<u32>(reinterpret_cast<const u16*>(source)[i]) << (i % 2 * 16);
            }
            ptx::store_shared(to, {words[0], words[1], words[2], words[3]});
        }
    }

    // B of the tile `ahead` from here on, which `copy` then leaves out.
    __device__ void copy_b(u32 stage, int ahead) const {
        const int left = k_left - ahead * kRow.tile_k, elements = left < 0 ? 0 : left < 8 ? left : 8;
#pragma unroll
        for (int pass = kPassesA; pass < kPasses; ++pass) {
            const int pass_b = pass - kPassesA;
            const char* source = b[pass_b * kRowsPerPass % kRow.warp_n / kHalf] + from_b[pass_b];
            ptx::cp_async_16(stage + offset + pass * (kRowsPerPass * kShape.row_bytes),
                             source + ahead * kShape.row_bytes, (exists >> pass & 1) != 0 ? elements * 2 : 0,
                             ptx::read_once_policy());
        }
    }

    // As TileRing's.
    template <Ring::Tiles tiles, bool with_b = true>
    __device__ void copy(u32 stage, int part, int parts) {
        if (tiles == Ring::Tiles::whole || tiles_left >= 0) {
            const int elements = k_left < 0 ? 0 : k_left < 8 ? k_left : 8;
#pragma unroll
            for (int pass = 0; pass < kPasses; ++pass) {
                if (pass * parts / kPasses != part) continue;
                const bool is_a = pass < kPassesA;
                if (!is_a && !with_b) continue;
                const int pass_b = is_a ? 0 : pass - kPassesA;
                const char* source = is_a ? a + from_a[is_a ? pass : 0]
                                          : b[pass_b * kRowsPerPass % kRow.warp_n / kHalf] + from_b[pass_b];
                const u32 to = stage + offset + pass * (kRowsPerPass * kShape.row_bytes);  // B follows A
                if constexpr (tiles == Ring::Tiles::whole) {
                    ptx::cp_async_16(to, source);
                } else {
                    copy_elements(to, source, (exists >> pass & 1) != 0 ? elements : 0);
                }
            }
        }
        if (part < parts - 1) return;
        ptx::cp_async_commit();
        a += kShape.row_bytes;
        b[0] += kShape.row_bytes;
        b[1] += kShape.row_bytes;
        k_left -= kRow.tile_k;
        --tiles_left;
    }
};

// In places between the rows of contiguous groups another row is copied: what is made of them is not written.
__device__ inline bool all_exist(const GroupedGemmArgs& args, const Block& block) {
    const i32 columns = args.b_gate != nullptr ? kRow.tile_n / 2 : kRow.tile_n;
    return block.m + kRow.tile_m <= block.end_m && block.n + columns <= args.gemm.n;
}

// In a tile of contiguous groups the rows that exist come first: end_m is behind them.
__device__ inline void end_behind_rows(Block& block, const GroupArgs& groups) {
    if (groups.kind != Grouping::contiguous) return;
    i32 count = 0;
#pragma unroll
    for (int first = 0; first < kRow.tile_m; first += 32) {
        const i32 row = first + static_cast<i32>(threadIdx.x % 32), m = block.m + row;
        const bool exists = row < kRow.tile_m && m < block.end_m && groups.of_row[m] >= 0;
        count += __popc(__ballot_sync(~0u, exists));
    }
    block.end_m = block.m + count;
}

struct Products {
    typename Result::Sums sums = {};

    __device__ void begin() {}
    __device__ void begin_tile() {}
    __device__ void multiply(const typename Ring::Fragments& f, int) {
#pragma unroll
        for (int i = 0; i < Ring::kTilesM; ++i) {
#pragma unroll
            for (int j = 0; j < Ring::kTilesN; ++j) {
                const int n = i % 2 == 0 ? j : Ring::kTilesN - 1 - j;  // there and back: B is used again
                ptx::mma<T>(sums[i][n], f.a[i], f.b[n]);
            }
        }
    }
};

__device__ inline void finish(const GemmArgs& args, i64 m, i64 n, const Eight& sum, float* kept) {
    if (args.out_aligned && n + 8 <= args.n) return finish_eight<T>(args, m, n, sum);
    *reinterpret_cast<Eight*>(kept) = sum;
#pragma unroll 1
    for (int e = 0; e < 8 && n + e < args.n; ++e) finish_one<T>(args, m, n + e, kept[e]);
}

__device__ inline void epilogue(const GroupedGemmArgs& args, const Block& block, Products& products,
                                Shared& shared) {
    GemmArgs gemm = args.gemm;
    move_results(gemm, args.groups, block.group);
    auto& results = reinterpret_cast<typename Result::Shared&>(shared.result);
    if (args.b_gate == nullptr) {
        Result::each_eight(products.sums, results, block, gemm.n,
                           [&](i64 m, i64 n, const typename Result::Eight& sum, float* kept) {
                               finish(gemm, m, n, reinterpret_cast<const Eight&>(sum), kept);
                           });
        return;
    }
    const void* gate_bias = moved(args.gate_bias, block.group * args.groups.bias_stride, 2);
    const void* bias = gemm.bias;
    gemm.bias = nullptr;
    gemm.activation = Activation::none;
    Result::each_eight<true>(products.sums, results, block, gemm.n,
                             [&](i64 m, i64 n, const typename Result::Eight& sum,
                                 const typename Result::Eight& gate, float* kept) {
                                 Eight value;
#pragma unroll
                                 for (int e = 0; e < 8; ++e) {
                                     const i64 column = n + e < gemm.n ? n + e : gemm.n - 1;
                                     value.v[e] =
                                         gated_value<T>(args, gate.v[e], sum.v[e], gate_bias, bias, column);
                                 }
                                 finish(gemm, m, n, value, kept);
                             });
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::Ring::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::GroupedGemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    Block block = this_block(args);
    const auto wait = [] {
        ptx::wait_for_predecessor();
        ptx::release_successor();
    };
    if (!reads_ahead(args)) wait();
    const Copies::Places places(args, block);
    if (!enter_group(block, args) || block.group >= args.groups.groups) {
        if (reads_ahead(args)) wait();
        return;
    }

    Products products;
    {
        const u32 begin = ptx::shared_address(&shared);
        Copies copies(args, block, places);
        if (reads_ahead(args)) {
#pragma unroll 1
            for (int stage = 0; stage < kRow.stages - 1; ++stage) {
                copies.copy_b(begin + stage * Ring::kStageBytes, stage);
            }
            wait();
#pragma unroll 1
            for (int stage = 0; stage < kRow.stages - 1; ++stage) {
                copies.copy<Ring::Tiles::any, false>(begin + stage * Ring::kStageBytes, 0, 1);
            }
        } else {
#pragma unroll 1
            for (int stage = 0; stage < kRow.stages - 1; ++stage) {
                copies.copy<Ring::Tiles::any>(begin + stage * Ring::kStageBytes, 0, 1);
            }
        }
        Ring::run_ring(products, copies, begin, args.gemm.k, all_exist(args, block));
    }
    // Once more: nothing of it takes a register of the products.
    block = this_block(args);
    enter_group(block, args.groups);
    end_behind_rows(block, args.groups);
    epilogue(args, block, products, shared);
}
