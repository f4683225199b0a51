// SPDX-License-Identifier: Apache-2.0
// RMSNorm + residual with codes and scales of the result, beside its 16 bits or in place of them. Limited by
// memory: x, residual in and out and codes each move once.
//
//   block = a row    load x, residual | add, round, keep in registers | sum of squares | scale, round to 16
//                    bits | codes and scales of these (fused/quantize/outputs.cuh)
//   warp  = a row, where nothing is aligned: element by element, read three times
//
// With swizzled scales there are rows up to the next multiple of 128: their scales are zeros.
#include "kernels/fused/quantize/outputs.cuh"
#include "kernels/fused/rmsnorm/row.cuh"
#include "ptx/launch.cuh"
#include "ptx/opaque.cuh"

namespace warpwright {

// As load_row, with all loads under way before the first result is stored: there are fewer blocks on an SM.
__device__ inline Kept load_together(const RmsNormArgs& args, const Row& row, float* scratch) {
    Kept kept;
    U32x4 before[kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        kept.v[i] = before[i] = {};
        const int column = column_of(row, i);
        if (column >= row.hidden) continue;
        kept.v[i] = ptx::load(row.x + column);
        if (args.residual != nullptr) before[i] = ptx::load(row.residual + column);
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        const int column = column_of(row, i);
        if (args.residual != nullptr && column < row.hidden) {
            kept.v[i] = add_pairs(kept.v[i], before[i]);
            ptx::store(row.residual + column, kept.v[i]);
        }
        sum += squares(kept.v[i].x) + squares(kept.v[i].y) + squares(kept.v[i].z) + squares(kept.v[i].w);
    }
    // The compiler would keep fp32 of all of them until they are scaled.
    const auto opaque = [](u32 pair) { return static_cast<u32>(ptx::opaque(static_cast<i32>(pair))); };
#pragma unroll
    for (U32x4& v : kept.v) v = {opaque(v.x), opaque(v.y), opaque(v.z), opaque(v.w)};
    kept.scale = rsqrtf(row_sum(sum, scratch) / args.hidden + args.epsilon);
    return kept;
}

__device__ inline void normalise_vectors(const RmsNormArgs& args, const Row& row, float* scratch) {
    __shared__ u32 magnitudes[kRow.threads / kWarpThreads];
    Kept kept = load_together(args, row, scratch);
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        const int column = column_of(row, i);
        if (column < row.hidden) {
            kept.v[i] = scaled(args, row, kept.v[i], kept.scale, column);
            if (args.out != nullptr) ptx::store(row.out + column, kept.v[i]);
        } else {
            kept.v[i] = {};
        }
    }
    const RowPart part{blockIdx.x, column_of(row, 0), kRow.threads * kVectorElements, row.hidden};
    store_quantized<T, kRow.threads, kVectors, kRow.fp8_convert>(args.quantized, part, kept.v, magnitudes);
}

__device__ inline void normalise_elements(const RmsNormArgs& args, const Row& row, i64 index,
                                          float* scratch) {
    const float scale = element_scale(args, row, scratch);
    __syncwarp();  // other lanes' sums in the residual
    for (i32 group = 0; group < args.quantized.format.scale_columns; ++group) {
        quantize_elements<T>(
            args.quantized, index, group, [&](i32 column) { return element(args, row, scale, column); },
            [&](i32 column, T value) {
                if (args.out != nullptr) row.out[column] = value;
            });
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::RmsNormArgs args) {
    using namespace warpwright;
    __shared__ float scratch[kRow.threads / kWarpThreads];
    ptx::wait_for_predecessor();
    const i64 index = static_cast<i64>(blockIdx.x) * rows_per_block(kRow) +
                      (kRow.lanes > 0 ? static_cast<int>(threadIdx.x) / threads_per_row(kRow) : 0);
    const QuantizeArgs& format = args.quantized.format;
    if (index >= args.tokens) {
        if (format.swizzled && index < round_up(args.tokens, kSwizzleRows))
            store_zero_scales(format, index, threadIdx.x % threads_per_row(kRow), threads_per_row(kRow));
    } else if constexpr (kRow.vectors > 0) {
        normalise_vectors(args, Row(args), scratch);
    } else {
        normalise_elements(args, Row(args), index, scratch);
    }
    ptx::release_successor();
}
