// SPDX-License-Identifier: Apache-2.0
// Largest magnitudes of groups whose vectors lie in neighbouring lanes.
#pragma once

#include "kernels/fused/quantize/codes.cuh"

namespace warpwright {

// Of a thread's vectors, the largest magnitude of the group that each is in, fp32's bits.
template <class T, int kVectors>
__device__ inline void find_group_magnitudes(const QuantizeArgs& args, const U32x4 (&kept)[kVectors],
                                             u32 (&magnitudes)[kVectors]) {
    static_assert(kVectors % 2 == 0, "magnitudes are reduced in pairs");
    u32 pairs[kVectors], two[kVectors / 2];  // of a vector's elements; of two vectors
#pragma unroll
    for (int i = 0; i < kVectors; ++i) pairs[i] = larger_pair<T>(kept[i]);
#pragma unroll
    for (int i = 0; i < kVectors / 2; ++i) {
        const u32 low = __byte_perm(pairs[2 * i], pairs[2 * i + 1], 0x5410);
        const u32 high = __byte_perm(pairs[2 * i], pairs[2 * i + 1], 0x7632);
        two[i] = ptx::max_pair<T>(low, high);
    }
    for (int mask = args.group_columns / kVectorElements / 2; mask > 0; mask /= 2) {
#pragma unroll
        for (int i = 0; i < kVectors / 2; ++i)
            two[i] = ptx::max_pair<T>(two[i], __shfl_xor_sync(~0u, two[i], mask));
    }
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        const float magnitude = i % 2 == 0 ? ptx::low_float<T>(two[i / 2]) : ptx::high_float<T>(two[i / 2]);
        magnitudes[i] = __float_as_uint(magnitude);
    }
}

}  // namespace warpwright
