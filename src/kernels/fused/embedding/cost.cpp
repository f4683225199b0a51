// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/embedding/operation.h"

namespace warpwright {

Prediction EmbeddingOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                const CostConstants& costs) {
    const double bytes = static_cast<double>(problem.tokens) * problem.width * dtype_bytes(problem.dtype);
    // Modelled shares: scattered rows stream a little worse than a dense tensor; element-wise access issues
    // four to eight times the requests.
    const bool elementwise = row.arch != ArchClass::host && !row.vectors;
    return roofline(target, costs, 2 * bytes, 0, 1,
                    elementwise ? costs.stream.elementwise_share : costs.stream.scattered_share, 1);
}

}  // namespace warpwright
