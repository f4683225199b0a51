// SPDX-License-Identifier: Apache-2.0
// grouped_gemm for the choices of few tokens (decode): limited by reading the chosen groups' weights once.
//
//   block  slots: tile_n rows of one group's weights; sums: tile_n columns of D, of every chosen group's
//   choices  into shared memory: which groups are chosen, and by which choice of each token
//   warps  split (group, k): item i of tile_k belongs to warp i % warps_k
//   warp   a ring of `stages` items in registers, as gemm/bandwidth.cuh has it: operands go from memory to
//   mma
//          as they lie. Its tokens are mma's columns, each at a place of its own, zeros where it has not
//          chosen the group; sums of an item are added with the tokens' weights
//   block  adds the warps' sums in a fixed order, epilogue
//
// mma's 16 rows are rows of weights: gated, 8 of the gate and 8 of the others, of the same columns of D.
#include "kernels/gemm/blocks.cuh"
#include "kernels/gemm/epilogue.cuh"
#include "kernels/grouped_gemm/gated.cuh"
#include "kernels/grouped_gemm/rows.h"
#include "ptx/launch.cuh"
#include "ptx/mma.cuh"

namespace warpwright {

constexpr GroupedGemmRow kRow = sized<row_at(kGroupedGemmRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
using Shared = GroupedGemmShared<kRow>;

constexpr int kThreads = num_threads(kRow);
constexpr int kSlices = kRow.tile_k / 32;  // of an item; two make whole 128-byte lines
constexpr int kTilesB = kRow.tile_n / 16;  // of mma
constexpr int kTokens = kRow.tile_m / 8;   // groups of eight tokens
static_assert(kRow.warps_k * 32 == kThreads);

__device__ inline i32 load_choice(const GroupedGemmArgs& args, int slot) {
    return args.ids_are_constant ? ptx::load_constant_i32(args.ids + slot) : ptx::load_i32(args.ids + slot);
}

// Who chose what. Returns the number of chosen groups.
__device__ inline int read_choices(Shared& shared, const GroupedGemmArgs& args) {
    const int slots = args.gemm.m * args.top_k, lane = threadIdx.x % 32;
    if (threadIdx.x < kMostSlotGroups / 32) shared.chosen[threadIdx.x] = 0;
    for (int slot = threadIdx.x; slot < slots; slot += kThreads) {
        shared.ids[slot] = load_choice(args, slot);
        if (args.weights != nullptr) {
            shared.weights[slot] =
                __int_as_float(args.ids_are_constant
                                   ? ptx::load_constant_i32(reinterpret_cast<const i32*>(args.weights) + slot)
                                   : ptx::load_i32(reinterpret_cast<const i32*>(args.weights) + slot));
        }
        for (int token = 0; token < kRow.tile_m; ++token) shared.slot[slot][token] = kNoSlot;
    }
    __syncthreads();
    for (int slot = threadIdx.x; slot < slots; slot += kThreads) {
        const i32 id = shared.ids[slot];
        if (id >= 0 && id < args.groups.groups) atomicOr(&shared.chosen[id / 32], 1u << id % 32);
    }
    __syncthreads();
    // Groups in words before this lane's.
    const u32 word = shared.chosen[lane];
    int before = __popc(word);
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(~0u, before, step);
        if (lane >= step) before += other;
    }
    const int count = __shfl_sync(~0u, before, 31);
    before -= __popc(word);
    for (int first = threadIdx.x - lane; first < slots; first += kThreads) {
        const int slot = first + lane;
        const i32 id = slot < slots ? shared.ids[slot] : -1;
        const bool valid = id >= 0 && id < args.groups.groups;
        const int at = valid ? id / 32 : 0;
        const int rank = __shfl_sync(~0u, before, at) + __popc(shared.chosen[at] & ((1u << id % 32) - 1));
        const int token = slot / args.top_k;
        bool again = false;
        for (int earlier = token * args.top_k; earlier < slot && valid; ++earlier) {
            again |= shared.ids[earlier] == id;
        }
        if (!valid || again) continue;
        shared.groups[rank] = static_cast<u16>(id);
        shared.slot[rank][token] = static_cast<u16>(slot);
    }
    __syncthreads();
    return count;
}

// The rank-th group, where there are as many choices as groups, else that of choice `rank`, unless an earlier
// one is the same; and who chose it. Every warp finds out by itself, in the place of its number.
__device__ inline bool find_group(Shared& shared, const GroupedGemmArgs& args, int rank) {
    const int slots = args.gemm.m * args.top_k, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const bool by_group = slots >= args.groups.groups;
    i32 ids[kMostSlots / 32];
#pragma unroll
    for (int i = 0; i < kMostSlots / 32; ++i) {
        const int slot = i * 32 + lane;
        ids[i] = slot < slots ? load_choice(args, slot) : -1;
    }
    const i32 group = by_group ? rank : load_choice(args, rank);
    if (group < 0 || group >= args.groups.groups) return false;
    u16* slot_of = shared.slot[warp];
    if (lane < kRow.tile_m) slot_of[lane] = kNoSlot;
    if (lane == 0) shared.groups[warp] = static_cast<u16>(group);
    __syncwarp();
    int first = kMostSlots;
    // From the end, so that of a token's equal choices the first is what stays.
#pragma unroll
    for (int i = kMostSlots / 32 - 1; i >= 0; --i) {
        const u32 mine = __ballot_sync(~0u, ids[i] == group);
        if (mine == 0) continue;
        first = i * 32 + __ffs(mine) - 1;
        if (ids[i] == group) {
            const int slot = i * 32 + lane, token = slot / args.top_k;
            const u32 earlier = mine & ((1u << lane) - 1) & (~0u << max(token * args.top_k - i * 32, 0));
            if (earlier == 0) slot_of[token] = static_cast<u16>(slot);
        }
        __syncwarp();
    }
    return by_group ? first < kMostSlots : first == rank;
}

// A part of the (group, k) that a warp takes, in its order.
struct Item {
    int group;  // the n-th chosen one
    int step;   // of tile_k

    __device__ void advance(int num_steps) {
        step += kRow.warps_k;
        while (step >= num_steps) {
            step -= num_steps;
            ++group;
        }
    }
};

struct Slice {  // 32 of k
    U32x4 b[2 * kTilesB];
    U32x4 a[kTokens];
};
using Sums = float[kTilesB][kTokens][4];

struct Stream {
    const GroupedGemmArgs& args;
    const Shared& shared;
    i64 from_b[2 * kTilesB];  // elements from a group's weights to this lane's eight
    i64 to_gate;              // bytes from b to the gate's weights: of every second row
    int num_steps;

    __device__ Stream(const GroupedGemmArgs& arguments, const Shared& choices, i32 first_n)
        : args(arguments),
          shared(choices),
          num_steps(static_cast<int>(ceil_div(arguments.gemm.k, kRow.tile_k))) {
        const int row = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
        const bool gated = args.b_gate != nullptr;
        to_gate = gated ? static_cast<const char*>(args.b_gate) - static_cast<const char*>(args.gemm.b) : 0;
#pragma unroll
        for (int i = 0; i < 2 * kTilesB; ++i) {
            const i32 wanted = first_n + (gated ? i / 2 * 8 : i * 8) + row;
            from_b[i] = i64{min(wanted, args.gemm.n - 1)} * args.gemm.b_stride + member * 8;
        }
    }

    // Eight of k from here on are inside; k is a multiple of 8.
    __device__ bool inside(const Item& item, int slice) const {
        return item.step * kRow.tile_k + slice * 32 + static_cast<int>(threadIdx.x % 4) * 8 < args.gemm.k;
    }

    __device__ void load_b(Slice (&slices)[kSlices], const Item& item) const {
        const T* b = static_cast<const T*>(args.gemm.b) + shared.groups[item.group] * args.groups.b_stride +
                     item.step * kRow.tile_k;
#pragma unroll
        for (int i = 0; i < 2 * kTilesB; ++i) {
            const char* row = reinterpret_cast<const char*>(b + from_b[i]) + (i % 2 == 0 ? 0 : to_gate);
#pragma unroll
            for (int s = 0; s < kSlices; ++s) {
                slices[s].b[i] = inside(item, s) ? ptx::load_streaming(row + s * 64) : U32x4{};
            }
        }
    }

    __device__ void load_a(Slice (&slices)[kSlices], const Item& item) const {
#pragma unroll
        for (int j = 0; j < kTokens; ++j) {
            const int token = j * 8 + static_cast<int>(threadIdx.x) % 32 / 4;
            const u16 slot = shared.slot[item.group][token];
            const i64 row = args.a_of_slots ? slot : token;
            const T* from = static_cast<const T*>(args.gemm.a) + row * args.gemm.a_stride +
                            item.step * kRow.tile_k + threadIdx.x % 4 * 8;
#pragma unroll
            for (int s = 0; s < kSlices; ++s) {
                slices[s].a[j] = slot != kNoSlot && inside(item, s) ? ptx::load(from + s * 32) : U32x4{};
            }
        }
    }

    __device__ void multiply(Sums& sums, const Slice (&slices)[kSlices], const Item& item) const {
        float weights[kTokens][2];
#pragma unroll
        for (int j = 0; j < kTokens; ++j) {
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                const u16 slot = shared.slot[item.group][j * 8 + threadIdx.x % 4 * 2 + e];
                weights[j][e] = slot == kNoSlot ? 0 : args.weights == nullptr ? 1 : shared.weights[slot];
            }
        }
#pragma unroll
        for (int i = 0; i < kTilesB; ++i) {
#pragma unroll
            for (int j = 0; j < kTokens; ++j) {
                float sum[4] = {};
#pragma unroll
                for (int s = 0; s < kSlices; ++s) {
                    const U32x4 low = slices[s].b[2 * i], high = slices[s].b[2 * i + 1], a = slices[s].a[j];
                    ptx::mma<T>(sum, {low.x, high.x, low.y, high.y}, {a.x, a.y});
                    ptx::mma<T>(sum, {low.z, high.z, low.w, high.w}, {a.z, a.w});
                }
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    sums[i][j][e] = __fmaf_rn(weights[j][e % 2], sum[e], sums[i][j][e]);
                }
            }
        }
    }

    // All items of groups [first, first + count). The first of B are under way when the wait begins.
    template <class Wait>
    __device__ void run(Sums& sums, int first, int count, const Wait& wait) const {
        const int warp = threadIdx.x / 32, num_items = count * num_steps;
        Slice ring[kRow.stages][kSlices];
        Item next{first, warp - kRow.warps_k};
        next.advance(num_steps);
        Item oldest = next;
        int loaded = warp, done = warp;
        const auto load_first = [&](auto&& load) {
            Item item = oldest;
#pragma unroll
            for (int stage = 0; stage < kRow.stages; ++stage) {
                if (warp + stage * kRow.warps_k >= num_items) break;
                load(ring[stage], item);
                item.advance(num_steps);
            }
        };
        const auto first_of_b = [&](auto& slices, const Item& item) { load_b(slices, item); };
        if (args.gemm.b_is_constant) load_first(first_of_b);
        wait();
        if (!args.gemm.b_is_constant) load_first(first_of_b);
        load_first([&](auto& slices, const Item& item) { load_a(slices, item); });
#pragma unroll 1
        for (int stage = 0; stage < kRow.stages && loaded < num_items; ++stage) {
            next.advance(num_steps);
            loaded += kRow.warps_k;
        }
#pragma unroll 1
        while (done < num_items) {
#pragma unroll
            for (int stage = 0; stage < kRow.stages; ++stage) {
                if (done >= num_items) break;
                multiply(sums, ring[stage], oldest);
                oldest.advance(num_steps);
                done += kRow.warps_k;
                if (loaded >= num_items) continue;
                load_b(ring[stage], next);
                load_a(ring[stage], next);
                next.advance(num_steps);
                loaded += kRow.warps_k;
            }
        }
    }
};

// What the biases of a token's choices add to a column.
__device__ inline float weighted_bias(const Shared& shared, const GroupedGemmArgs& args, int token,
                                      i32 column) {
    float sum = 0;
    for (int slot = token * args.top_k; slot < (token + 1) * args.top_k; ++slot) {
        const i32 id = shared.ids[slot];
        if (id < 0 || id >= args.groups.groups) continue;
        bool again = false;
        for (int earlier = token * args.top_k; earlier < slot; ++earlier) again |= shared.ids[earlier] == id;
        if (again) continue;
        const T* bias = static_cast<const T*>(args.gemm.bias) + id * args.groups.bias_stride;
        sum = __fmaf_rn(shared.weights[slot], ptx::to_float(bias[column]), sum);
    }
    return sum;
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::GroupedGemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(16) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    const bool gated = args.b_gate != nullptr, sums_tokens = args.weights != nullptr;
    const i32 columns = gated ? kRow.tile_n / 2 : kRow.tile_n;
    const i32 blocks_n = (args.gemm.n + columns - 1) / columns;
    const int rank = static_cast<int>(blockIdx.x) / blocks_n;  // of the block's group
    const i32 first_n = static_cast<i32>(blockIdx.x) % blocks_n * columns;

    const auto wait = [] {
        ptx::wait_for_predecessor();
        ptx::release_successor();
    };
    if (!args.ids_are_constant) wait();
    // Where their places in shared memory are, and how many.
    const int first = sums_tokens ? 0 : static_cast<int>(threadIdx.x) / 32;
    const int num_groups = sums_tokens ? read_choices(shared, args) : find_group(shared, args, rank) ? 1 : 0;

    Sums sums = {};
    Stream(args, shared, first_n).run(sums, first, num_groups, [&] {
        if (args.ids_are_constant) wait();
    });
    if (!sums_tokens && num_groups == 0) return;

    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int row = lane / 4, token_of_lane = lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < kTilesB; ++i) {
#pragma unroll
        for (int j = 0; j < kTokens; ++j) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                shared.partial[warp][j * 8 + token_of_lane + e % 2][i * 16 + e / 2 * 8 + row] = sums[i][j][e];
            }
        }
    }
    __syncthreads();
    GemmArgs gemm = args.gemm;
    const i32 group = sums_tokens ? 0 : shared.groups[first];
    if (!sums_tokens) gemm.bias = moved(gemm.bias, group * args.groups.bias_stride, 2);
    for (int i = threadIdx.x; i < kRow.tile_m * columns; i += kThreads) {
        const int token = i / columns, at = i % columns;
        const i32 column = first_n + at;
        if (token >= gemm.m || column >= gemm.n) continue;
        const auto sum_of = [&](int place) {
            float sum = 0;
#pragma unroll
            for (int part = 0; part < kRow.warps_k; ++part) sum += shared.partial[part][token][place];
            return sum;
        };
        if (sums_tokens) {
            GemmArgs plain = gemm;
            plain.bias = nullptr;
            const float bias = gemm.bias == nullptr ? 0 : weighted_bias(shared, args, token, column);
            finish_one<T>(plain, token, column, sum_of(at) + bias);
            continue;
        }
        const u16 slot = shared.slot[first][token];
        if (slot == kNoSlot) continue;
        if (!gated) {
            finish_one<T>(gemm, slot, column, sum_of(at));
            continue;
        }
        const int place = at / 8 * 16 + at % 8;
        const void* gate_bias = moved(args.gate_bias, group * args.groups.bias_stride, 2);
        GemmArgs plain = gemm;
        plain.bias = nullptr;
        plain.activation = Activation::none;
        finish_one<T>(plain, slot, column,
                      gated_value<T>(args, sum_of(place + 8), sum_of(place), gate_bias, gemm.bias, column));
    }
}
