// SPDX-License-Identifier: Apache-2.0
// Gated activation with codes and scales of the result, beside its 16 bits or in place of them. Limited by
// memory: gate, up and codes each move once.
//
//   block = one chunk of one token, all of it where it has one scale
//                    load gate, up | activate, multiply in fp32, round to 16 bits | codes and scales of these
//                    (fused/quantize/outputs.cuh)
//   warp  = a group of one token, where nothing is aligned: element by element, twice
//
// A thread reads exactly what it overwrites, before it does: out may be gate or up. With swizzled scales
// there are tokens up to the next multiple of 128: their scales are zeros.
#include "kernels/fused/gated_activation/vector.cuh"
#include "kernels/fused/quantize/outputs.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

// So that loads of some blocks hide the work of others: 40 registers a thread where it has two vectors,
// else 64.
constexpr int kMinBlocks = (kRow.vectors == 2 ? 1536 : 1024) / kRow.threads;

__device__ inline void activate_vectors(const GatedActivationArgs& args, i64 token) {
    constexpr int kVectors = kRow.vectors > 0 ? kRow.vectors : 2;
    __shared__ u32 magnitudes[kRow.threads / kWarpThreads];
    const Row row(args, token);
    const int first =
        (static_cast<int>(blockIdx.y) * kVectors * kRow.threads + static_cast<int>(threadIdx.x));
    const RowPart part{token, first * kVectorElements, kRow.threads * kVectorElements, args.width};
    U32x4 kept[kVectors];
    with_activation(args.activation, [&](auto tag) {
        U32x4 up[kVectors];
#pragma unroll
        for (int i = 0; i < kVectors; ++i) {
            kept[i] = up[i] = {};
            if (!part.has(i)) continue;
            kept[i] = ptx::load(row.gate + part.column(i));
            up[i] = ptx::load(row.up + part.column(i));
        }
#pragma unroll
        for (int i = 0; i < kVectors; ++i) {
            if (part.has(i)) kept[i] = activated<decltype(tag)::kKind>(row, part.column(i), kept[i], up[i]);
        }
    });
    if (args.out != nullptr) {
#pragma unroll
        for (int i = 0; i < kVectors; ++i) {
            if (part.has(i)) ptx::store(row.out + part.column(i), kept[i]);
        }
    }
    store_quantized<T, kRow.threads, kVectors, kRow.fp8_convert>(args.quantized, part, kept, magnitudes);
}

__device__ inline void activate_elements(const GatedActivationArgs& args, i64 token) {
    const Row row(args, token);
    const int group =
        static_cast<int>(blockIdx.y * (kRow.threads / kWarpThreads) + threadIdx.x / kWarpThreads);
    if (group >= args.quantized.format.scale_columns) return;
    quantize_elements<T>(
        args.quantized, token, group,
        [&](i32 column) { return activated_element(args.activation, row, column); },
        [&](i32 column, T value) {
            if (args.out != nullptr) row.out[column] = value;
        });
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads, warpwright::kMinBlocks)
    WW_ENTRY(const __grid_constant__ warpwright::GatedActivationArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    const i64 token = blockIdx.x;
    if (token >= args.tokens) {
        if (blockIdx.y == 0) store_zero_scales(args.quantized.format, token, threadIdx.x, kRow.threads);
    } else if constexpr (kRow.vectors > 0) {
        activate_vectors(args, token);
    } else {
        activate_elements(args, token);
    }
    ptx::release_successor();
}
