// SPDX-License-Identifier: Apache-2.0
// quantized_experts' cost: that of the stream row of quantized_gemm that reads as much, and what blocks cost
// that do not begin at once. Modelled until a tuning table of the target says otherwise.
#include <cmath>

#include "kernels/quantized_experts/operation.h"

namespace warpwright {
namespace {

// Such a block finds its expert and fills its ring: by 32 and 64 rows of weights at 8 and 32 tokens, H100
// SXM, 2026-11-27.
constexpr double kLaterBlockUs = 0.15;

}  // namespace

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
    Prediction prediction = QuantizedGemmOp::predict(row, target, equal, costs);
    if (row.arch == ArchClass::host) return prediction;
    const i64 blocks = touched * ceil_div(equal.n, i64{row.tile_n});
    const i64 later = std::max<i64>(0, blocks - i64{target.num_sms} * row.blocks_per_sm);
    prediction.us += kLaterBlockUs * static_cast<double>(later) / target.num_sms;
    return prediction;
}

}  // namespace warpwright
