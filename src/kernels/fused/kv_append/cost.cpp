// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/kv_append/operation.h"

namespace warpwright {

Prediction KvAppendOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                               const CostConstants& costs) {
    const double elements = (problem.values ? 2.0 : 1.0) * static_cast<double>(problem.tokens) *
                            problem.kv_heads * problem.head_dim;
    // Modelled shares: scattered slots stream a little worse than a dense tensor; element-wise access issues
    // eight times the requests.
    const bool elementwise = row.arch != ArchClass::host && !row.vectors;
    const int bytes = dtype_bytes(problem.dtype) + dtype_bytes(kv_dtype(problem.kv_format, problem.dtype));
    return roofline(target, costs, elements * bytes, 0, 1,
                    elementwise ? costs.stream.elementwise_share : costs.stream.scattered_share, 1);
}

}  // namespace warpwright
