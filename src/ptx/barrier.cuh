// SPDX-License-Identifier: Apache-2.0
// Barriers of some warps of a block.
#pragma once

namespace warpwright::ptx {

// ptx: barrier.sync.aligned | PTX ISA 9.7.13.1 | sm_30. As __syncthreads, of the `threads` threads, whole
// warps, that use this barrier; 0 is __syncthreads' own.
template <int threads>
__device__ inline void sync_warps(int barrier) {
    asm volatile("barrier.sync.aligned %0, %1;" ::"r"(barrier), "n"(threads) : "memory");
}

}  // namespace warpwright::ptx
