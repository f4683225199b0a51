// SPDX-License-Identifier: Apache-2.0
// Division by a number that the host knows: i / n = (i * factor >> 32) >> shift. Host code and kernels.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// Exact for i < 2^31: with 2^(l - 1) < n <= 2^l the factor is 2^(31 + l) / n, rounded up, which 32 bits hold
// (Granlund & Montgomery 1994, "Division by invariant integers using multiplication"). A factor of 0 stands
// for n = 1.
struct VectorDivisor {
    u32 factor = 0;
    u32 shift = 0;

    constexpr VectorDivisor() = default;
    constexpr explicit VectorDivisor(i64 n) {
        if (n <= 1) return;
        u32 l = 1;
        while ((i64{1} << l) < n) ++l;
        factor = static_cast<u32>(((u64{1} << (31 + l)) + static_cast<u64>(n) - 1) / static_cast<u64>(n));
        shift = l - 1;
    }
};

}  // namespace warpwright
