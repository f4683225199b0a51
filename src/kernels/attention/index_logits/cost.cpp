// SPDX-License-Identifier: Apache-2.0
// Products of queries and keys, and the scores on their way out.
#include "kernels/attention/index_logits/operation.h"
#include "kernels/attention/index_work.h"

namespace warpwright {

Prediction IndexLogitsOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                  const CostConstants& costs) {
    const auto [tokens, q_len, seen] = index_work(problem);
    const auto kv_len = static_cast<double>(problem.max_kv_len), heads = static_cast<double>(problem.heads);
    const double flops = 2 * tokens * heads * seen * kIndexDim;
    const bool codes = problem.kv_format != KvFormat::same;
    const int query_bytes = problem.coded_queries ? 1 : 2;
    const double bytes =
        static_cast<double>(problem.sequences) * kv_len * (codes ? kIndexRecordBytes : 2 * kIndexDim) +
        tokens * (heads * kIndexDim * query_bytes + seen * 4);
    if (row.arch == ArchClass::host) {
        return roofline(target, costs, bytes, flops, fp32_tflops(target, costs),
                        costs.host.attention_memory_share, costs.host.attention_compute_share);
    }
    // Measured on an H100 (docs/cost_model.md): of a sequence's one query every key is loaded anew.
    constexpr double kMemoryShare = 0.65;
    const double tensor_share = q_len > 1 ? 0.35 : 0.15;
    return roofline(target, costs, bytes, flops, target.bf16_tflops, kMemoryShare, tensor_share);
}

}  // namespace warpwright
