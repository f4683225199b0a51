// SPDX-License-Identifier: Apache-2.0
// Arithmetic on pairs of 16-bit floating-point numbers in one register.
#pragma once

#include "ptx/convert.cuh"

namespace warpwright::ptx {

// a * b + c, rounded once. Subnormal numbers are as exact as others.
template <class T>
__device__ inline u32 fma_pair(u32 a, u32 b, u32 c);

// ptx: fma.rn.bf16x2 | PTX ISA 9.7.4.4 | sm_80
template <>
__device__ inline u32 fma_pair<Bf16>(u32 a, u32 b, u32 c) {
    u32 result;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

// ptx: fma.rn.f16x2 | PTX ISA 9.7.4.4 | sm_53
template <>
__device__ inline u32 fma_pair<Half>(u32 a, u32 b, u32 c) {
    u32 result;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

// ptx: lop3.b32 | PTX ISA 9.7.8.6 | sm_50. (a & b) or c, in one instruction also where b and c are constants:
// the compiler makes two of those.
__device__ inline u32 and_or(u32 a, u32 b, u32 c) {
    u32 result;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

// ptx: lop3.b32 | PTX ISA 9.7.8.6 | sm_50. (a & b) xor c: the same.
__device__ inline u32 and_xor(u32 a, u32 b, u32 c) {
    u32 result;
    asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

// ptx: prmt.b32 | PTX ISA 9.7.9.7 | sm_50. Bytes of b:a by the four low nibbles of `selector`, whose last bit
// takes a byte's sign eight times; __byte_perm has not that.
template <u32 selector>
__device__ inline u32 permute_bytes(u32 a, u32 b) {
    u32 result;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "n"(selector));
    return result;
}

}  // namespace warpwright::ptx
