// SPDX-License-Identifier: Apache-2.0
// A mask of bytes as bits: traits for the dispatcher (dispatch/choose.h says what each member means), cost,
// launch.
#pragma once

#include <span>

#include "kernels/attention/mask_bits/rows.h"
#include "kernels/cost.h"
#include "warpwright/device.h"

namespace warpwright {

struct MaskBitsOp {
    static constexpr const char* kName = "mask_bits";
    static constexpr const char* kFolder = "src/kernels/attention/mask_bits";
    using Problem = MaskBitsProblem;
    using Row = MaskBitsRow;
    using Args = MaskBitsArgs;

    static std::span<const Row> rows() { return kMaskBitsRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks = ceil_div(num_warps(problem.rows, problem.columns), i64{row.threads / 32});
        return {.grid = {static_cast<u32>(blocks)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
