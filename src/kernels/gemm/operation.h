// SPDX-License-Identifier: Apache-2.0
// gemm: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/gemm/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct GemmOp {
    static constexpr const char* kName = "gemm";
    static constexpr const char* kFolder = "src/kernels/gemm";
    using Problem = GemmProblem;
    using Row = GemmRow;
    using Args = GemmArgs;

    static std::span<const Row> rows() { return kGemmRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks_m = is_bandwidth(row) ? 1 : ceil_div(problem.m, row.tile_m);
        return {.grid = {static_cast<u32>(blocks_m * ceil_div(problem.n, row.tile_n))},
                .block = {static_cast<u32>(num_threads(row))},
                .shared_bytes = static_cast<u32>(row.shared_bytes)};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
