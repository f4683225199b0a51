// SPDX-License-Identifier: Apache-2.0
// Programmatic dependent launch: a kernel may start before its predecessor in the stream has ended.
#pragma once

namespace warpwright::ptx {

// ptx: griddepcontrol.wait | PTX ISA 9.7.13.13 | sm_90. Returns at once in a kernel that was launched
// normally; must come before the first read of what the predecessor writes.
__device__ inline void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// ptx: griddepcontrol.launch_dependents | PTX ISA 9.7.13.13 | sm_90
__device__ inline void release_successor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace warpwright::ptx
