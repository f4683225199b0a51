// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/rope/operation.h"

namespace warpwright {

Prediction RopeOp::predict(const Row& row, const TargetFacts& target, const Problem& problem) {
    const double heads = static_cast<double>(problem.heads + problem.kv_heads);
    const double elements = static_cast<double>(problem.tokens) * heads * problem.rotary_dim;
    const double angles = static_cast<double>(problem.tokens) * problem.rotary_dim / 2;
    // Modelled: sine and cosine of an angle count as 40 operations; element-wise access issues eight times
    // the requests.
    const bool elementwise = row.arch != ArchClass::host && row.max_pairs == 0;
    return roofline(target, 2 * elements * dtype_bytes(problem.dtype), 3 * elements + 40 * angles,
                    fp32_tflops(target), elementwise ? 0.4 : 0.85, 0.5);
}

}  // namespace warpwright
