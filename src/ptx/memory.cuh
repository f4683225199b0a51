// SPDX-License-Identifier: Apache-2.0
// Global memory accesses whose width and cache policy matter.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct alignas(16) U32x4 {
    u32 x, y, z, w;
};
struct alignas(8) U32x2 {
    u32 x, y;
};

namespace ptx {

// ptx: ld.global.nc.L1::no_allocate.v4.u32 | PTX ISA 9.7.9.9 | sm_70. Data that no block reads twice.
__device__ inline U32x4 load_streaming(const void* address) {
    U32x4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address));
    return v;
}

// ptx: ld.global.v4.u32 | PTX ISA 9.7.9.8 | sm_20
__device__ inline U32x4 load(const void* address) {
    U32x4 v;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address)
                 : "memory");
    return v;
}

// ptx: ld.global.s32 | PTX ISA 9.7.9.8 | sm_20. Begins where it stands, and not where its result is needed.
__device__ inline i32 load_i32(const i32* address) {
    i32 value;
    asm volatile("ld.global.s32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
    return value;
}

// ptx: ld.global.nc.s32 | PTX ISA 9.7.9.9 | sm_32. What nobody writes while this grid, or the one before it
// in the stream, runs.
__device__ inline i32 load_constant_i32(const i32* address) {
    i32 value;
    asm volatile("ld.global.nc.s32 %0, [%1];" : "=r"(value) : "l"(address));
    return value;
}

// ptx: prefetch.global.L2 | PTX ISA 9.7.9.15 | sm_20. The line of an address. Nothing is read: it may be
// written meanwhile.
__device__ inline void prefetch_l2(const void* address) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
}

// ptx: st.global.v4.u32 | PTX ISA 9.7.9.12 | sm_20
__device__ inline void store(void* address, U32x4 v) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(v.x), "r"(v.y), "r"(v.z),
                 "r"(v.w)
                 : "memory");
}

// ptx: ld.shared.v4.u32 | PTX ISA 9.7.9.8 | sm_20. Begins where it stands. `address` is in the shared window.
__device__ inline U32x4 load_shared(u32 address) {
    U32x4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(address)
                 : "memory");
    return v;
}

// ptx: ld.shared.v2.u32 | PTX ISA 9.7.9.8 | sm_20. As load_shared, of 8 bytes.
__device__ inline U32x2 load_shared_8(u32 address) {
    U32x2 v;
    asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(address) : "memory");
    return v;
}

// ptx: ld.shared.u32 | PTX ISA 9.7.9.8 | sm_20. As load_shared, of 4 bytes.
__device__ inline u32 load_shared_4(u32 address) {
    u32 value;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
    return value;
}

// ptx: ld.shared.u16 | PTX ISA 9.7.9.8 | sm_20. As load_shared, of 2 bytes.
__device__ inline u32 load_shared_2(u32 address) {
    u16 value;
    asm volatile("ld.shared.u16 %0, [%1];" : "=h"(value) : "r"(address) : "memory");
    return value;
}

// ptx: st.shared.v4.u32 | PTX ISA 9.7.9.12 | sm_20. `address` is in the shared window.
__device__ inline void store_shared(u32 address, U32x4 v) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(v.x), "r"(v.y), "r"(v.z),
                 "r"(v.w)
                 : "memory");
}

}  // namespace ptx
}  // namespace warpwright
