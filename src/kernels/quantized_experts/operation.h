// SPDX-License-Identifier: Apache-2.0
// quantized_experts: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <algorithm>
#include <span>

#include "kernels/quantized_experts/rows.h"
#include "kernels/quantized_gemm/operation.h"

namespace warpwright {

struct QuantizedExpertsOp {
    static constexpr const char* kName = "quantized_experts";
    static constexpr const char* kFolder = "src/kernels/quantized_experts";
    using Problem = QuantizedExpertsProblem;
    using Row = QuantizedGemmRow;
    using Args = QuantizedExpertsArgs;

    static std::span<const Row> rows() { return kQuantizedExpertsRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return why_not_experts(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        // As many experts as there can be: blocks without choices end at once.
        const i64 groups = std::min(problem.groups, problem.m * problem.top_k);
        const i64 columns = ceil_div(problem.n, problem.gated ? row.tile_n / 2 : row.tile_n);
        return {.grid = {static_cast<u32>(columns * groups)},
                .block = {static_cast<u32>(num_threads(row))},
                .shared_bytes = static_cast<u32>(row.shared_bytes)};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
