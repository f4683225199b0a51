// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/amax/operation.h"

namespace warpwright {

Prediction AmaxOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                           const CostConstants& costs) {
    const double elements = static_cast<double>(problem.rows) * problem.columns;
    const bool elementwise = row.arch != ArchClass::host && row.vectors == 0;
    return roofline(
        target, costs, elements * dtype_bytes(problem.dtype), elements, fp32_tflops(target, costs),
        elementwise ? costs.stream.elementwise_share : costs.stream.memory_share, costs.stream.compute_share);
}

}  // namespace warpwright
