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

inline u32 and_xor(u32 a, u32 b, u32 c) {
    return (a & b) ^ c;
}

template <u32 selector>
inline u32 permute_bytes(u32 a, u32 b) {
    const u64 bytes = static_cast<u64>(b) << 32 | a;
    u32 result = 0;
    for (int i = 0; i < 4; ++i) {
        const u32 nibble = selector >> 4 * i & 15, byte = static_cast<u32>(bytes >> (nibble & 7) * 8) & 255;
        const u32 taken = (nibble & 8) == 0 ? byte : byte >> 7 ? 255 : 0;  // the sign, eight times
        result |= taken << 8 * i;
    }
    return result;
}

}  // namespace warpwright::ptx
