// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10, a counter-based random number generator: Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011. Without standard headers: host rows and kernels share it.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct PhiloxBlock {
    u32 x, y, z, w;
};

constexpr PhiloxBlock philox(PhiloxBlock counter, u32 key_low, u32 key_high) {
    for (int round = 0; round < 10; ++round) {
        const u64 even = u64{0xd2511f53u} * counter.x, odd = u64{0xcd9e8d57u} * counter.z;
        counter = {static_cast<u32>(odd >> 32) ^ counter.y ^ key_low, static_cast<u32>(odd),
                   static_cast<u32>(even >> 32) ^ counter.w ^ key_high, static_cast<u32>(even)};
        key_low += 0x9e3779b9u;
        key_high += 0xbb67ae85u;
    }
    return counter;
}

// The 64 random bits of a step: key = seed, counter = step.
constexpr u64 step_bits(u32 seed_low, u32 seed_high, u32 step) {
    const PhiloxBlock block = philox({step, 0, 0, 0}, seed_low, seed_high);
    return u64{block.y} << 32 | block.x;
}

}  // namespace warpwright
