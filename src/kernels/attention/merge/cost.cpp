// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/merge/operation.h"

namespace warpwright {

Prediction AttentionMergeOp::predict(const Row&, const TargetFacts& target, const Problem& problem,
                                     const CostConstants& costs) {
    const double rows = static_cast<double>(problem.q_tokens) * problem.heads;
    const double bytes = rows * problem.head_dim * (4.0 * problem.splits + dtype_bytes(problem.dtype));
    const double flops = 2 * rows * problem.head_dim * problem.splits;
    // Modelled share: the partial outputs were just written and mostly come from L2, at memory speed or
    // better.
    return roofline(target, costs, bytes, flops, fp32_tflops(target, costs), costs.stream.memory_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
