// SPDX-License-Identifier: Apache-2.0
// Warp-wide matrix products of 8-bit elements, D[16,8] += A[16,32] B[32,8]. Lanes hold what they do of 16-bit
// elements (mma.cuh), but a register is four, k .. k + 3:
//   a[0]: (m = group,     k = 4 * member)    a[2]: (m = group,     k = 4 * member + 16)
//   a[1]: (m = group + 8, k = 4 * member)    a[3]: (m = group + 8, k = 4 * member + 16)
//   b[0]: (k = 4 * member, n = group)        b[1]: (k = 4 * member + 16, n = group)
//   d[0], d[1]: (m = group, n = 2 * member, + 1)     d[2], d[3]: (m = group + 8, the same n)
#pragma once

#include "warpwright/types.h"

namespace warpwright::ptx {

// ptx: mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 | PTX ISA 9.7.14.5.14 | sm_80
__device__ inline void mma_s8(i32 (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ptx: mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 | PTX ISA 9.7.14.5.14 | sm_89. On 9.0, 10.x
// and 11.0 the assembler makes conversions and two products of f16 of it (data/isa.json).
__device__ inline void mma_e4m3(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace warpwright::ptx
