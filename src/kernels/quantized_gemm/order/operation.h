// SPDX-License-Identifier: Apache-2.0
// Columns in a given order: traits for the dispatcher (dispatch/choose.h says what each member means), cost,
// launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/gemm/host_groups.h"
#include "kernels/quantized_gemm/order/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct GatherColumnsOp {
    static constexpr const char* kName = "gather_columns";
    static constexpr const char* kFolder = "src/kernels/quantized_gemm/order";
    using Problem = GatherColumnsProblem;
    using Row = GatherColumnsRow;
    using Args = GatherColumnsArgs;

    static std::span<const Row> rows() { return kGatherColumnsRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks =
            ceil_div(problem.rows, i64{row.block_rows}) * ceil_div(problem.columns, i64{row.threads});
        return {.grid = {static_cast<u32>(blocks)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
