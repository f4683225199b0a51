// SPDX-License-Identifier: Apache-2.0
// Matrix fragments from shared memory. An 8 x 8 matrix of 16-bit elements is eight rows of 16 bytes,
// anywhere, each 16-byte aligned. Lane 8 * i + r gives the address of row r of matrix i and all lanes
// receive, for every matrix i, the pair at (row = lane / 4, columns 2 * (lane % 4), + 1) in register i; the
// transposed forms give the pair at (rows 2 * (lane % 4), + 1, column = lane / 4). In the x2 forms
// lanes 16..31 give valid addresses that are not read. Addresses are in the shared window: see
// shared_address().
#pragma once

#include "warpwright/types.h"

namespace warpwright::ptx {

// A generic pointer into shared memory as an address of the shared window.
__device__ inline u32 shared_address(const void* pointer) {
    return static_cast<u32>(__cvta_generic_to_shared(pointer));
}

// ptx: ldmatrix.sync.aligned.m8n8.x4.shared.b16 | PTX ISA 9.7.14.5.15 | sm_75
__device__ inline void ldmatrix_x4(u32& r0, u32& r1, u32& r2, u32& r3, u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r0), "=r"(r1), "=r"(r2), "=r"(r3)
                 : "r"(address)
                 : "memory");
}

// ptx: ldmatrix.sync.aligned.m8n8.x2.shared.b16 | PTX ISA 9.7.14.5.15 | sm_75
__device__ inline void ldmatrix_x2(u32& r0, u32& r1, u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r0), "=r"(r1)
                 : "r"(address)
                 : "memory");
}

// ptx: ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 | PTX ISA 9.7.14.5.15 | sm_75
__device__ inline void ldmatrix_x4_trans(u32& r0, u32& r1, u32& r2, u32& r3, u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r0), "=r"(r1), "=r"(r2), "=r"(r3)
                 : "r"(address)
                 : "memory");
}

// ptx: ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 | PTX ISA 9.7.14.5.15 | sm_75
__device__ inline void ldmatrix_x2_trans(u32& r0, u32& r1, u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r0), "=r"(r1)
                 : "r"(address)
                 : "memory");
}

}  // namespace warpwright::ptx
