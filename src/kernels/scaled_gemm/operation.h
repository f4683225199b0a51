// SPDX-License-Identifier: Apache-2.0
// scaled_gemm: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cost.h"
#include "kernels/fused/quantize/operation.h"
#include "kernels/gemm/host_groups.h"
#include "kernels/scaled_gemm/rows.h"
#include "warpwright/device.h"

namespace warpwright {

// How fields of this type are read (dispatch/fields.h).
Status parse_enum(std::string_view name, std::string_view text, Scaling& scaling);

struct ScaledGemmOp {
    static constexpr const char* kName = "scaled_gemm";
    static constexpr const char* kFolder = "src/kernels/scaled_gemm";
    using Problem = ScaledGemmProblem;
    using Row = ScaledGemmRow;
    using Args = ScaledGemmArgs;

    static std::span<const Row> rows() { return kScaledGemmRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks =
            num_blocks(problem.m, problem.n, problem.grouping, problem.groups, row.tile_m, row.tile_n);
        return {.grid = {static_cast<u32>(blocks)},
                .block = {static_cast<u32>(num_threads(row))},
                .shared_bytes = static_cast<u32>(row.shared_bytes)};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
