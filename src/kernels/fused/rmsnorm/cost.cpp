// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/rmsnorm/operation.h"

namespace warpwright {

Prediction RmsNormOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs) {
    const double element_bytes = dtype_bytes(problem.dtype);
    const double passes = problem.residual ? 4 : 2;
    const double elements = static_cast<double>(problem.tokens) * problem.hidden;
    // Modelled shares: whole tokens in registers stream well; element-wise access issues eight times the
    // requests and reads twice. Threads without work in a wide row cost a little more start-up.
    const bool elementwise = row.arch != ArchClass::host && row.vectors == 0;
    Prediction result = roofline(target, costs, (passes + (elementwise ? 1 : 0)) * elements * element_bytes,
                                 4 * elements, fp32_tflops(target, costs),
                                 elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                                 costs.stream.compute_share);
    result.us += row.threads * costs.stream.norm_thread_us;
    // A short batch waits for its loads: two rounds over the token, one element of each thread at a time.
    if (elementwise) result.us += 2.0 * problem.hidden / row.threads * costs.stream.norm_load_us;
    return result;
}

}  // namespace warpwright
