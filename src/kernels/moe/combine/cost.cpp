// SPDX-License-Identifier: Apache-2.0
#include "kernels/moe/combine/operation.h"

namespace warpwright {

Prediction MoeCombineOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                 const CostConstants& costs) {
    const double elements = static_cast<double>(problem.tokens) * static_cast<double>(problem.width);
    const double moved = static_cast<double>(problem.top_k) + (problem.base ? 2 : 1);
    const bool elementwise = row.arch != ArchClass::host && !row.vectors;
    return roofline(target, costs, elements * moved * dtype_bytes(problem.dtype),
                    2 * elements * static_cast<double>(problem.top_k), fp32_tflops(target, costs),
                    elementwise ? costs.stream.elementwise_share : costs.stream.scattered_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
