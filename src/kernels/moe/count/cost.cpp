// SPDX-License-Identifier: Apache-2.0
#include "kernels/moe/count/operation.h"

namespace warpwright {

// Modelled: a block's warps take turns.
Prediction MoeCountOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                               const CostConstants& costs) {
    const double slots = static_cast<double>(problem.slots);
    const double bytes = slots * 8 + slots / kChunkSlots * static_cast<double>(problem.experts) * 4;
    if (row.arch == ArchClass::host) {
        return roofline(target, costs, bytes, slots * 8, fp32_tflops(target, costs),
                        costs.stream.elementwise_share, costs.stream.compute_share);
    }
    constexpr double kBlockUs = 2;
    const i64 at_once = target.num_sms * (target.max_threads_per_sm / row.threads);
    const double waves = static_cast<double>(ceil_div(ceil_div(problem.slots, kChunkSlots), at_once));
    return {start_up_us(target, costs) + waves * kBlockUs, "latency"};
}

}  // namespace warpwright
