// SPDX-License-Identifier: Apache-2.0
// Programmatic dependent launch: a kernel may start before its predecessor in the stream has ended.
//
// The rule that every kernel keeps: all its threads wait before they touch global memory, but for what the
// caller has promised to be constant, or not to be written by the predecessor. A grid then ends after all
// grids before it, so whatever a thread touches behind the wait is as if launches did not overlap: what was
// to be written is, and nobody reads what is about to be overwritten. The emulator reports an access before
// the wait, but for the two that are of constants: ld.global.nc, and cp.async with a cache policy.
//
// When a kernel lets its successor start is free, as that one waits for its end all the same. What is best
// was measured (docs/kernels/attention.md): small kernels before a product do so before they wait themselves,
// so that its weights are on their way while the product before them drains; the others when they have
// waited, or, where their grids are large, at their end. Of what such a small kernel's successor may read
// before its wait, the promise is therefore about the small kernel's own predecessor too.
#pragma once

namespace warpwright::ptx {

// ptx: griddepcontrol.wait | PTX ISA 9.7.13.13 | sm_90. Returns when the predecessor has ended and its writes
// can be seen; at once in a kernel that was launched normally.
__device__ inline void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// ptx: griddepcontrol.launch_dependents | PTX ISA 9.7.13.13 | sm_90. The successor may start when every block
// has said so: its blocks never take the place of one of this grid's.
__device__ inline void release_successor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace warpwright::ptx
