// SPDX-License-Identifier: Apache-2.0
// Scales that are powers of two, for host rows and kernels.
#pragma once

#include "warpwright/quantize_format.h"

namespace warpwright {

// Of a group with this amax, fp32's bits, the exponent of the scale as fp32 stores it: `up`, of the least
// power of two by which no number of the group is beyond the code's largest; else, as OCP's formats have it,
// that of amax less that of the code's largest. What is no normal number is the caller's.
constexpr int scale_exponent(const CodeTypeFacts& facts, u32 amax, bool up) {
    const bool beyond = up && (amax & 0x7fffffu) > facts.max_fraction;
    return static_cast<int>(amax >> 23) - facts.max_exponent + (beyond ? 1 : 0);
}

}  // namespace warpwright
