// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/merge_state/operation.h"

namespace warpwright {

Prediction MergeStateOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                 const CostConstants& costs) {
    const double rows = static_cast<double>(problem.tokens) * static_cast<double>(problem.heads);
    const double states = static_cast<double>(problem.states), dim = static_cast<double>(problem.head_dim);
    const double bytes = rows * (dim * dtype_bytes(problem.dtype) + 4) * (states + 1);
    const bool elementwise = row.arch != ArchClass::host && !row.vectors;
    return roofline(target, costs, bytes, 2 * rows * dim * states, fp32_tflops(target, costs),
                    elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
