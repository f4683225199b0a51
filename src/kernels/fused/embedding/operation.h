// SPDX-License-Identifier: Apache-2.0
// Embedding: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>

#include "kernels/cost.h"
#include "kernels/fused/embedding/rows.h"
#include "warpwright/device.h"

namespace warpwright {

struct EmbeddingOp {
    static constexpr const char* kName = "embedding";
    static constexpr const char* kFolder = "src/kernels/fused/embedding";
    using Problem = EmbeddingProblem;
    using Row = EmbeddingRow;
    using Args = EmbeddingArgs;

    static std::span<const Row> rows() { return kEmbeddingRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    // The kernel finds its token and chunk from the grid: grid.x tokens, grid.y chunks of a token.
    static LaunchConfig launch_config(const Row& row, const TargetFacts&, const Problem& problem) {
        const i64 element_bytes = dtype_bytes(problem.dtype);
        const i64 chunks =
            row.threads == 0 ? 1 : ceil_div(problem.width * element_bytes, chunk_bytes(row, element_bytes));
        return {.grid = {static_cast<u32>(problem.tokens), static_cast<u32>(chunks)},
                .block = {static_cast<u32>(row.threads)}};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
