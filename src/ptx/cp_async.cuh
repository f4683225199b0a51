// SPDX-License-Identifier: Apache-2.0
// Asynchronous copies from global to shared memory, by thread. The first `source_bytes` are copied, the rest
// of the destination is filled with zeros; with 0 the source is not read, but must still be a valid pointer
// value.
#pragma once

#include "warpwright/types.h"

namespace warpwright::ptx {

// ptx: cp.async.cg.shared.global.L2::128B 16 | PTX ISA 9.7.9.25.3.1 | sm_80. Past L1; both addresses are
// multiples of 16. The form without a size: one that varies costs eight more instructions.
__device__ inline void cp_async_16(u32 shared_address, const void* source) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(shared_address), "l"(source)
                 : "memory");
}

// ptx: cp.async.cg.shared.global.L2::128B 16, src-size | PTX ISA 9.7.9.25.3.1 | sm_80. Past L1; both
// addresses are multiples of 16.
__device__ inline void cp_async_16(u32 shared_address, const void* source, int source_bytes) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address), "l"(source),
                 "r"(source_bytes)
                 : "memory");
}

// ptx: createpolicy.fractional.L2::evict_first.b64 | PTX ISA 9.7.9.18 | sm_80. For data that is read once.
__device__ inline u64 read_once_policy() {
    u64 policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

// ptx: cp.async.cg.shared.global.L2::cache_hint.L2::128B 16 | PTX ISA 9.7.9.25.3.1 | sm_80. Of constants, or
// of what the predecessor does not write (ptx/launch.cuh): as ld.global.nc, it may come before the wait for
// that one. The form without a size, as above.
__device__ inline void cp_async_16(u32 shared_address, const void* source, u64 policy) {
    asm volatile(
        "cp.async.cg.shared.global.L2::cache_hint.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address),
        "l"(source), "l"(policy)
        : "memory");
}

// ptx: cp.async.cg.shared.global.L2::cache_hint.L2::128B 16, src-size | PTX ISA 9.7.9.25.3.1 | sm_80. The
// same.
__device__ inline void cp_async_16(u32 shared_address, const void* source, int source_bytes, u64 policy) {
    asm volatile(
        "cp.async.cg.shared.global.L2::cache_hint.L2::128B [%0], [%1], 16, %2, %3;" ::"r"(shared_address),
        "l"(source), "r"(source_bytes), "l"(policy)
        : "memory");
}

// ptx: cp.async.ca.shared.global 4, src-size | PTX ISA 9.7.9.25.3.1 | sm_80. Both addresses are multiples
// of 4.
__device__ inline void cp_async_4(u32 shared_address, const void* source, int source_bytes = 4) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address), "l"(source),
                 "r"(source_bytes)
                 : "memory");
}

// ptx: cp.async.ca.shared.global.L2::cache_hint 4, src-size | PTX ISA 9.7.9.25.3.1 | sm_80. Of constants, or
// of what the predecessor does not write, as cp_async_16 with a policy.
__device__ inline void cp_async_4(u32 shared_address, const void* source, int source_bytes, u64 policy) {
    asm volatile("cp.async.ca.shared.global.L2::cache_hint [%0], [%1], 4, %2, %3;" ::"r"(shared_address),
                 "l"(source), "r"(source_bytes), "l"(policy)
                 : "memory");
}

// ptx: cp.async.commit_group | PTX ISA 9.7.9.25.3.2 | sm_80
__device__ inline void cp_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// ptx: cp.async.wait_group | PTX ISA 9.7.9.25.3.3 | sm_80. All but the `pending` youngest groups of this
// thread have landed; other threads see them after a barrier.
template <int pending>
__device__ inline void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

}  // namespace warpwright::ptx
