// SPDX-License-Identifier: Apache-2.0
// Largest magnitudes, portable. Limited by memory: x is read once, 16 bytes a thread at a time.
//
//   block = a part: stretches of x at a distance of all parts    load some | larger ones
//                                                                then over the block | store
#include "kernels/fused/amax/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "tile/magnitude.cuh"

namespace warpwright {

constexpr AmaxRow kRow = row_at(kAmaxRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

__device__ inline u32 part_magnitude_of_vectors(const AmaxArgs& args) {
    constexpr int kVectors = kRow.vectors > 0 ? kRow.vectors : 1;
    constexpr i64 kStretch = kRow.threads * kVectors;
    const i64 row_vectors = args.columns / 8, vectors = row_vectors * args.rows;
    u32 pair = 0;
    for (i64 start = blockIdx.x * kStretch; start < vectors; start += args.parts * kStretch) {
        U32x4 v[kVectors];
#pragma unroll
        for (int i = 0; i < kVectors; ++i) {
            const i64 vector = start + i * kRow.threads + threadIdx.x;
            v[i] = {};
            if (vector >= vectors) continue;
            const i64 row = row_of_vector(static_cast<u32>(vector), args.column_divisor);
            const i64 at = row * args.x_stride + (vector - row * row_vectors) * 8;
            v[i] = ptx::load(static_cast<const T*>(args.x) + at);
        }
#pragma unroll
        for (int i = 0; i < kVectors; ++i) pair = ptx::max_pair<T>(pair, larger_pair<T>(v[i]));
    }
    return larger_of(pair);
}

__device__ inline u32 part_magnitude_of_elements(const AmaxArgs& args) {
    u32 magnitude = 0;
    for (i64 row = blockIdx.x; row < args.rows; row += args.parts) {
        const T* x = static_cast<const T*>(args.x) + row * args.x_stride;
        for (i64 column = threadIdx.x; column < args.columns; column += kRow.threads)
            magnitude = max(magnitude, x[column].bits & 0x7fffu);
    }
    return magnitude;
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::AmaxArgs args) {
    using namespace warpwright;
    __shared__ u32 scratch[kRow.threads / kWarpThreads];
    ptx::wait_for_predecessor();
    u32 magnitude;
    if constexpr (kRow.vectors > 0) {
        magnitude = part_magnitude_of_vectors(args);
    } else {
        magnitude = part_magnitude_of_elements(args);
    }
    magnitude = block_max<kRow.threads>(magnitude, scratch);
    if (threadIdx.x == 0) args.out[blockIdx.x] = ptx::to_float(T{static_cast<u16>(magnitude)});
    ptx::release_successor();
}
