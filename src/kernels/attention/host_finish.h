// SPDX-License-Identifier: Apache-2.0
// What ends a row of attention on the host; finish.cuh is the same for GPUs.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "warpwright/types.h"

namespace warpwright {

struct HostFinished {
    float scale;  // of the summed products
    float lse;
};

// max: in base 2. A row without keys has sum 0.
inline HostFinished host_finish(float max, float sum, const float* sinks, i64 head, float lse_factor) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity(), kLog2E = 1.4426950408889634f;
    const float before = sum == 0 ? -kInfinity : max;
    if (sinks == nullptr)
        return {sum == 0 ? 0 : 1 / sum, (sum == 0 ? -kInfinity : max + std::log2(sum)) * lse_factor};
    const float sink = sinks[head] * kLog2E, common = std::max(before, sink);
    if (common == -kInfinity) return {0, common};
    const float factor = std::exp2(before - common);
    const float total = sum * factor + std::exp2(sink - common);
    return {factor / total, (common + std::log2(total)) * lse_factor};
}

}  // namespace warpwright
