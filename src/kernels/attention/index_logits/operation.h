// SPDX-License-Identifier: Apache-2.0
// Scores of an indexer: traits for the dispatcher (dispatch/choose.h says what each member means), cost,
// launch.
#pragma once

#include <span>

#include "kernels/attention/index_logits/rows.h"
#include "kernels/cost.h"
#include "kernels/kv_format.h"
#include "warpwright/device.h"

namespace warpwright {

struct IndexLogitsOp {
    static constexpr const char* kName = "index_logits";
    static constexpr const char* kFolder = "src/kernels/attention/index_logits";
    using Problem = IndexLogitsProblem;
    using Row = IndexLogitsRow;
    using Args = IndexLogitsArgs;

    static std::span<const Row> rows() { return kIndexLogitsRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks = ceil_div(problem.max_kv_len, row.kv_tile) *
                           ceil_div(problem.max_q_len, row.q_tile) * problem.sequences;
        return {.grid = {static_cast<u32>(blocks)}, .block = {static_cast<u32>(num_threads(row))}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
