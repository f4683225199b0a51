// SPDX-License-Identifier: Apache-2.0
// src/ptx/mma.cuh for tests/simt/machine.h, from the fragment map written there.
#pragma once

#include "ptx/convert.cuh"

namespace warpwright::ptx {

template <class T>
inline void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    const auto& lanes = simt::warp_exchange({a[0], a[1], a[2], a[3], b[0], b[1]});
    const int lane = simt::machine.current % simt::kWarp;
    const auto half = [](u32 pair, int k) { return k % 2 == 0 ? low_float<T>(pair) : high_float<T>(pair); };
    for (int e = 0; e < 4; ++e) {
        const int m = lane / 4 + e / 2 * 8, n = lane % 4 * 2 + e % 2;
        for (int k = 0; k < 16; ++k) {
            const int member = k % 8 / 2, upper = k / 8;
            d[e] += half(lanes[m % 8 * 4 + member][upper * 2 + m / 8], k) *
                    half(lanes[n * 4 + member][4 + upper], k);
        }
    }
}

}  // namespace warpwright::ptx
