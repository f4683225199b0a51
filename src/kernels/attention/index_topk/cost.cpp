// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/attention/index_topk/operation.h"

namespace warpwright {

// Modelled: a block reads its logits five times, most of them from L2, and two blocks share an SM.
Prediction IndexTopkOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                const CostConstants& costs) {
    const auto tokens =
        static_cast<double>(problem.q_tokens > 0 ? problem.q_tokens : problem.sequences * problem.max_q_len);
    const auto kv_len = static_cast<double>(problem.max_kv_len);
    const double q_len = tokens / static_cast<double>(problem.sequences);
    const double seen = kv_len - (problem.causal && q_len > 1 ? std::min(q_len, kv_len) / 2 : 0);
    const double bytes = tokens * 4 * (seen + static_cast<double>(problem.k));
    if (row.arch == ArchClass::host) {
        return roofline(target, costs, bytes, tokens * seen * 20, fp32_tflops(target, costs),
                        costs.stream.elementwise_share, costs.stream.compute_share);
    }
    // Measured on an H100 (docs/cost_model.md). Blocks of one SM share what bounds them: as if one after
    // another.
    constexpr double kBlockUs = 3.5, kKeysPerUs = 1100;
    const double waves = std::max(1.0, tokens / target.num_sms);
    const double us = waves * (kBlockUs + seen / kKeysPerUs);
    const double memory_us = bytes / (target.memory_gb_s * 1e3);
    return {start_up_us(target, costs) + std::max(us, memory_us), us > memory_us ? "latency" : "memory"};
}

}  // namespace warpwright
