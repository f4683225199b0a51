// SPDX-License-Identifier: Apache-2.0
#include "kernels/quantized_gemm/order/operation.h"

namespace warpwright {

Prediction GatherColumnsOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                    const CostConstants& costs) {
    const double rows = static_cast<double>(problem.rows), columns = static_cast<double>(problem.columns);
    // Modelled share: elements one by one, from a row that the first level of caches holds.
    const double share =
        row.arch == ArchClass::host ? costs.stream.memory_share : costs.stream.elementwise_share;
    return roofline(target, costs, rows * columns * 4 + columns * 4, 0, 1, share, 1);
}

}  // namespace warpwright
