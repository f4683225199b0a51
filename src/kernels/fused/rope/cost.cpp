// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/rope/operation.h"

namespace warpwright {

Prediction RopeOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                           const CostConstants& costs) {
    const double heads = static_cast<double>(problem.heads + problem.kv_heads);
    const double elements = static_cast<double>(problem.tokens) * heads * problem.rotary_dim;
    const i64 value_dim = problem.value_dim > 0 ? problem.value_dim : problem.head_dim;
    // Appended: all of v, and the rest of k.
    const double moved = problem.page_size == 0
                             ? 0
                             : static_cast<double>(problem.tokens * problem.kv_heads) *
                                   static_cast<double>(problem.head_dim + value_dim - problem.rotary_dim);
    // Codes are written as one byte in place of two.
    const double saved =
        problem.page_size == 0
            ? 0
            : static_cast<double>(problem.tokens * problem.kv_heads) *
                  static_cast<double>(problem.head_dim + value_dim) *
                  (dtype_bytes(problem.dtype) - dtype_bytes(kv_dtype(problem.kv_format, problem.dtype)));
    const double angles = static_cast<double>(problem.tokens) * problem.rotary_dim / 2;
    const bool elementwise = row.arch != ArchClass::host && row.max_pairs == 0;
    return roofline(target, costs, 2 * (elements + moved) * dtype_bytes(problem.dtype) - saved,
                    3 * elements + costs.stream.angle_flops * angles, fp32_tflops(target, costs),
                    elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
