// SPDX-License-Identifier: Apache-2.0
// Latent append: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cost.h"
#include "kernels/fused/latent_append/rows.h"
#include "kernels/fused/quantize/fields.h"
#include "warpwright/device.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, LatentPages& pages);

struct LatentAppendOp {
    static constexpr const char* kName = "latent_append";
    static constexpr const char* kFolder = "src/kernels/fused/latent_append";
    using Problem = LatentAppendProblem;
    using Row = LatentAppendRow;
    using Args = LatentAppendArgs;

    static std::span<const Row> rows() { return kLatentAppendRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static bool uses_fp8(const Row&) { return true; }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    // Groups of all tokens, one after another.
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks = ceil_div(problem.tokens * groups_of(problem.pages), row.threads / kLatentLanes);
        return {.grid = {static_cast<u32>(blocks)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
