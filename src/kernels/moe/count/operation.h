// SPDX-License-Identifier: Apache-2.0
// Slots of experts, chunk by chunk: traits for the dispatcher (dispatch/choose.h says what each member
// means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/moe/count/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct MoeCountOp {
    static constexpr const char* kName = "moe_count";
    static constexpr const char* kFolder = "src/kernels/moe/count";
    using Problem = MoeCountProblem;
    using Row = MoeCountRow;
    using Args = MoeCountArgs;

    static std::span<const Row> rows() { return kMoeCountRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks = ceil_div(problem.slots, kChunkSlots);
        return {.grid = {static_cast<u32>(blocks)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
