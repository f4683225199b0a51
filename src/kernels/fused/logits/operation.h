// SPDX-License-Identifier: Apache-2.0
// Logits before sampling: traits for the dispatcher (dispatch/choose.h says what each member means), cost,
// launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/logits/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct LogitsOp {
    static constexpr const char* kName = "logits";
    static constexpr const char* kFolder = "src/kernels/fused/logits";
    using Problem = LogitsProblem;
    using Row = LogitsRow;
    using Args = LogitsArgs;

    static std::span<const Row> rows() { return kLogitsRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    // grid.x rows, grid.y blocks of a row.
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        return {.grid = {static_cast<u32>(problem.rows), static_cast<u32>(blocks_per_row(row, problem))},
                .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
