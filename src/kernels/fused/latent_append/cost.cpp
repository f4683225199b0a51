// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/latent_append/operation.h"
#include "kernels/parse_enum.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, LatentPages& pages) {
    return parse_one_of(name, text, {LatentPages::records, LatentPages::index_keys}, pages);
}

Prediction LatentAppendOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                   const CostConstants& costs) {
    const int bytes = 2 * columns_of(problem.pages) + record_bytes_of(problem.pages);
    // Modelled shares, as kv_append's.
    const bool elementwise = row.arch != ArchClass::host && !row.vectors;
    return roofline(target, costs, static_cast<double>(problem.tokens) * bytes, 0, 1,
                    elementwise ? costs.stream.elementwise_share : costs.stream.scattered_share, 1);
}

}  // namespace warpwright
