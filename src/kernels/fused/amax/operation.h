// SPDX-License-Identifier: Apache-2.0
// Largest magnitudes: traits for the dispatcher (dispatch/choose.h says what each member means), cost,
// launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/amax/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct AmaxOp {
    static constexpr const char* kName = "amax";
    static constexpr const char* kFolder = "src/kernels/fused/amax";
    using Problem = AmaxProblem;
    using Row = AmaxRow;
    using Args = AmaxArgs;

    static std::span<const Row> rows() { return kAmaxRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        return {.grid = {static_cast<u32>(problem.parts)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
