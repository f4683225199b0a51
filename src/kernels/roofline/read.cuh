// SPDX-License-Identifier: Apache-2.0
// Reads memory once. Every thread leaves the exclusive or of what it has read, so that nothing of it can be
// left out.
//
//   block = tiles of 32 KiB, one after another at a distance of the grid
#include "kernels/roofline/problem.h"
#include "ptx/memory.cuh"

namespace warpwright {

__device__ inline void add(U32x4& sum, const U32x4& v) {
    sum = {sum.x ^ v.x, sum.y ^ v.y, sum.z ^ v.z, sum.w ^ v.w};
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRooflineThreads)
    WW_ENTRY(const __grid_constant__ warpwright::RooflineArgs args) {
    using namespace warpwright;
    const auto* from = static_cast<const U32x4*>(args.from);
    U32x4 sum{};
    for (i64 tile = static_cast<i64>(blockIdx.x) * kRooflineTile; tile < args.vectors;
         tile += gridDim.x * kRooflineTile) {
        const i64 first = tile + threadIdx.x;
        if (tile + kRooflineTile <= args.vectors) {
            U32x4 v[kRooflineVectors];
#pragma unroll
            for (int i = 0; i < kRooflineVectors; ++i)
                v[i] = ptx::load_streaming(from + first + i * kRooflineThreads);
#pragma unroll
            for (int i = 0; i < kRooflineVectors; ++i) add(sum, v[i]);
        } else {
            for (i64 at = first; at < args.vectors; at += kRooflineThreads)
                add(sum, ptx::load_streaming(from + at));
        }
    }
    ptx::store(static_cast<U32x4*>(args.to) + blockIdx.x * kRooflineThreads + threadIdx.x, sum);
}
