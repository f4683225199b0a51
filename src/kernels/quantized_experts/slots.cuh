// SPDX-License-Identifier: Apache-2.0
// quantized_experts: limited by reading the chosen experts' packed weights once, as
// quantized_gemm/stream.cuh, whose schedule this is.
//
//   block = tile_n rows of one expert's weights, for eight of its tokens at a time. Every warp finds out by
//           itself whose they are, from at most kMostChoices ids
//   warps   share out k: step i of 64 belongs to warp i % warps_k
//   warp    a ring of `stages` steps of its own in shared memory: cp.async, stages - 1 ahead, no barrier of
//           the block; codes become mma's A operand (weights.cuh), tokens are columns of its B operand
//   block   adds the warps' sums in a fixed order, epilogue
//
// Gated, tiles of 16 rows of weights are by turns the gate's and the others', of the same columns of D.
#include "kernels/gemm/epilogue.cuh"
#include "kernels/quantized_experts/rows.h"
#include "kernels/quantized_gemm/weights.cuh"
#include "ptx/cp_async.cuh"
#include "ptx/launch.cuh"
#include "ptx/ldmatrix.cuh"
#include "tile/gate.cuh"

namespace warpwright {

constexpr QuantizedGemmRow kRow = sized_experts<row_at(kQuantizedExpertsRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
using Shared = QuantizedExpertsShared<kRow>;
using Step = QuantizedGemmStep<kRow>;
using Args = QuantizedExpertsArgs;

constexpr int kThreads = num_threads(kRow);
constexpr int kTiles = kRow.tile_n / 16;
constexpr int kBlocksK = facts_of(kRow.format).bits / 4;     // packed tiles of k in a step
constexpr int kStepBytes = kBlocksK * 4 * kPackedTileBytes;  // of 64 rows in memory
constexpr int kAhead = kRow.stages - 1;
// Where the parts of a step begin.
constexpr u32 kA = sizeof(Step::codes), kScales = kA + sizeof(Step::a),
              kZeros = kScales + sizeof(Step::scales);
static_assert(kRow.tile_m == 8 && kTiles % 2 == 0 && kPackedRows % kRow.tile_n == 0);
static_assert(kRow.warps_k * 32 == kThreads);

// A block's expert, and how many choices of it there are; none: 0.
struct Expert {
    i32 group;
    int count;
};

// The rank-th expert, where there are as many choices, else that of choice `rank`, unless an earlier one is
// the same. Its choices go into the warp's list, in their order.
__device__ inline Expert find_expert(Shared& shared, const Args& args, int rank) {
    const int slots = args.gemm.m * args.top_k, lane = threadIdx.x % 32;
    const auto choice = [&](int slot) {
        return args.ids_are_constant ? ptx::load_constant_i32(args.ids + slot)
                                     : ptx::load_i32(args.ids + slot);
    };
    const bool by_group = slots >= args.groups.groups;
    i32 ids[kMostChoices / 32];
#pragma unroll
    for (int i = 0; i < kMostChoices / 32; ++i) {
        const int slot = i * 32 + lane;
        ids[i] = slot < slots ? choice(slot) : -1;
    }
    const i32 group = by_group ? rank : choice(rank);
    if (group < 0 || group >= args.groups.groups) return {0, 0};
    u16* list = shared.list[threadIdx.x / 32];
    int count = 0;
    bool first = true;
#pragma unroll
    for (int i = 0; i < kMostChoices / 32; ++i) {
        const u32 mine = __ballot_sync(~0u, ids[i] == group);
        if (ids[i] == group) {
            list[count + __popc(mine & ((1u << lane) - 1))] = static_cast<u16>(i * 32 + lane);
        }
        count += __popc(mine);
    }
    __syncwarp();
    if (!by_group && count > 0) first = list[0] == rank;
    return {group, first ? count : 0};
}

// For moe_combine of D, whose rows lie by choices: -1 where there is none.
__device__ inline void write_rows(const Args& args) {
    for (int slot = threadIdx.x; slot < args.gemm.m * args.top_k; slot += kThreads) {
        const i32 id = ptx::load_i32(args.ids + slot);
        args.row_of_slot[slot] = id >= 0 && id < args.groups.groups ? slot : -1;
    }
}

using Sums = float[kTiles][1][4];

// Where a lane's parts of a step come from and go to.
struct Copies {
    const unsigned char* codes;  // of the block's first tile, step 0
    i64 to_second;  // bytes from there to those of its second tile; gated: to the others' weights
    u32 to_third;
    const unsigned char* scales;  // this lane's chunk of 16 bytes; null: none
    const unsigned char* zeros;
    const T* a;   // k of step 0 of this lane's token, at this lane's eight
    bool exists;  // the token
    u32 ring;     // this warp's, in the shared window

    __device__ Copies(const Args& args, Shared& shared, const Expert& expert, int first_choice, i32 first_n) {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = first_n % kPackedRows;
        const i64 rows64 = first_n / kPackedRows, num_steps = ceil_div(args.gemm.k, kPackedK);
        const bool gated = args.gate_codes != nullptr;
        const unsigned char* b = static_cast<const unsigned char*>(args.gemm.b);
        const unsigned char* first = gated ? static_cast<const unsigned char*>(args.gate_codes) : b;
        codes = first + expert.group * args.groups.b_stride + rows64 * num_steps * kStepBytes +
                row / 16 * kPackedTileBytes + lane * 16;
        to_second = gated ? b - first : kPackedTileBytes;
        to_third = gated ? kPackedTileBytes : 2 * kPackedTileBytes;
        const auto chunk = [&](const void* others, const void* gate, int bytes) -> const unsigned char* {
            const int per_group = kTiles * bytes;  // chunks
            const int num_groups = args.halves ? 2 : groups_a_step(kRow.format);
            if (others == nullptr || lane >= per_group * num_groups) return nullptr;
            const int tile = lane % per_group / bytes, inside = lane % bytes;
            const void* base = gated && tile % 2 == 0 ? gate : others;
            const i64 of_group = rows64 * args.num_groups + lane / per_group;
            return scales_of(args, expert.group, base, bytes) +
                   (of_group * kPackedRows + row + (gated ? tile / 2 : tile) * 16) * bytes + inside * 16;
        };
        scales = chunk(args.scales, args.gate_scales, args.scale_bytes);
        zeros = chunk(args.zeros, args.gate_zeros, 1);
        const int place = first_choice + lane / 4;
        exists = place < expert.count;
        const int slot = exists ? shared.list[warp][place] : 0;
        a = static_cast<const T*>(args.gemm.a) +
            (args.a_of_slots ? slot : slot / args.top_k) * args.gemm.a_stride + lane % 4 * 8;
        ring = ptx::shared_address(&shared.ring[warp][0]);
    }

    __device__ void copy_weights(const Args& args, int stage, int step) const {
        const u64 policy = ptx::read_once_policy();
        const u32 to = ring + stage * static_cast<u32>(sizeof(Step)) + threadIdx.x % 32 * 16;
        const unsigned char* from = codes + i64{step} * kStepBytes;
#pragma unroll
        for (int i = 0; i < kBlocksK; ++i) {
#pragma unroll
            for (int t = 0; t < kTiles; ++t) {
                const i64 tile = (t % 2 == 0 ? 0 : to_second) + t / 2 * to_third;
                ptx::cp_async_16(to + (i * kTiles + t) * kPackedTileBytes,
                                 from + i * 4 * kPackedTileBytes + tile, policy);
            }
        }
        const i64 group = step >> args.group_shift;
        if (scales != nullptr) ptx::cp_async_16(to + kScales, scales + group * args.scale_step_bytes, policy);
        if (zeros != nullptr) {
            ptx::cp_async_16(to + kZeros, zeros + group * (args.halves ? 2 * kPackedRows : kPackedRows),
                             policy);
        }
    }
    __device__ void copy_a(const Args& args, int stage, int step) const {
        const int lane = threadIdx.x % 32, k = step * kPackedK + lane % 4 * 8;
        const u32 to = ring + stage * static_cast<u32>(sizeof(Step)) + kA + lane * 16;
        if (!exists) return;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            // What does not exist is not read.
            const bool inside = k + half * 32 < args.gemm.k;
            ptx::cp_async_16(to + half * 512, inside ? a + step * kPackedK + half * 32 : a, inside ? 16 : 0);
        }
    }
};

// `address` is the step's in the shared window. Tiles take turns, so that no product waits for the one before
// it.
template <bool general>
__device__ inline void multiply(Sums& sums, const Step& step, u32 address, const Args& args) {
    const int lane = threadIdx.x % 32;
    const U32x4* chunks = reinterpret_cast<const U32x4*>(step.a) + lane;
    const U32x4* codes = reinterpret_cast<const U32x4*>(step.codes) + lane;
    const U32x4 a[2][1] = {{chunks[0]}, {chunks[32]}};
    u32 words[kTiles][4 * kBlocksK];
    TileScales<kRow, general> scales[kTiles];
    float partial[kTiles][1][4] = {};
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int i = 0; i < kBlocksK; ++i) {
            const U32x4 chunk = codes[(i * kTiles + tile) * 32];
            words[tile][4 * i] = chunk.x, words[tile][4 * i + 1] = chunk.y;
            words[tile][4 * i + 2] = chunk.z, words[tile][4 * i + 3] = chunk.w;
        }
        scales[tile].read(address + kScales, address + kZeros, tile * 16, args);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            multiply_sixteen<kRow, general, 1>(sums[tile], partial[tile], words[tile] + i * kBlocksK,
                                               a[i / 2], scales[tile], i);
        }
    }
}

// Step `i` of a warp.
__device__ inline int step_of(int i) {
    return static_cast<int>(threadIdx.x) / 32 + i * kRow.warps_k;
}

template <bool general>
__device__ inline void main_loop(Sums& sums, const Args& args, const Copies& copies, Shared& shared) {
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK)), warp = threadIdx.x / 32;
    int stage = 0;
#pragma unroll 1
    for (int i = 0; step_of(i) < num_steps; ++i) {
        ptx::cp_async_wait<kAhead - 1>();
        __syncwarp();  // the step has landed for all lanes, and all have read the one before
        const int next = step_of(i + kAhead), to = stage == 0 ? kAhead : stage - 1;
        if (next < num_steps) {
            copies.copy_weights(args, to, next);
            copies.copy_a(args, to, next);
        }
        ptx::cp_async_commit();
        multiply<general>(sums, shared.ring[warp][stage],
                          copies.ring + stage * static_cast<u32>(sizeof(Step)), args);
        stage = stage == kAhead ? 0 : stage + 1;
    }
}

// All of k. `wait` is called behind the first weights, where these are `early`.
template <class Wait>
__device__ inline void stream(Sums& sums, const Args& args, const Copies& copies, Shared& shared, bool early,
                              const Wait& wait) {
    const int num_steps = static_cast<int>(ceil_div(args.gemm.k, kPackedK));
    const auto copy_first_weights = [&](int i) {
        if (step_of(i) < num_steps) copies.copy_weights(args, i, step_of(i));
    };
    if (early) {
        for (int i = 0; i < kAhead; ++i) copy_first_weights(i);
    }
    if (!copies.exists) {
        for (int i = 0; i < kRow.stages * 2; ++i) {
            U32x4* chunks = reinterpret_cast<U32x4*>(shared.ring[threadIdx.x / 32][i / 2].a);
            chunks[i % 2 * 32 + threadIdx.x % 32] = {};
        }
    }
    wait();
    for (int i = 0; i < kAhead; ++i) {
        if (!early) copy_first_weights(i);
        if (step_of(i) < num_steps) copies.copy_a(args, i, step_of(i));
        ptx::cp_async_commit();
    }
    if (is_general(args)) {
        main_loop<true>(sums, args, copies, shared);
    } else {
        main_loop<false>(sums, args, copies, shared);
    }
    ptx::cp_async_wait<0>();
}

// What is left to multiply the gate's finished sums by.
__device__ inline float gate_scale(const Args& args, i32 group) {
    QuantizedGemmArgs gate = args;
    gate.global_scales = args.gate_global_scales;
    gate.global_scale = args.gate_global_scale;
    return last_scale<kRow>(gate, group);
}

// A block's sums of choices from `first_choice` on to D.
__device__ inline void finish(const Args& args, Shared& shared, const Sums& sums, const Expert& expert,
                              int first_choice, i32 first_n) {
    const bool gated = args.gate_codes != nullptr;
    const i32 columns = gated ? kRow.tile_n / 2 : kRow.tile_n;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int row = lane / 4, place_of_lane = lane % 4 * 2;
    __syncthreads();  // rings become sums
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            shared.partial[warp][place_of_lane + e % 2][tile * 16 + e / 2 * 8 + row] = sums[tile][0][e];
        }
    }
    __syncthreads();
    GemmArgs plain = args.gemm;
    plain.bias = nullptr;
    plain.activation = Activation::none;
    const float scale = last_scale<kRow>(args, expert.group);
    const float scale_of_gate = gated ? gate_scale(args, expert.group) : 1;
    for (int i = threadIdx.x; i < kRow.tile_m * columns; i += kThreads) {
        const int place = i / columns, at = i % columns;
        const i32 column = first_n + at;
        if (column >= args.gemm.n || first_choice + place >= expert.count) continue;
        const auto sum_of = [&](int from) {
            float sum = 0;
#pragma unroll
            for (int part = 0; part < kRow.warps_k; ++part) sum += shared.partial[part][place][from];
            return sum;
        };
        const auto bias_of = [&](const void* bias) {
            const i64 index = expert.group * args.groups.bias_stride + column;
            return bias == nullptr ? 0 : ptx::to_float(static_cast<const T*>(bias)[index]);
        };
        const int from = gated ? at / 16 * 32 + 16 + at % 16 : at;
        float value = __fmaf_rn(sum_of(from), scale, bias_of(args.gemm.bias));
        if (gated) {
            const float gate = __fmaf_rn(sum_of(from - 16), scale_of_gate, bias_of(args.gate_bias));
            value = warpwright::gated(args.gate, args.gemm.activation, gate, value);
        } else {
            value = activate(args.gemm.activation, value);
        }
        finish_one<T>(plain, shared.list[warp][first_choice + place], column, value);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizedExpertsArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    const i32 columns = args.gate_codes != nullptr ? kRow.tile_n / 2 : kRow.tile_n;
    const i32 blocks_n = (args.gemm.n + columns - 1) / columns;
    const int rank = static_cast<int>(blockIdx.x) / blocks_n;
    const i32 first_n = static_cast<i32>(blockIdx.x) % blocks_n * columns;

    bool waited = false;
    const auto wait = [&] {
        if (waited) return;
        ptx::wait_for_predecessor();
        ptx::release_successor();
        waited = true;
    };
    if (!args.ids_are_constant) wait();
    const Expert expert = find_expert(shared, args, rank);
    if (args.row_of_slot != nullptr && blockIdx.x == 0) {
        wait();
        write_rows(args);
    }
    for (int first = 0; first < expert.count; first += kRow.tile_m) {
        if (first > 0) __syncthreads();  // sums become rings
        const bool early = args.ids_are_constant && args.gemm.b_is_constant && !waited;
        const Copies copies(args, shared, expert, first, first_n);
        Sums sums = {};
        stream(sums, args, copies, shared, early, wait);
        finish(args, shared, sums, expert, first, first_n);
    }
    wait();
}
