// SPDX-License-Identifier: Apache-2.0
// Sampling: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/sample/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct SampleOp {
    static constexpr const char* kName = "sample";
    static constexpr const char* kFolder = "src/kernels/fused/sample";
    using Problem = SampleProblem;
    using Row = SampleRow;
    using Args = SampleArgs;

    static std::span<const Row> rows() { return kSampleRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        return {.grid = {static_cast<u32>(problem.rows)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
