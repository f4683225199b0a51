// SPDX-License-Identifier: Apache-2.0
// Combination, portable. Limited by memory: every row is read once, 16 bytes a thread.
//
//   block = a chunk of one token        places and weights | rows, eight at a time | fp32 sums in their order
#include "kernels/moe/combine/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"

namespace warpwright {

constexpr MoeCombineRow kRow = row_at(kMoeCombineRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
constexpr int kElements = elements_per_thread(kRow);
constexpr int kLoads = 8;  // rows that are under way at once

// Of a token's choices from `first` on. -1: no row.
struct Places {
    i32 row[kLoads];
    float weight[kLoads];

    __device__ Places(const MoeCombineArgs& args, i64 token, int first) {
        const i32* rows = args.row_of_slot + token * args.top_k;
        const i32* weights = reinterpret_cast<const i32*>(args.weights) + token * args.top_k;
        const auto read = [&](const i32* from) {
            return args.places_are_constant ? ptx::load_constant_i32(from) : ptx::load_i32(from);
        };
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const bool exists = first + i < args.top_k;
            row[i] = exists ? read(rows + first + i) : -1;
            weight[i] = exists ? __int_as_float(read(weights + first + i)) : 0;
        }
    }
};

// What a thread has of a row: eight elements, or the low half of x.
__device__ inline U32x4 load_piece(const void* rows, i64 index) {
    const T* address = static_cast<const T*>(rows) + index;
    if constexpr (kRow.vectors) {
        return ptx::load(address);
    } else {
        return {address->bits, 0, 0, 0};
    }
}

__device__ inline void add_scaled(float (&sums)[kElements], U32x4 piece, float weight) {
    const u32 words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
        const u32 word = words[i / 2];
        const float value = i % 2 == 0 ? ptx::low_float<T>(word) : ptx::high_float<T>(word);
        sums[i] = __fmaf_rn(weight, value, sums[i]);
    }
}

__device__ inline void combine(const MoeCombineArgs& args, i64 token, int column, Places places) {
    float sums[kElements] = {};
    if (args.base != nullptr) add_scaled(sums, load_piece(args.base, token * args.base_stride + column), 1);
    for (int first = 0; first < args.top_k; first += kLoads) {
        if (first > 0) places = Places(args, token, first);
        U32x4 pieces[kLoads];
        bool exists[kLoads];
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            const i32 row = places.row[i];
            exists[i] = row >= 0 && row < args.num_rows;
            if (exists[i]) pieces[i] = load_piece(args.rows, row * args.rows_stride + column);
        }
#pragma unroll
        for (int i = 0; i < kLoads; ++i) {
            if (exists[i]) add_scaled(sums, pieces[i], places.weight[i]);
        }
    }
    T* out = static_cast<T*>(args.out) + token * args.out_stride + column;
    if constexpr (kRow.vectors) {
        ptx::store(out, {ptx::pack<T>(sums[0], sums[1]), ptx::pack<T>(sums[2], sums[3]),
                         ptx::pack<T>(sums[4], sums[5]), ptx::pack<T>(sums[6], sums[7])});
    } else {
        *out = ptx::from_float<T>(sums[0]);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::MoeCombineArgs args) {
    using namespace warpwright;
    ptx::release_successor();
    const int column =
        (static_cast<int>(blockIdx.y) * kRow.threads + static_cast<int>(threadIdx.x)) * kElements;
    const auto wait = [] { ptx::wait_for_predecessor(); };
    if (!args.places_are_constant) wait();
    const Places places(args, blockIdx.x, 0);
    if (args.places_are_constant) wait();
    if (column < args.width) combine(args, blockIdx.x, column, places);
}
