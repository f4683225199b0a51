// SPDX-License-Identifier: Apache-2.0
// src/ptx/packed.cuh for tests/simt/machine.h.
#pragma once

#include "ptx/convert.cuh"

namespace warpwright::ptx {

template <class T>
inline u32 fma_pair(u32 a, u32 b, u32 c) {
    return pack<T>(std::fma(low_float<T>(a), low_float<T>(b), low_float<T>(c)),
                   std::fma(high_float<T>(a), high_float<T>(b), high_float<T>(c)));
}

inline u32 and_or(u32 a, u32 b, u32 c) {
    return (a & b) | c;
}

}  // namespace warpwright::ptx
