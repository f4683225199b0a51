// SPDX-License-Identifier: Apache-2.0
// Fragments of 8-bit codes to sums: the multipliers of rows.h, and scales of a part of k.
#pragma once

#include "kernels/gemm/tile_result.cuh"
#include "kernels/scaled_gemm/rows.h"
#include "ptx/fp8.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"
#include "ptx/mma_8bit.cuh"
#include "ptx/opaque.cuh"

namespace warpwright {

template <ScaledGemmRow R>
constexpr TileShape kTileShape{.tile_m = R.tile_m,
                               .tile_n = R.tile_n,
                               .row_bytes = R.tile_k,
                               .warp_m = R.warp_m,
                               .warp_n = R.warp_n,
                               .stages = R.stages,
                               .warps_k = R.warps_k,
                               .blocks_per_sm = R.blocks_per_sm,
                               .element_bytes = 1,
                               .aligned = R.aligned};

// Four e4m3 of a word as two pairs of f16. Which of the four make a pair is free, as long as A and B agree.
struct Halves {
    u32 first, second;
};

template <Multiplier multiplier>
__device__ inline Halves halves_of(u32 word) {
    if constexpr (multiplier == Multiplier::cvt) {
        return {ptx::unpack_e4m3(word), ptx::unpack_e4m3(word >> 16)};
    } else {
        // The places of f16 have a bias of 15, and e4m3's is 7: numbers times 2^-8, subnormal ones as well.
        const auto moved = [](u32 high_bytes) {
            const u32 magnitude = high_bytes >> 1 & 0x3f803f80u;
            const u32 nan = magnitude + 0x00800080u & 0x40004000u;  // set where all seven bits are
            return (high_bytes & 0x80008000u) | magnitude | nan;
        };
        return {moved(word << 8), moved(word)};
    }
}
// What sums of such products are too small by.
template <Multiplier multiplier>
constexpr float kUnscale = multiplier == Multiplier::bits ? 0x1p16f : 1.0f;

// Scales of a part of k, which a lane's sums of it are multiplied by: of its rows and columns of mma's D.
template <ScaledGemmRow R, Scaling scaling = R.scaling>
struct PartScales {
    __device__ void begin(const ScaledGemmArgs&, const Block&) {}
    __device__ void begin_tile(const ScaledGemmArgs&, const Block&, int) {}
    __device__ float operator()(int, int, int, int) const { return 1; }
};

// Of row `row`, or of the last below `end_row`. Worked out where it is needed: kept for all rows of a lane,
// addresses would take the registers of a loop.
__device__ inline const char* scale_address(const ScaleArgs& scale, int element_bytes, i32 group, i32 row,
                                            i32 end_row, int part) {
    const i64 there = ptx::opaque(row < end_row ? row : end_row - 1);
    const i64 index = group * scale.group_stride + there * scale.row_stride + part * scale.k_stride;
    return static_cast<const char*>(scale.data) + index * element_bytes;
}

// First of a lane's rows and columns.
template <ScaledGemmRow R>
__device__ inline i32 first_row(const Block& block) {
    using Ring = TileRing<kTileShape<R>>;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % Ring::kWarpsMN;
    return block.m + warp / Ring::kWarpsN * R.warp_m + lane / 4;
}
template <ScaledGemmRow R>
__device__ inline i32 first_column(const Block& block) {
    using Ring = TileRing<kTileShape<R>>;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % Ring::kWarpsMN;
    return block.n + warp % Ring::kWarpsN * R.warp_n + lane % 4 * 2;
}

// Loaded when a tile begins, needed when it ends.
template <ScaledGemmRow R>
struct PartScales<R, Scaling::blocks> {
    using Ring = TileRing<kTileShape<R>>;
    static constexpr int kPart = 128, kShare = R.tile_k / R.warps_k;  // of a tile, a warp's
    static_assert(kPart % kShare == 0 && R.tile_n <= kScaleRowsOfB);

    float a[Ring::kTilesM][2], b;

    __device__ void begin(const ScaledGemmArgs&, const Block&) {}
    __device__ void begin_tile(const ScaledGemmArgs& args, const Block& block, int tile) {
        const int k = tile * R.tile_k + static_cast<int>(threadIdx.x) / 32 / Ring::kWarpsMN * kShare;
        const int part = (k < args.gemm.k ? k : args.gemm.k - 1) / kPart;
        const auto read = [](const char* address) {
            return __int_as_float(ptx::load_i32(reinterpret_cast<const i32*>(address)));
        };
#pragma unroll
        for (int i = 0; i < Ring::kTilesM; ++i) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                a[i][half] = read(scale_address(args.a_scale, 4, block.group,
                                                first_row<R>(block) + i * 16 + half * 8, block.end_m, part));
            }
        }
        b = read(scale_address(args.b_scale, 4, block.group, block.n / kScaleRowsOfB, args.gemm.n, part));
    }
    __device__ float operator()(int, int i, int, int e) const {
        return a[i][e / 2] * b;
    }
};

// 2^(code - 127), of which code 0 is subnormal; 255 is NaN.
__device__ inline float e8m0_to_float(u32 code) {
    return __uint_as_float(code == 0 ? 0x00400000u : code == 255 ? 0x7fc00000u : code << 23);
}

// Needed from a tile's first products on: loaded a tile ahead.
template <ScaledGemmRow R>
struct PartScales<R, Scaling::mx> {
    using Ring = TileRing<kTileShape<R>>;
    static constexpr int kPart = 32, kParts = 4;  // of a tile
    static_assert(R.tile_k == kPart * kParts && R.warps_k == 1);

    struct Words {  // kParts codes
        u32 a[Ring::kTilesM][2], b[Ring::kTilesN][2];
    };
    Words now, next;

    __device__ void begin(const ScaledGemmArgs& args, const Block& block) { load(args, block, 0); }
    __device__ void begin_tile(const ScaledGemmArgs& args, const Block& block, int tile) {
        now = next;
        load(args, block, tile + 1);
    }
    __device__ void load(const ScaledGemmArgs& args, const Block& block, int tile) {
        const int first = tile * kParts, num_parts = (args.gemm.k + kPart - 1) / kPart;
        const auto read = [&](const ScaleArgs& scale, i32 row, i32 end_row) {
            if (args.scale_words) {
                const int part = first < num_parts ? first : num_parts - kParts;
                const char* address = scale_address(scale, 1, block.group, row, end_row, part);
                return static_cast<u32>(ptx::load_i32(reinterpret_cast<const i32*>(address)));
            }
            u32 codes = 0;
#pragma unroll 1
            for (int i = 0; i < kParts; ++i) {
                const int part = first + i < num_parts ? first + i : num_parts - 1;
                const char* address = scale_address(scale, 1, block.group, row, end_row, part);
                codes |= static_cast<u32>(*reinterpret_cast<const u8*>(address)) << (8 * i);
            }
            return codes;
        };
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
            for (int i = 0; i < Ring::kTilesM; ++i) {
                next.a[i][half] = read(args.a_scale, first_row<R>(block) + i * 16 + half * 8, block.end_m);
            }
#pragma unroll
            for (int j = 0; j < Ring::kTilesN; ++j)
                next.b[j][half] = read(args.b_scale, first_column<R>(block) + j * 8 + half, args.gemm.n);
        }
    }
    __device__ float operator()(int step, int i, int j, int e) const {
        const u32 of_a = now.a[i][e / 2] >> (8 * step) & 0xff, of_b = now.b[j][e % 2] >> (8 * step) & 0xff;
        return e8m0_to_float(of_a) * e8m0_to_float(of_b);
    }
};

template <Multiplier>
struct SumType {
    using Type = float;
};
template <>
struct SumType<Multiplier::s8> {
    using Type = i32;
};
template <Multiplier multiplier>
using SumOf = typename SumType<multiplier>::Type;

// What main_loop of tile_ring.cuh asks of products.
template <ScaledGemmRow R>
class Products {
public:
    using Ring = TileRing<kTileShape<R>>;
    using Sum = SumOf<R.multiplier>;
    using Sums = Sum[Ring::kTilesM][Ring::kTilesN][4];

    Sums sums = {};

    __device__ Products(const ScaledGemmArgs& args, const Block& block) : args_(args), block_(block) {}
    __device__ void begin() { scales_.begin(args_, block_); }
    __device__ void begin_tile() { scales_.begin_tile(args_, block_, tile_++); }
    __device__ void multiply(const typename Ring::Fragments& f, int step) {
        if constexpr (R.scaling == Scaling::mx) {
            multiply_scaled(f, step);
        } else if constexpr (has_partial_sums(R)) {
            if (step == 0) clear();
            multiply_into(partial_, f);
            if (step == Ring::kSteps - 1) add_partial(step);
        } else {
            multiply_into(sums, f);
        }
    }

private:
    static constexpr bool kConverts = R.multiplier == Multiplier::cvt || R.multiplier == Multiplier::bits;

    // 16 bytes of k at a time: a word of a row is a pair of f16 for each of mma's two places along k.
    using RowsOfA = u32[Ring::kTilesM][4];
    __device__ static void convert(RowsOfA& a, const typename Ring::Fragments& f, int half) {
#pragma unroll
        for (int i = 0; i < Ring::kTilesM; ++i) {
            const Halves top = halves_of<R.multiplier>(f.a[i][half * 2]);
            const Halves bottom = halves_of<R.multiplier>(f.a[i][half * 2 + 1]);
            a[i][0] = top.first, a[i][1] = bottom.first;
            a[i][2] = top.second, a[i][3] = bottom.second;
        }
    }

    __device__ static void multiply_into(Sums& to, const typename Ring::Fragments& f) {
        if constexpr (kConverts) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                RowsOfA a;
                convert(a, f, half);
#pragma unroll
                for (int j = 0; j < Ring::kTilesN; ++j) {
                    const Halves columns = halves_of<R.multiplier>(f.b[j][half]);
#pragma unroll
                    for (int i = 0; i < Ring::kTilesM; ++i)
                        ptx::mma_f16(to[i][j], a[i], {columns.first, columns.second});
                }
            }
        } else {
#pragma unroll
            for (int i = 0; i < Ring::kTilesM; ++i) {
#pragma unroll
                for (int j = 0; j < Ring::kTilesN; ++j) {
                    const int n = i % 2 == 0 ? j : Ring::kTilesN - 1 - j;  // there and back: B is used again
                    if constexpr (R.multiplier == Multiplier::s8) {
                        ptx::mma_s8(to[i][n], f.a[i], f.b[n]);
                    } else {
                        ptx::mma_e4m3(to[i][n], f.a[i], f.b[n]);
                    }
                }
            }
        }
    }

    // What shares a scale ends with the step: sums of eight columns at a time are all that takes registers.
    __device__ void multiply_scaled(const typename Ring::Fragments& f, int step) {
        RowsOfA a[2];
        if constexpr (kConverts) {
            convert(a[0], f, 0);
            convert(a[1], f, 1);
        }
#pragma unroll
        for (int j = 0; j < Ring::kTilesN; ++j) {
            float part[Ring::kTilesM][4] = {};
            if constexpr (kConverts) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const Halves columns = halves_of<R.multiplier>(f.b[j][half]);
#pragma unroll
                    for (int i = 0; i < Ring::kTilesM; ++i)
                        ptx::mma_f16(part[i], a[half][i], {columns.first, columns.second});
                }
            } else {
#pragma unroll
                for (int i = 0; i < Ring::kTilesM; ++i) ptx::mma_e4m3(part[i], f.a[i], f.b[j]);
            }
#pragma unroll
            for (int i = 0; i < Ring::kTilesM; ++i) {
#pragma unroll
                for (int e = 0; e < 4; ++e) sums[i][j][e] += scales_(step, i, j, e) * part[i][e];
            }
        }
    }

    __device__ void clear() {
#pragma unroll
        for (int i = 0; i < Ring::kTilesM; ++i) {
#pragma unroll
            for (int j = 0; j < Ring::kTilesN; ++j) {
#pragma unroll
                for (int e = 0; e < 4; ++e) partial_[i][j][e] = 0;
            }
        }
    }
    __device__ void add_partial(int step) {
#pragma unroll
        for (int i = 0; i < Ring::kTilesM; ++i) {
#pragma unroll
            for (int j = 0; j < Ring::kTilesN; ++j) {
#pragma unroll
                for (int e = 0; e < 4; ++e) sums[i][j][e] += scales_(step, i, j, e) * partial_[i][j][e];
            }
        }
    }

    const ScaledGemmArgs& args_;
    const Block& block_;
    PartScales<R> scales_;
    int tile_ = 0;
    Sums partial_;
};

}  // namespace warpwright
