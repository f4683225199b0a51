// SPDX-License-Identifier: Apache-2.0
// scaled_gemm on tensor cores, portable: both operands are 8-bit codes.
//
//   block = one tile_m x tile_n tile of D     warp = warp_m x warp_n of it, sums in registers; warps_k groups
//                                             of warps share out the k of a tile
//
//   copies, fragments   gemm's (kernels/gemm/tile_ring.cuh): codes are bytes like others
//   products            s8: mma m16n8k32, sums in s32
//                       e4m3: the same with fp32 sums, each of no more than 128 of k and then added in fp32:
//                       tensor cores keep fewer bits of sums of e4m3
//                       cvt, bits: codes become f16 in registers, exactly, for two mma m16n8k16 of f16
//   scales              blocks, mx: of sums of 128 or 32 of k, loaded a tile ahead; outer: with the epilogue
//   epilogue            16 rows of every warp at a time through shared memory, then 8 columns a lane
#include "kernels/gemm/tile_result.cuh"
#include "kernels/quantized_gemm/finish.cuh"
#include "kernels/scaled_gemm/products.cuh"
#include "kernels/scaled_gemm/rows.h"
#include "ptx/launch.cuh"

namespace warpwright {

constexpr ScaledGemmRow kRow = sized<row_at(kScaledGemmRows, WW_ROW)>();
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using Shared = ScaledGemmShared<kRow>;
using Ring = TileRing<kTileShape<kRow>>;
using Sum = SumOf<kRow.multiplier>;
using Result = TileResult<kTileShape<kRow>, Sum>;

// Columns n .. n + 7 of row m, scaled. Columns that do not exist are given the last one's scales.
__device__ inline Eight scaled(const ScaledGemmArgs& args, i32 group, i64 m, i64 n,
                               const typename Result::Eight& sum) {
    const bool has_zeros = args.a_zeros != nullptr;
    const i32 zero = has_zeros ? args.a_zeros[m * args.a_zero_stride] : 0;
    const float* a_scales = static_cast<const float*>(args.a_scale.data) + group * args.a_scale.group_stride;
    const float* b_scales = static_cast<const float*>(args.b_scale.data) + group * args.b_scale.group_stride;
    Eight result;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
        const i64 column = n + e < args.gemm.n ? n + e : args.gemm.n - 1;
        Sum value = sum.v[e];
        if constexpr (kRow.multiplier == Multiplier::s8) {
            // Modulo 2^32, as the result is below 2^31.
            if (has_zeros) value -= zero * args.b_sums[group * args.b_sum_group_stride + column];
        }
        result.v[e] = static_cast<float>(value) * kUnscale<kRow.multiplier>;
        if constexpr (kRow.scaling == Scaling::outer) {
            result.v[e] *= a_scales[m * args.a_scale.row_stride];
            result.v[e] *= b_scales[column * args.b_scale.row_stride];
        }
    }
    return result;
}

template <class T>
__device__ inline void finish(Finish<T>& to, const GemmArgs& args, i64 m, i64 n, const Eight& sum,
                              float* kept) {
    if (args.out_aligned && n + 8 <= args.n) return to(args, m, n, sum);
    *reinterpret_cast<Eight*>(kept) = sum;
#pragma unroll 1
    for (int e = 0; e < 8 && n + e < args.n; ++e) to(args, m, n + e, kept[e]);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::Ring::kThreads, warpwright::kRow.blocks_per_sm)
    WW_ENTRY(const __grid_constant__ warpwright::ScaledGemmArgs args) {
    using namespace warpwright;
    extern __shared__ __align__(128) unsigned char shared_memory[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_memory);
    Block block = this_block<kRow.tile_m, kRow.tile_n>(args.gemm, args.groups);
    const auto wait = [] {
        ptx::wait_for_predecessor();
        ptx::release_successor();
    };
    if (args.groups.kind != Grouping::none) wait();
    if (!enter_group(block, args.groups)) return;
    GemmArgs gemm = args.gemm;
    move_operands(gemm, args.groups, block.group, 1);

    Products<kRow> products(args, block);
    Ring::main_loop(products, gemm, block, ptx::shared_address(&shared), wait);

    // Once more: nothing of it takes a register of the products.
    block = this_block<kRow.tile_m, kRow.tile_n>(args.gemm, args.groups);
    enter_group(block, args.groups);
    move_results(gemm, args.groups, block.group);
    if constexpr (!makes_codes(kRow, static_cast<BuildTarget>(WW_TARGET))) gemm.d_scale = nullptr;
    Finish<Bf16> bf16(gemm);  // one of the two is used
    Finish<Half> half(gemm);
    auto& results = reinterpret_cast<typename Result::Shared&>(shared.result);
    Result::each_eight(products.sums, results, block, gemm.n,
                       [&](i64 m, i64 n, const typename Result::Eight& sum, Sum* kept) {
                           if (!row_exists(args.groups, m)) return;
                           const Eight values = scaled(args, block.group, m, n, sum);
                           float* floats = reinterpret_cast<float*>(kept);
                           if (args.dtype == DType::bf16) {
                               finish(bf16, gemm, m, n, values, floats);
                           } else {
                               finish(half, gemm, m, n, values, floats);
                           }
                       });
    bf16.end(gemm);
    half.end(gemm);
}
