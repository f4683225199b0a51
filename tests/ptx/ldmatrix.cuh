// SPDX-License-Identifier: Apache-2.0
// src/ptx/ldmatrix.cuh for tests/simt/machine.h.
#pragma once

#include "simt/machine.h"

namespace warpwright::ptx {

inline u32 shared_address(const void* pointer) {
    return simt::kSharedBase + static_cast<u32>(static_cast<const unsigned char*>(pointer) - shared_memory);
}

template <int matrices, bool transposed>
inline void ldmatrix(u32 (&r)[4], u32 address) {
    const auto& lanes = simt::warp_exchange({address});
    const int lane = simt::machine.current % simt::kWarp;
    for (int i = 0; i < matrices; ++i) {
        unsigned groups = 0;  // of four banks
        for (int row = 0; row < 8; ++row) groups |= 1u << (lanes[8 * i + row][0] / 16 % 8);
        if (lane == 0 && groups != 0xff) ++simt::machine.bank_conflicts;
        u16 pair[2];
        for (int e = 0; e < 2; ++e) {
            const int row = transposed ? lane % 4 * 2 + e : lane / 4;
            const int column = transposed ? lane / 4 : lane % 4 * 2 + e;
            const void* start = simt::shared_pointer(lanes[8 * i + row][0], 16, 16);
            pair[e] = static_cast<const u16*>(start)[column];
        }
        r[i] = pair[0] | static_cast<u32>(pair[1]) << 16;
    }
}

inline void ldmatrix_x4(u32& r0, u32& r1, u32& r2, u32& r3, u32 address) {
    u32 r[4];
    ldmatrix<4, false>(r, address);
    r0 = r[0], r1 = r[1], r2 = r[2], r3 = r[3];
}
inline void ldmatrix_x2(u32& r0, u32& r1, u32 address) {
    u32 r[4];
    ldmatrix<2, false>(r, address);
    r0 = r[0], r1 = r[1];
}
inline void ldmatrix_x4_trans(u32& r0, u32& r1, u32& r2, u32& r3, u32 address) {
    u32 r[4];
    ldmatrix<4, true>(r, address);
    r0 = r[0], r1 = r[1], r2 = r[2], r3 = r[3];
}
inline void ldmatrix_x2_trans(u32& r0, u32& r1, u32 address) {
    u32 r[4];
    ldmatrix<2, true>(r, address);
    r0 = r[0], r1 = r[1];
}

}  // namespace warpwright::ptx
