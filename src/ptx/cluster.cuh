// SPDX-License-Identifier: Apache-2.0
// Blocks of a cluster: their barrier, and stores into each other's shared memory.
#pragma once

#include "warpwright/types.h"

namespace warpwright::ptx {

// ptx: mapa.shared::cluster.u32 | PTX ISA 9.7.9.23 | sm_90. Where the block of this rank has what is at
// `address` (of the shared window) here.
__device__ inline u32 peer_address(u32 address, u32 rank) {
    u32 result;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(result) : "r"(address), "r"(rank));
    return result;
}

// ptx: st.shared::cluster.f32 | PTX ISA 9.7.9.11 | sm_90. The other block has started and not ended.
__device__ inline void store_peer(u32 address, float value) {
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}

// ptx: st.shared::cluster.v2.f32 | PTX ISA 9.7.9.11 | sm_90
__device__ inline void store_peer(u32 address, float first, float second) {
    asm volatile("st.shared::cluster.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(first), "f"(second)
                 : "memory");
}

// ptx: barrier.cluster.arrive.relaxed.aligned | PTX ISA 9.7.13.3 | sm_90. Tells that the block has started,
// and nothing about its memory.
__device__ inline void arrive_at_cluster_relaxed() {
    asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}

// ptx: barrier.cluster.arrive.release.aligned | PTX ISA 9.7.13.3 | sm_90
__device__ inline void arrive_at_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}

// ptx: barrier.cluster.wait.acquire.aligned | PTX ISA 9.7.13.3 | sm_90. Until all threads of the cluster have
// arrived; each waits once for each time it arrived.
__device__ inline void wait_for_cluster() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

}  // namespace warpwright::ptx
