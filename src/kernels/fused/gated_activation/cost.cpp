// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/gated_activation/operation.h"

namespace warpwright {

Prediction GatedActivationOp::predict(const Row& row, const TargetFacts& target, const Problem& problem) {
    const double elements = static_cast<double>(problem.tokens) * problem.width;
    // Modelled: an exponential or error function with its division counts as about 25 operations;
    // element-wise access issues eight times the requests.
    const bool elementwise = row.arch != ArchClass::host && !row.vectors;
    return roofline(target, 3 * elements * dtype_bytes(problem.dtype), 25 * elements, fp32_tflops(target),
                    elementwise ? 0.4 : 0.85, 0.5);
}

}  // namespace warpwright
