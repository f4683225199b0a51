// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention: traits for the dispatcher (dispatch/choose.h says what each member means),
// cost, launch.
#pragma once

#include <span>

#include "kernels/attention/mla/rows.h"
#include "kernels/cost.h"
#include "kernels/kv_format.h"
#include "warpwright/device.h"

namespace warpwright {

struct MlaOp {
    static constexpr const char* kName = "mla";
    static constexpr const char* kFolder = "src/kernels/attention/mla";
    using Problem = MlaProblem;
    using Row = MlaRow;
    using Args = MlaArgs;

    static std::span<const Row> rows() { return kMlaRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts& target, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 tiles = num_row_tiles(row, problem) * problem.sequences;
        return {.grid = {static_cast<u32>(tiles * num_splits(row, target, problem))},
                .block = {static_cast<u32>(kMlaThreads)},
                .shared_bytes = static_cast<u32>(row.shared_bytes)};
    }
    static HostFunction host_function(const Row& row);

    // Into how many parts the keys are divided: fixed by the capacities, so that one prepared launch serves
    // every length. 1 writes the output directly; more need the merge.
    static i64 num_splits(const Row& row, const TargetFacts& target, const Problem& problem,
                          const CostConstants& costs = kCosts);
};

}  // namespace warpwright
