// SPDX-License-Identifier: Apache-2.0
// Warp-wide matrix products, D[16,8] += A[16,16] B[16,8], 16-bit inputs and fp32 sums.
//
// Which element a lane holds (lane = 4 * group + member; a register is a pair at k, k + 1):
//   a[0]: (m = group,     k = 2 * member)    a[2]: (m = group,     k = 2 * member + 8)
//   a[1]: (m = group + 8, k = 2 * member)    a[3]: (m = group + 8, k = 2 * member + 8)
//   b[0]: (k = 2 * member, n = group)        b[1]: (k = 2 * member + 8, n = group)
//   d[0], d[1]: (m = group, n = 2 * member, + 1)     d[2], d[3]: (m = group + 8, the same n)
#pragma once

#include "ptx/convert.cuh"

namespace warpwright::ptx {

// ptx: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 | PTX ISA 9.7.14.5.14 | sm_80
__device__ inline void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ptx: mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 | PTX ISA 9.7.14.5.14 | sm_80
__device__ inline void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <class T>
__device__ inline void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]);
template <>
__device__ inline void mma<Bf16>(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    mma_bf16(d, a, b);
}
template <>
__device__ inline void mma<Half>(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    mma_f16(d, a, b);
}

}  // namespace warpwright::ptx
