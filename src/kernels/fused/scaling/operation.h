// SPDX-License-Identifier: Apache-2.0
// Delayed scaling: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/scaling/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct ScalingOp {
    static constexpr const char* kName = "scaling";
    static constexpr const char* kFolder = "src/kernels/fused/scaling";
    using Problem = ScalingProblem;
    using Row = ScalingRow;
    using Args = ScalingArgs;

    static std::span<const Row> rows() { return kScalingRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        return {.grid = {static_cast<u32>(ceil_div(problem.tensors, kScalingTensors))},
                .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
