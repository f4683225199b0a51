// SPDX-License-Identifier: Apache-2.0
// KV append: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/kv_append/rows.h"
#include "kernels/kv_format.h"
#include "warpwright/device.h"

namespace warpwright {

struct KvAppendOp {
    static constexpr const char* kName = "kv_append";
    static constexpr const char* kFolder = "src/kernels/fused/kv_append";
    using Problem = KvAppendProblem;
    using Row = KvAppendRow;
    using Args = KvAppendArgs;

    static std::span<const Row> rows() { return kKvAppendRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static bool uses_fp8(const Row& row) { return row.codes; }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    // One block a token; it writes the token's keys and its values.
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        return {.grid = {static_cast<u32>(problem.tokens)}, .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
