// SPDX-License-Identifier: Apache-2.0
#include "kernels/moe/route/operation.h"
#include "kernels/parse_enum.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, ExpertScore& score) {
    return parse_one_of(name, text, {ExpertScore::softmax, ExpertScore::sigmoid, ExpertScore::sqrt_softplus},
                        score);
}

// Modelled: a warp's rounds of choosing follow each other, and an SM has some of them at work at once.
Prediction MoeRouteOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                               const CostConstants& costs) {
    const double tokens = static_cast<double>(problem.tokens), experts = static_cast<double>(row.experts);
    const double bytes = tokens * (static_cast<double>(problem.experts) * dtype_bytes(problem.dtype) +
                                   static_cast<double>(problem.top_k) * 8);
    const double flops = tokens * static_cast<double>(problem.experts) * costs.stream.activation_flops +
                         tokens * experts * 3 *
                             static_cast<double>(problem.table ? 1 : problem.top_k + 3 * problem.num_groups);
    return roofline(target, costs, bytes, flops, fp32_tflops(target, costs), costs.stream.memory_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
