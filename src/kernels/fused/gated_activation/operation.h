// SPDX-License-Identifier: Apache-2.0
// Gated activation: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/gated_activation/rows.h"
#include "kernels/fused/quantize/fields.h"
#include "warpwright/device.h"

namespace warpwright {

struct GatedActivationOp {
    static constexpr const char* kName = "gated_activation";
    static constexpr const char* kFolder = "src/kernels/fused/gated_activation";
    using Problem = GatedActivationProblem;
    using Row = GatedActivationRow;
    using Args = GatedActivationArgs;

    static std::span<const Row> rows() { return kGatedActivationRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        return {.grid = {static_cast<u32>(quantized_rows(problem.quantized, problem.tokens)),
                         static_cast<u32>(num_chunks(row, problem))},
                .block = {static_cast<u32>(row.threads)}};
    }
    // Blocks of a token: chunks of it, or groups, a warp each.
    static i64 num_chunks(const Row& row, const Problem& problem);
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
