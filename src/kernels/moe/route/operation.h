// SPDX-License-Identifier: Apache-2.0
// Routing: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cost.h"
#include "kernels/moe/route/rows.h"
#include "warpwright/device.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, ExpertScore& score);

struct MoeRouteOp {
    static constexpr const char* kName = "moe_route";
    static constexpr const char* kFolder = "src/kernels/moe/route";
    using Problem = MoeRouteProblem;
    using Row = MoeRouteRow;
    using Args = MoeRouteArgs;

    static std::span<const Row> rows() { return kMoeRouteRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        return {.grid = {static_cast<u32>(ceil_div(problem.tokens, row.threads / 32))},
                .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
