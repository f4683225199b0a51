// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/merge/operation.h"

namespace warpwright {

Prediction AttentionMergeOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                     const CostConstants& costs) {
    const double rows = static_cast<double>(problem.q_tokens) * problem.heads;
    const double bytes = rows * problem.head_dim * (4.0 * problem.splits + dtype_bytes(problem.dtype));
    const double flops = 2 * rows * problem.head_dim * problem.splits;
    // Modelled share: the partial outputs were just written and mostly come from L2, at memory speed or
    // better.
    Prediction prediction = roofline(target, costs, bytes, flops, fp32_tflops(target, costs),
                                     costs.stream.memory_share, costs.stream.compute_share);
    if (row.arch == ArchClass::host) return prediction;
    // Batches of loads one after another, and blocks that take turns.
    const i64 batches = ceil_div(problem.splits, i64{kMergeBatch} * row.row_warps);
    const i64 blocks_per_sm = target.max_threads_per_sm / row.threads;
    const i64 turns = ceil_div(ceil_div(problem.q_tokens * problem.heads, rows_per_block(row)),
                               target.num_sms * blocks_per_sm);
    prediction.us += costs.attention.merge_batch_us * static_cast<double>(batches * turns);
    return prediction;
}

}  // namespace warpwright
