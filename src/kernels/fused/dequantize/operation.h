// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales: traits for the dispatcher (dispatch/choose.h says what each member means),
// cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/dequantize/rows.h"
#include "kernels/fused/quantize/fields.h"
#include "warpwright/device.h"

namespace warpwright {

struct DequantizeOp {
    static constexpr const char* kName = "dequantize";
    static constexpr const char* kFolder = "src/kernels/fused/dequantize";
    using Problem = DequantizeProblem;
    using Row = DequantizeRow;
    using Args = DequantizeArgs;

    static std::span<const Row> rows() { return kDequantizeRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const u32 threads = static_cast<u32>(row.threads);
        if (row.vectors == 0) {
            const i64 bytes = problem.columns * facts_of(problem.code).bits / 8;
            return {.grid = {static_cast<u32>(problem.rows), static_cast<u32>(ceil_div(bytes, row.threads))},
                    .block = {threads}};
        }
        const i64 vectors = problem.rows * (problem.columns / kVectorElements);
        return {.grid = {static_cast<u32>(ceil_div(vectors, i64{row.threads} * row.vectors))},
                .block = {threads}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
