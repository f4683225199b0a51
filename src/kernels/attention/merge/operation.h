// SPDX-License-Identifier: Apache-2.0
// Attention merge: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/attention/merge/rows.h"
#include "kernels/cost.h"
#include "warpwright/device.h"

namespace warpwright {

struct AttentionMergeOp {
    static constexpr const char* kName = "attention_merge";
    static constexpr const char* kFolder = "src/kernels/attention/merge";
    using Problem = AttentionMergeProblem;
    using Row = AttentionMergeRow;
    using Args = AttentionMergeArgs;

    static std::span<const Row> rows() { return kAttentionMergeRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 rows = ceil_div(problem.q_tokens * problem.heads, rows_per_block(row));
        return {.grid = {static_cast<u32>(rows * ceil_div(problem.head_dim, kMergeColumns))},
                .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
