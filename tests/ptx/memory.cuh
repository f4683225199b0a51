// SPDX-License-Identifier: Apache-2.0
// src/ptx/memory.cuh for tests/simt/machine.h.
#pragma once

#include "simt/machine.h"

namespace warpwright {

struct alignas(16) U32x4 {
    u32 x, y, z, w;
};

struct alignas(8) U32x2 {
    u32 x, y;
};

namespace ptx {

inline U32x4 load(const void* address) {
    if (reinterpret_cast<u64>(address) % 16 != 0) simt::die("16-byte load from an odd address");
    U32x4 v;
    std::memcpy(&v, address, 16);
    return v;
}
inline U32x4 load_streaming(const void* address) {
    return load(address);
}
inline i32 load_i32(const i32* address) {
    return *address;
}
inline i32 load_constant_i32(const i32* address) {
    return *address;
}
inline void store(void* address, U32x4 v) {
    if (reinterpret_cast<u64>(address) % 16 != 0) simt::die("16-byte store to an odd address");
    std::memcpy(address, &v, 16);
}
inline U32x4 load_shared(u32 address) {
    U32x4 v;
    std::memcpy(&v, simt::shared_pointer(address, 16, 16), 16);
    return v;
}
inline U32x2 load_shared_8(u32 address) {
    U32x2 v;
    std::memcpy(&v, simt::shared_pointer(address, 8, 8), 8);
    return v;
}
inline u32 load_shared_2(u32 address) {
    u16 v;
    std::memcpy(&v, simt::shared_pointer(address, 2, 2), 2);
    return v;
}
inline void store_shared(u32 address, U32x4 v) {
    std::memcpy(simt::shared_pointer(address, 16, 16), &v, 16);
}

}  // namespace ptx
}  // namespace warpwright
