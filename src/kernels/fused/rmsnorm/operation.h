// SPDX-License-Identifier: Apache-2.0
// RMSNorm: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/quantize/fields.h"
#include "kernels/fused/rmsnorm/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct RmsNormOp {
    static constexpr const char* kName = "rmsnorm";
    static constexpr const char* kFolder = "src/kernels/fused/rmsnorm";
    using Problem = RmsNormProblem;
    using Row = RmsNormRow;
    using Args = RmsNormArgs;

    static std::span<const Row> rows() { return kRmsNormRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        const i64 blocks =
            ceil_div(quantized_rows(problem.quantized, problem.tokens) * problem.heads, rows_per_block(row));
        return {.grid = {static_cast<u32>(blocks)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
