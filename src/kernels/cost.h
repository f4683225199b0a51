// SPDX-License-Identifier: Apache-2.0
// The parts of the cost model that families share: a roofline with a start-up time. Separate from legality.
// Every number here is modelled; a measured table for a target overrides it.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// A kernel inside a captured graph: launch, first wave's loads, drain. H100 and H200: about 2 us for an empty
// kernel chain; the CPU's pool wakes in about one.
constexpr double start_up_us(const TargetFacts& target) {
    return target.build_target == BuildTarget::host ? 1.0 : 2.2;
}

// Time for `bytes` of memory traffic and `flops` of work at the given shares of the peaks.
constexpr Prediction roofline(const TargetFacts& target, double bytes, double flops, double peak_tflops,
                              double memory_share, double compute_share) {
    const double memory_us = bytes / (target.memory_gb_s * memory_share * 1e3);
    const double compute_us = flops == 0 ? 0 : flops / (peak_tflops * compute_share * 1e6);
    const double start_us = start_up_us(target);
    if (memory_us < start_us && compute_us < start_us) {
        return {start_us + (memory_us > compute_us ? memory_us : compute_us), "latency"};
    }
    if (memory_us > compute_us) return {start_us + memory_us, "memory"};
    return {start_us + compute_us, "arithmetic"};
}

// fp32 on the ordinary cores: 128 fused multiply-adds per SM and clock on every GPU from 8.6; half on 8.0. A
// CPU core is taken as 16 per clock.
constexpr double fp32_tflops(const TargetFacts& target) {
    const double fma_per_clock = target.build_target == BuildTarget::host ? 16
                                 : target.compute_capability == 80        ? 64
                                                                          : 128;
    return target.num_sms * fma_per_clock * 2 * target.boost_mhz * 1e-6;
}

}  // namespace warpwright
