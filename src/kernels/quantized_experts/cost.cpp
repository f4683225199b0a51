// SPDX-License-Identifier: Apache-2.0
// quantized_experts' cost: that of the stream row of quantized_gemm that reads as much. Modelled until a
// tuning table of the target says otherwise.
#include <cmath>

#include "kernels/quantized_experts/operation.h"

namespace warpwright {

Prediction QuantizedExpertsOp::predict(const Row& row, const TargetFacts& target, const Problem& p,
                                       const CostConstants& costs) {
    const auto groups = static_cast<double>(p.groups), slots = static_cast<double>(p.m * p.top_k);
    const i64 hit = p.expected_groups > 0 ? p.expected_groups
                                          : std::lround(groups * (1 - std::pow(1 - 1 / groups, slots)));
    const i64 touched = std::max<i64>(1, hit), each = std::max<i64>(1, ceil_div(p.m * p.top_k, touched));
    const QuantizedGemmProblem equal{.m = p.m,
                                     .n = p.gated ? 2 * p.n : p.n,
                                     .k = p.k,
                                     .dtype = p.dtype,
                                     .out = p.dtype,
                                     .format = p.format,
                                     .group = p.group,
                                     .scale = p.scale,
                                     .zeros = p.zeros,
                                     .bias = p.bias,
                                     .grouping = Grouping::masked,
                                     .groups = p.groups,
                                     .expected_groups = touched,
                                     .expected_m = std::min(each, p.m)};
    return QuantizedGemmOp::predict(row, target, equal, costs);
}

}  // namespace warpwright
