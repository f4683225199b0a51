// SPDX-License-Identifier: Apache-2.0
// Merge of states: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/attention/merge_state/rows.h"
#include "kernels/cost.h"
#include "warpwright/device.h"

namespace warpwright {

struct MergeStateOp {
    static constexpr const char* kName = "merge_state";
    static constexpr const char* kFolder = "src/kernels/attention/merge_state";
    using Problem = MergeStateProblem;
    using Row = MergeStateRow;
    using Args = MergeStateArgs;

    static std::span<const Row> rows() { return kMergeStateRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        return {
            .grid = {static_cast<u32>(ceil_div(problem.tokens * problem.heads, i64{rows_per_block(row)}))},
            .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
