// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/scaling/operation.h"

namespace warpwright {

Prediction ScalingOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs) {
    const double elements = static_cast<double>(problem.length) * problem.tensors;
    Prediction result =
        roofline(target, costs, 2 * elements * dtype_bytes(DType::f32), elements, fp32_tflops(target, costs),
                 costs.stream.elementwise_share, costs.stream.compute_share);
    if (row.arch == ArchClass::host) return result;
    // Rounds over the history, which wait for their loads.
    constexpr i64 kWarp = 32;
    result.us += static_cast<double>(ceil_div(problem.length, row.threads / kWarp * row.rows)) *
                 costs.stream.norm_load_us;
    return result;
}

}  // namespace warpwright
