// SPDX-License-Identifier: Apache-2.0
// src/ptx/cp_async.cuh for tests/simt/machine.h.
#pragma once

#include "simt/machine.h"

namespace warpwright::ptx {

inline std::vector<std::vector<simt::Copy>>& copy_groups() {
    return simt::machine.fibers[simt::machine.current].groups;
}
inline void cp_async_16(u32 shared_address, const void* source) {
    copy_groups().back().push_back({shared_address, source, 16, 16});
}
inline void cp_async_16(u32 shared_address, const void* source, int source_bytes) {
    copy_groups().back().push_back({shared_address, source, 16, source_bytes});
}
inline u64 read_once_policy() {
    return 0;
}
inline void cp_async_16(u32 shared_address, const void* source, u64) {
    cp_async_16(shared_address, source);
}
inline void cp_async_16(u32 shared_address, const void* source, int source_bytes, u64) {
    cp_async_16(shared_address, source, source_bytes);
}
inline void cp_async_4(u32 shared_address, const void* source, int source_bytes = 4) {
    copy_groups().back().push_back({shared_address, source, 4, source_bytes});
}
inline void cp_async_4(u32 shared_address, const void* source, int source_bytes, u64) {
    cp_async_4(shared_address, source, source_bytes);
}
inline void cp_async_commit() {
    copy_groups().emplace_back();
}
template <int pending>
inline void cp_async_wait() {
    simt::land(copy_groups(), pending);
}

}  // namespace warpwright::ptx
