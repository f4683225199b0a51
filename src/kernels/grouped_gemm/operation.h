// SPDX-License-Identifier: Apache-2.0
// grouped_gemm: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "kernels/cost.h"
#include "kernels/gemm/host_groups.h"
#include "kernels/grouped_gemm/rows.h"
#include "warpwright/device.h"

namespace warpwright {

// How fields of this type are read (dispatch/fields.h).
Status parse_enum(std::string_view name, std::string_view text, RowsBy& by);

struct GroupedGemmOp {
    static constexpr const char* kName = "grouped_gemm";
    static constexpr const char* kFolder = "src/kernels/grouped_gemm";
    using Problem = GroupedGemmProblem;
    using Row = GroupedGemmRow;
    using Args = GroupedGemmArgs;

    static std::span<const Row> rows() { return kGroupedGemmRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const int columns = problem.gated ? row.tile_n / 2 : row.tile_n;
        // As many groups as there can be: blocks of places without rows end at once.
        const i64 blocks =
            problem.by == RowsBy::rows
                ? num_blocks(problem.m, problem.n, problem.grouping, problem.groups, row.tile_m, columns)
                : ceil_div(problem.n, columns) *
                      (problem.by == RowsBy::sums ? 1 : std::min(problem.groups, problem.m * problem.top_k));
        return {.grid = {static_cast<u32>(blocks)},
                .block = {static_cast<u32>(num_threads(row))},
                .shared_bytes = static_cast<u32>(row.shared_bytes)};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
