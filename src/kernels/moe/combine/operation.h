// SPDX-License-Identifier: Apache-2.0
// Combination: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/moe/combine/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct MoeCombineOp {
    static constexpr const char* kName = "moe_combine";
    static constexpr const char* kFolder = "src/kernels/moe/combine";
    using Problem = MoeCombineProblem;
    using Row = MoeCombineRow;
    using Args = MoeCombineArgs;

    static std::span<const Row> rows() { return kMoeCombineRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    // grid.x tokens, grid.y chunks of a token.
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 chunk = i64{row.threads} * elements_per_thread(row);
        return {.grid = {static_cast<u32>(problem.tokens), static_cast<u32>(ceil_div(problem.width, chunk))},
                .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
