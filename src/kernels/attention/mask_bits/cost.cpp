// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/mask_bits/operation.h"

namespace warpwright {

Prediction MaskBitsOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                               const CostConstants& costs) {
    const double bytes = static_cast<double>(problem.rows * problem.columns);
    // Modelled share: rows that are not aligned are read byte by byte.
    const double share =
        row.arch == ArchClass::host ? costs.stream.memory_share : costs.stream.elementwise_share;
    return roofline(target, costs, bytes * (1 + 1.0 / 8), 0, 1, share, 1);
}

}  // namespace warpwright
