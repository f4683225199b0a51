// SPDX-License-Identifier: Apache-2.0
// The parts of the cost model that families share: a roofline with a start-up time. Separate from legality.
// Every number here is modelled; a measured table for a target overrides it.
#pragma once

#include <cmath>
#include <initializer_list>

#include "kernels/cost_constants.h"
#include "warpwright/types.h"

namespace warpwright {

constexpr i64 kReservedSharedBytes = 1024;  // of an SM's shared memory, by the system, for each block

// Blocks with so much of it that an SM holds.
constexpr i64 blocks_by_shared(const TargetFacts& target, i64 shared_bytes) {
    return target.shared_per_sm_bytes / (shared_bytes + kReservedSharedBytes);
}

constexpr double start_up_us(const TargetFacts& target, const CostConstants& costs) {
    return target.build_target == BuildTarget::host ? costs.common.host_start_us : costs.common.start_us;
}

// What goes on at the same time takes as long as the slowest, and somewhat longer where others are close:
// none hides the rest wholly.
inline double together_us(std::initializer_list<double> times_us) {
    double sum = 0;
    for (const double us : times_us) sum += us * us * us * us;
    return std::sqrt(std::sqrt(sum));
}

// Time for `bytes` of memory traffic and `flops` of work at the given shares of the peaks.
constexpr Prediction roofline(const TargetFacts& target, const CostConstants& costs, double bytes,
                              double flops, double peak_tflops, double memory_share, double compute_share) {
    const double memory_us = bytes / (target.memory_gb_s * memory_share * 1e3);
    const double compute_us = flops == 0 ? 0 : flops / (peak_tflops * compute_share * 1e6);
    const double start_us = start_up_us(target, costs);
    if (memory_us < start_us && compute_us < start_us) {
        return {start_us + (memory_us > compute_us ? memory_us : compute_us), "latency"};
    }
    if (memory_us > compute_us) return {start_us + memory_us, "memory"};
    return {start_us + compute_us, "arithmetic"};
}

// fp32 on the ordinary cores: 128 fused multiply-adds per SM and clock on every GPU from 8.6; half on 8.0.
constexpr double fp32_tflops(const TargetFacts& target, const CostConstants& costs) {
    const double fma_per_clock = target.build_target == BuildTarget::host ? costs.host.fma_per_clock
                                 : target.compute_capability == 80        ? 64
                                                                          : 128;
    return target.num_sms * fma_per_clock * 2 * target.boost_mhz * 1e-6;
}

}  // namespace warpwright
