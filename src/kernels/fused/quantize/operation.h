// SPDX-License-Identifier: Apache-2.0
// Quantisation: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/quantize/fields.h"
#include "kernels/fused/quantize/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct QuantizeOp {
    static constexpr const char* kName = "quantize";
    static constexpr const char* kFolder = "src/kernels/fused/quantize";
    using Problem = QuantizeProblem;
    using Row = QuantizeRow;
    using Args = QuantizeArgs;

    static std::span<const Row> rows() { return kQuantizeRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    // Blocks along x alone: groups, or vectors of all rows.
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        return {.grid = {static_cast<u32>(num_blocks(row, problem))},
                .block = {static_cast<u32>(row.threads)}};
    }
    static i64 num_blocks(const Row& row, const Problem& problem);
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
