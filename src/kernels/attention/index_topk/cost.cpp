// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/attention/index_topk/operation.h"
#include "kernels/attention/index_work.h"

namespace warpwright {

// A block reads its logits three times, most of them from L2.
Prediction IndexTopkOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                const CostConstants& costs) {
    const IndexWork work = index_work(problem);
    const double tokens = work.tokens, seen = work.seen;
    const double bytes = tokens * 4 * (seen + static_cast<double>(problem.k));
    if (row.arch == ArchClass::host) {
        return roofline(target, costs, bytes, tokens * seen * 20, fp32_tflops(target, costs),
                        costs.stream.elementwise_share, costs.stream.compute_share);
    }
    // Measured on an H100 (docs/cost_model.md). Blocks of one SM share what bounds them: as if one after
    // another.
    constexpr double kBlockUs = 5, kKeysPerUs = 1850;
    const double waves = std::max(1.0, tokens / target.num_sms);
    const double us = waves * (kBlockUs + seen / kKeysPerUs);
    const double memory_us = bytes / (target.memory_gb_s * 1e3);
    return {start_up_us(target, costs) + std::max(us, memory_us), us > memory_us ? "latency" : "memory"};
}

}  // namespace warpwright
