// SPDX-License-Identifier: Apache-2.0
// Permutation: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/moe/permute/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct MoePermuteOp {
    static constexpr const char* kName = "moe_permute";
    static constexpr const char* kFolder = "src/kernels/moe/permute";
    using Problem = MoePermuteProblem;
    using Row = MoePermuteRow;
    using Args = MoePermuteArgs;

    static std::span<const Row> rows() { return kMoePermuteRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks = is_counted(row) ? ceil_div(problem.tokens * problem.top_k, kChunkSlots)
                                           : ceil_div(problem.experts, row.experts);
        return {.grid = {static_cast<u32>(blocks)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
