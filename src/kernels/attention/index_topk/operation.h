// SPDX-License-Identifier: Apache-2.0
// The best keys of each query: traits for the dispatcher (dispatch/choose.h says what each member means),
// cost, launch.
#pragma once

#include <span>

#include "kernels/attention/index_topk/rows.h"
#include "kernels/cost.h"
#include "warpwright/device.h"

namespace warpwright {

struct IndexTopkOp {
    static constexpr const char* kName = "index_topk";
    static constexpr const char* kFolder = "src/kernels/attention/index_topk";
    using Problem = IndexTopkProblem;
    using Row = IndexTopkRow;
    using Args = IndexTopkArgs;

    static std::span<const Row> rows() { return kIndexTopkRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        return {.grid = {static_cast<u32>(problem.sequences * problem.max_q_len)},
                .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
