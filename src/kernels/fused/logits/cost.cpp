// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/logits/operation.h"

namespace warpwright {

Prediction LogitsOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                             const CostConstants& costs) {
    constexpr double kSectorBytes = 32;  // what one listed logit moves, in and out
    const bool host = row.arch == ArchClass::host;
    const bool elementwise = !host && row.vectors == 0;
    const auto entries = static_cast<double>(problem.entries);
    double bytes = entries * ((problem.bias ? 16 : 12) + 2 * kSectorBytes), flops = 0;
    if (is_dense(problem)) {
        const double elements = static_cast<double>(problem.rows) * static_cast<double>(problem.vocabulary);
        bytes += 2 * elements * sizeof(float);
        if (problem.softcap > 0) flops = costs.stream.activation_flops * elements;
        // Every block of a row looks for its own tokens in the row's list, from L2.
        if (!host) bytes += entries * sizeof(i32) * static_cast<double>(blocks_per_row(row, problem));
    }
    return roofline(target, costs, bytes, flops, fp32_tflops(target, costs),
                    elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
