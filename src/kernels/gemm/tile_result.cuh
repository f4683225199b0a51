// SPDX-License-Identifier: Apache-2.0
// Sums of a block of tile_ring.cuh on their way from mma's registers to whoever finishes them: 16 rows of
// every warp at a time through shared memory, and then a lane owns eight columns of a row.
#pragma once

#include "kernels/gemm/tile_ring.cuh"

namespace warpwright {

template <TileShape S, class Sum>
struct TileResult {
    using Ring = TileRing<S>;
    struct alignas(8) Pair {
        Sum v[2];
    };
    struct alignas(16) Eight {
        Sum v[8];
    };
    using Sums = Sum[Ring::kTilesM][Ring::kTilesN][4];
    using Shared = Sum[Ring::kWarps][16][S.warp_n + 8];  // + 8: no bank conflicts

    // Eight columns of a row of a warp's 16 rows: the sums of the warps that shared out k, in a fixed order.
    __device__ static Eight sum_of(const Shared& shared, int place, int row, int column) {
        Eight sum = *reinterpret_cast<const Eight*>(&shared[place][row][column]);
#pragma unroll
        for (int part = 1; part < S.warps_k; ++part) {
            const Sum* from = &shared[place + part * Ring::kWarpsMN][row][column];
            const Eight more = *reinterpret_cast<const Eight*>(from);
#pragma unroll
            for (int e = 0; e < 8; ++e) sum.v[e] += more.v[e];
        }
        return sum;
    }

    __device__ static void wait_for_parts() {
        if constexpr (S.warps_k > 1) {
            __syncthreads();
        } else {
            __syncwarp();
        }
    }

    // finish(m, n, sums, kept): D[m, n .. n + 7] for every row and every eight columns of the block that
    // begin inside D; `kept` is shared memory of eight sums that only this lane uses.
    // pairs: the second half of a warp's columns are others for the same columns of D, for
    // finish(m, n, sums, second sums, kept).
    template <bool pairs = false, class Finish>
    __device__ static void each_eight(const Sums& sums, Shared& shared, const Block& block, i64 end_n,
                                      const Finish& finish) {
        constexpr int kColumns = pairs ? S.warp_n / 2 : S.warp_n;  // of D, a warp's
        constexpr int kChunks = kColumns / 8;                      // of eight
        constexpr int kLanes = 32 * S.warps_k;                     // that share out 16 rows
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, place = warp % Ring::kWarpsMN;
        const int first_chunk = warp / Ring::kWarpsMN * 32 + lane;
        const i64 first_m = block.m + place / Ring::kWarpsN * S.warp_m;
        const i64 first_n = block.n + place % Ring::kWarpsN * kColumns;
#pragma unroll 1
        for (int i = 0; i < Ring::kTilesM; ++i) {
#pragma unroll
            for (int tile = 0; tile < Ring::kTilesM; ++tile) {
                if (tile != i) continue;  // registers have no index: one copy of the stores for each i
#pragma unroll
                for (int j = 0; j < Ring::kTilesN; ++j) {
                    const int column = j * 8 + lane % 4 * 2;
                    const Sum(&d)[4] = sums[tile][j];
                    *reinterpret_cast<Pair*>(&shared[warp][lane / 4][column]) = {d[0], d[1]};
                    *reinterpret_cast<Pair*>(&shared[warp][lane / 4 + 8][column]) = {d[2], d[3]};
                }
            }
            wait_for_parts();
#pragma unroll 1
            for (int chunk = first_chunk; chunk < 16 * kChunks; chunk += kLanes) {
                const int row = chunk / kChunks, column = chunk % kChunks * 8;
                const i64 m = first_m + i * 16 + row, n = first_n + column;
                if (m >= block.end_m) break;
                if (n >= end_n) continue;
                if constexpr (pairs) {
                    finish(m, n, sum_of(shared, place, row, column),
                           sum_of(shared, place, row, column + kColumns), &shared[place][row][column]);
                } else {
                    finish(m, n, sum_of(shared, place, row, column), &shared[place][row][column]);
                }
            }
            wait_for_parts();
        }
    }
};

}  // namespace warpwright
