// SPDX-License-Identifier: Apache-2.0
// quantized_gemm for few rows of A and the usual scales: what stream.cuh does in fewer instructions, and for
// more rows of W a warp.
//
//   block   tile_n rows of W, all of k     warps share out k: turn i of 64 belongs to warp i % warps_k
//   warp    a ring of `stages` turns of its own in shared memory: cp.async, stages - 1 ahead, no barrier of
//           the block
//   block   adds the warps' sums in a fixed order, epilogue
//
// Tiles of W are taken two at a time, and the next two's words are loaded meanwhile. Scales have two bytes
// and are of 64 of k or more; those of whole rows wait for the end. Rows of W of a block need not be those
// that stand side by side in memory, so that there can be as many blocks as places for them.
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
using Step = QuantizedGemmTurn<kRow>;

constexpr int kThreads = num_threads(kRow);
constexpr int kTiles = kRow.tile_n / 16;
constexpr int kTogether = 2;                                 // tiles
constexpr int kTokens = kRow.tile_m / 8;                     // groups of eight rows of A
constexpr int kBlocksK = facts_of(kRow.format).bits / 4;     // packed tiles of k in a turn
constexpr int kStepBytes = kBlocksK * 4 * kPackedTileBytes;  // of 64 rows in memory
constexpr int kAhead = kRow.stages - 1;
constexpr u32 kA = sizeof(Step::codes), kScales = kA + sizeof(Step::a),
              kZeros = kScales + sizeof(Step::scales);
constexpr bool kFixed = facts_of(kRow.format).group != 0;

// What a loop asks for: scales of whole rows, which wait for the end, or of groups of k; their type where the
// format does not say it; zero points.
enum class Scaling { of_rows, bf16, f16, coded };
template <Scaling s, bool z>
struct Loop {
    static constexpr Scaling scaling = s;
    static constexpr bool zeros = z;
};

// Where a lane's parts of a turn of W come from and go to.
struct Copies {
    const unsigned char* codes;   // of this lane in the block's first tile, next turn
    u32 tile_offsets[kTiles];     // bytes from there to the same of each tile
    const unsigned char* scales;  // this lane's chunk of 16 bytes of group 0; null: none
    const unsigned char* zeros;
    int turn;  // that is copied next

    __device__ Copies(const QuantizedGemmArgs& args, Block block, int first_turn) : turn(first_turn) {
        const int lane = threadIdx.x % 32;
        const i32 first = block.n / 16, last64 = (args.gemm.n - 1) / kPackedRows, first64 = first / 4;
        const u32 bytes64 = static_cast<u32>((args.gemm.k + kPackedK - 1) / kPackedK) * kStepBytes;
        codes = codes_of(args, block.group) + i64{first64} * bytes64 + turn * kStepBytes + lane * 16;
        // Rows of W that do not exist are replaced by others.
#pragma unroll
        for (int t = 0; t < kTiles; ++t) {
            tile_offsets[t] = static_cast<u32>(min((first + t) / 4, last64) - first64) * bytes64 +
                              static_cast<u32>((first + t) % 4 * kPackedTileBytes);
        }
        const auto chunk = [&]<int bytes, int groups>(const void* base) -> const unsigned char* {
            constexpr int kOfGroup = kTiles * bytes;  // chunks
            static_assert(kOfGroup * groups <= 32);
            if (base == nullptr || lane >= kOfGroup * groups) return nullptr;
            const i32 tile = first + lane % kOfGroup / bytes;
            const i64 of_group = i64{min(tile / 4, last64)} * args.num_groups + lane / kOfGroup;
            return scales_of(args, block.group, base, bytes) +
                   (of_group * kPackedRows + tile % 4 * 16) * bytes + lane % bytes * 16;
        };
        scales = chunk.template operator() < kFixed ? 1 : 2, groups_a_step(kRow.format) > (args.scales);
        zeros = kFixed ? nullptr : chunk.template operator()<1, 1>(args.zeros);
    }

    template <bool early>
    __device__ static void copy_16(u32 to, const unsigned char* from) {
        // A policy keeps addresses from being uniform: only what comes before the wait has one.
        if constexpr (early) {
            ptx::cp_async_16(to, from, ptx::read_once_policy());
        } else {
            ptx::cp_async_16(to, from);
        }
    }

    // `here` is this lane's first chunk of a stage, in the shared window.
    template <class L, bool early>
    __device__ void copy(const QuantizedGemmArgs& args, u32 here) {
#pragma unroll
        for (int t = 0; t < kTiles; ++t) {
            const unsigned char* tile = codes + tile_offsets[t];
#pragma unroll
            for (int i = 0; i < kBlocksK; ++i) {
                copy_16<early>(here + (t * kBlocksK + i) * kPackedTileBytes, tile + i * 4 * kPackedTileBytes);
            }
        }
        if constexpr (L::scaling != Scaling::of_rows) {
            const u32 group = static_cast<u32>(turn) >> args.group_shift;
            if (scales != nullptr) {
                copy_16<early>(here + kScales, scales + u64{group} * static_cast<u32>(args.scale_step_bytes));
            }
            if (L::zeros && zeros != nullptr) {
                copy_16<early>(here + kZeros, zeros + u64{group} * kPackedRows);
            }
        }
        codes += kRow.warps_k * kStepBytes;
        turn += kRow.warps_k;
    }
};

// The same for A: of a lane's rows, eight of each 32 of k.
struct RowsOfA {
    const T* rows[kTokens];  // this lane's, at its first eight of the next turn
    u32 exists;              // bit t: rows[t]
    bool all_exist;          // every lane's
    int k;                   // of the next turn

    __device__ RowsOfA(const QuantizedGemmArgs& args, Block block, int turn)
        : exists(0), all_exist(block.end_m >= kRow.tile_m), k(turn * kPackedK) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
            const int row = t * 8 + lane / 4;
            if (row < block.end_m) exists |= 1u << t;
            rows[t] = static_cast<const T*>(args.gemm.a) + block.group * args.groups.a_stride +
                      row * args.gemm.a_stride + k + lane % 4 * 8;
        }
    }

    // Rows that do not exist are zeros from the start.
    __device__ void clear_missing(u32 here) const {
        if (all_exist) return;
#pragma unroll 1
        for (int stage = 0; stage < kRow.stages; ++stage, here += sizeof(Step)) {
#pragma unroll
            for (int i = 0; i < kTokens * 2; ++i) {
                if ((exists >> i / 2 & 1) == 0) ptx::store_shared(here + kA + i * 512, {});
            }
        }
    }

    __device__ void copy(const QuantizedGemmArgs& args, u32 stage) {
        const u32 here = stage + kA;
        if (all_exist && k + kPackedK <= args.gemm.k) {
#pragma unroll
            for (int i = 0; i < kTokens * 2; ++i) ptx::cp_async_16(here + i * 512, rows[i / 2] + i % 2 * 32);
        } else {
#pragma unroll
            for (int i = 0; i < kTokens * 2; ++i) {
                if ((exists >> i / 2 & 1) == 0) continue;
                // What does not exist is not read.
                const bool inside = k + i % 2 * 32 + static_cast<int>(threadIdx.x % 4) * 8 < args.gemm.k;
                ptx::cp_async_16(here + i * 512, rows[i / 2] + i % 2 * 32, inside ? 16 : 0);
            }
        }
        k += kRow.warps_k * kPackedK;
#pragma unroll
        for (int t = 0; t < kTokens; ++t) rows[t] += kRow.warps_k * kPackedK;
    }
};

using Sums = float[kTiles][kTokens][4];

// Words of a lane, of one turn of a tile.
struct Words {
    u32 v[4 * kBlocksK];

    __device__ void load(u32 from) {
#pragma unroll
        for (int i = 0; i < kBlocksK; ++i) {
            const U32x4 chunk = ptx::load_shared(from + i * kPackedTileBytes);
            v[4 * i] = chunk.x, v[4 * i + 1] = chunk.y, v[4 * i + 2] = chunk.z, v[4 * i + 3] = chunk.w;
        }
    }
};

// A lane's two scales of two bytes, which are neighbours.
template <class S>
__device__ inline Scales scale_pair(u32 from) {
    const u32 pair = ptx::load_shared_4(from);
    return {{ptx::low_float<S>(pair), ptx::high_float<S>(pair)}};
}

// `step` is the turn's address in the shared window; `tile` counts from the block's first.
template <class L>
__device__ inline void read_scales(TileScales<kRow, false>& scales, u32 step, int tile,
                                   const QuantizedGemmArgs& args) {
    const u32 row = tile * 16 + threadIdx.x / 4 % 8 * 2;
    if constexpr (L::scaling == Scaling::coded) {
        scales.read(step + kScales, 0, tile * 16, args);
    } else {
        scales.set_zeros();
        if constexpr (L::scaling == Scaling::bf16) {
            scales.scales[0] = scale_pair<Bf16>(step + kScales + row * 2);
        } else if constexpr (L::scaling == Scaling::f16) {
            scales.scales[0] = scale_pair<Half>(step + kScales + row * 2);
        }
        if constexpr (L::zeros) {
            const u32 zeros = ptx::load_shared_2(step + kZeros + row);
            scales.adjustment[0] = {
                {offset_of<kRow.format, T>(zeros & 0xff), offset_of<kRow.format, T>(zeros >> 8)}};
        }
    }
}

// Two tiles take turns, so that no product waits for the one before it.
template <class L>
__device__ inline void multiply(Sums& sums, u32 chunks, const QuantizedGemmArgs& args) {
    const u32 step = chunks - threadIdx.x % 32 * 16;
    U32x4 a[2][kTokens];
#pragma unroll
    for (int i = 0; i < kTokens * 2; ++i) a[i % 2][i / 2] = ptx::load_shared(chunks + kA + i * 512);
    Words words[2][kTogether];
    const auto load = [&](int first) {
#pragma unroll
        for (int i = 0; i < kTogether; ++i) {
            if (first + i >= kTiles) continue;
            words[first / kTogether % 2][i].load(chunks + (first + i) * kBlocksK * kPackedTileBytes);
        }
    };
    load(0);
#pragma unroll
    for (int first = 0; first < kTiles; first += kTogether) {
        load(first + kTogether);
        TileScales<kRow, false> scales[kTogether];
        float partial[kTogether][kTokens][4] = {};
#pragma unroll
        for (int i = 0; i < kTogether && first + i < kTiles; ++i) {
            read_scales<L>(scales[i], step, first + i, args);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int i = 0; i < kTogether && first + i < kTiles; ++i) {
                const u32* codes = words[first / kTogether % 2][i].v + j * kBlocksK;
                constexpr bool kWaits = L::scaling == Scaling::of_rows;
                multiply_sixteen<kRow, L::zeros, kTokens>(sums[first + i],
                                                          kWaits ? sums[first + i] : partial[i], codes,
                                                          a[j / 2], scales[i], j, !kWaits);
            }
        }
    }
}

template <class L>
__device__ inline void sum_up(Sums& sums, const QuantizedGemmArgs& args, Shared& shared, Block block) {
    const int first = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 ring = ptx::shared_address(&shared.ring[first][0]) + lane * 16;
    const u32 last = ring + kAhead * sizeof(Step);
    const int num_turns = (args.gemm.k + kPackedK - 1) / kPackedK;
    Copies copies(args, block, first);
    // Groups of copies end in their order: where all of the first ring's weights are asked for before the
    // wait, the first product waits for them all, and a block that comes later does without.
    const bool early =
        args.gemm.b_is_constant && blockIdx.x < static_cast<u32>(args.gemm.num_sms * kRow.blocks_per_sm);
    // Unrolled, since ptxas 13.0 makes LDGSTS with uniform registers that do not exist of an offset that is
    // uniform beside a cache policy: an illegal instruction when it runs.
    if (early) {
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
            if (copies.turn < num_turns) copies.copy<L, true>(args, ring + i * sizeof(Step));
        }
    }
    RowsOfA rows(args, block, first);
    rows.clear_missing(ring);
    ptx::wait_for_predecessor();
    ptx::release_successor();
    if (L::scaling == Scaling::of_rows && copies.scales != nullptr) {
        ptx::cp_async_16(ring + kScales, copies.scales);  // of all turns
    }
#pragma unroll 1
    for (u32 here = ring; here != last; here += sizeof(Step)) {
        if (rows.k < args.gemm.k) {
            if (!early) copies.copy<L, false>(args, here);
            rows.copy(args, here);
        }
        ptx::cp_async_commit();
    }
    u32 here = ring, free = last;
#pragma unroll 1
    for (int turn = first; turn < num_turns; turn += kRow.warps_k) {
        ptx::cp_async_wait<kAhead - 1>();
        __syncwarp();  // the turn has landed for all lanes, and all have read the one before
        if (copies.turn < num_turns) {
            copies.copy<L, false>(args, free);
            rows.copy(args, free);
        }
        ptx::cp_async_commit();
        multiply<L>(sums, here, args);
        free = here;
        here = here == last ? ring : here + sizeof(Step);
    }
    ptx::cp_async_wait<0>();
    if constexpr (L::scaling == Scaling::of_rows) {
        __syncwarp();
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            const u32 at = ring - lane * 16 + kScales + (tile * 16 + lane / 4 * 2) * 2;
            const Scales scales = args.scale == DType::bf16 ? scale_pair<Bf16>(at) : scale_pair<Half>(at);
#pragma unroll
            for (int i = 0; i < kTokens * 4; ++i) sums[tile][i / 4][i % 4] *= scales.of_row[i % 4 / 2];
        }
    }
}

__device__ inline void sum_up(Sums& sums, const QuantizedGemmArgs& args, Shared& shared, Block block) {
    if constexpr (kFixed) {
        sum_up<Loop<Scaling::coded, false>>(sums, args, shared, block);
    } else if (is_integer(kRow.format) && args.zeros != nullptr) {
        if (args.scale == DType::bf16) {
            sum_up<Loop<Scaling::bf16, is_integer(kRow.format)>>(sums, args, shared, block);
        } else {
            sum_up<Loop<Scaling::f16, is_integer(kRow.format)>>(sums, args, shared, block);
        }
    } else if (args.group_shift == 31) {
        sum_up<Loop<Scaling::of_rows, false>>(sums, args, shared, block);
    } else if (args.scale == DType::bf16) {
        sum_up<Loop<Scaling::bf16, false>>(sums, args, shared, block);
    } else {
        sum_up<Loop<Scaling::f16, false>>(sums, args, shared, block);
    }
}

// All rows of a group of rows are one block's.
__device__ inline Block wide_block(const QuantizedGemmArgs& args) {
    if (args.groups.kind != Grouping::none)
        return this_block<kRow.tile_m, kRow.tile_n>(args.gemm, args.groups);
    return {0, static_cast<i32>(blockIdx.x) * kRow.tile_n, args.gemm.m, 0};
}

// Eight columns of a row: the sums of the warps that shared out k, in a fixed order.
__device__ inline Eight sum_of(const Shared& shared, int m, int column, float scale) {
    Eight sum = {};
#pragma unroll
    for (int part = 0; part < kRow.warps_k; ++part) {
        const Eight& more = *reinterpret_cast<const Eight*>(&shared.partial[part][m][column]);
#pragma unroll
        for (int e = 0; e < 8; ++e) sum.v[e] += more.v[e];
    }
#pragma unroll
    for (int e = 0; e < 8; ++e) sum.v[e] *= scale;
    return sum;
}

__device__ inline void epilogue(Sums& sums, const QuantizedGemmArgs& args, Shared& shared) {
    // mma's row is a row of W, its column a row of A.
    const int warp = threadIdx.x / 32, group = threadIdx.x / 4 % 8, token = threadIdx.x % 4 * 2;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int i = 0; i < kTokens * 4; ++i) {
            shared.partial[warp][i / 4 * 8 + token + i % 2][tile * 16 + group + i % 4 / 2 * 8] =
                sums[tile][i / 4][i % 4];
        }
    }
    __syncthreads();
    Block block = wide_block(args);  // once more: nothing of it takes a register of the products
    enter_group(block, args.groups);
    GemmArgs gemm = args.gemm;
    move_results(gemm, args.groups, block.group);
    const float scale = last_scale<kRow>(args, block.group);
    // Sums as they are need little code, which is not there yet when a short kernel comes to its end.
    const bool plain = gemm.out_aligned && !gemm.out_f32 && gemm.bias == nullptr && gemm.gate == nullptr &&
                       gemm.residual == nullptr && gemm.activation == Activation::none;
    constexpr int kChunks = kRow.tile_n / 8;  // of eight columns
#pragma unroll 1
    for (int i = threadIdx.x; i < kRow.tile_m * kChunks; i += kThreads) {
        const int m = i % kRow.tile_m, column = i / kRow.tile_m * 8, n = block.n + column;
        if (m >= block.end_m) continue;
        const Eight sum = sum_of(shared, m, column, scale);
        if (plain && n + 8 <= gemm.n) {
            store_eight<T>(gemm.d, m * gemm.d_stride + n, sum);
        } else if (gemm.out_aligned && n + 8 <= gemm.n) {
            finish_eight<T>(gemm, m, n, sum);
        } else {
            float* kept = &shared.partial[0][m][column];  // read by this thread only
#pragma unroll
            for (int e = 0; e < 8; ++e) kept[e] = sum.v[e];
#pragma unroll 1
            for (int e = 0; e < 8 && n + e < gemm.n; ++e) finish_one<T>(gemm, m, n + e, kept[e]);
        }
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizedGemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    Block block = wide_block(args);
    wait_for_lists(args);
    if (!enter_group(block, args.groups)) return;
    Sums sums = {};
    sum_up(sums, args, shared, block);
    __syncthreads();  // rings become sums
    epilogue(sums, args, shared);
}
