// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/gated_activation/operation.h"

namespace warpwright {

Prediction GatedActivationOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                      const CostConstants& costs) {
    const double elements = static_cast<double>(problem.tokens) * problem.width;
    const bool elementwise = row.arch != ArchClass::host && !row.vectors;
    return roofline(target, costs, 3 * elements * dtype_bytes(problem.dtype),
                    costs.stream.activation_flops * elements, fp32_tflops(target, costs),
                    elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
