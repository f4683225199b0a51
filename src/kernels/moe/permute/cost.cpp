// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "kernels/moe/permute/operation.h"

namespace warpwright {
namespace {

constexpr double kLoadUs = 0.6, kCountClocks = 0.25, kWarpUs = 0.07;  // measured on an H100 SXM, 2026-11-26

}  // namespace

// Modelled: every block reads all slots twice, a thread kLoads of them at a time, each a round to L2; those
// of the first reading are counted in shared memory, by one access a slot.
Prediction MoePermuteOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                 const CostConstants& costs) {
    const double slots = static_cast<double>(problem.tokens) * static_cast<double>(problem.top_k);
    const double bytes = slots * 12 + static_cast<double>(problem.rows) * (problem.masked ? 4 : 8);
    if (row.arch == ArchClass::host) {
        return roofline(target, costs, bytes, slots * 8, fp32_tflops(target, costs),
                        costs.stream.elementwise_share, costs.stream.compute_share);
    }
    const double memory_us = bytes / (target.memory_gb_s * costs.stream.memory_share * 1e3);
    const double start_us = start_up_us(target, costs);
    if (is_counted(row)) {
        // The counting launch, most of whose start is hidden; then every block adds up all chunks' counts.
        constexpr double kCountUs = 4, kChunksAtOnce = 8, kPlaceUs = 3;
        const double chunks = std::ceil(slots / kChunkSlots);
        const double us = kCountUs + kPlaceUs + std::ceil(chunks / kChunksAtOnce) * kLoadUs;
        return {start_us + std::max(us, memory_us), us > memory_us ? "latency" : "memory"};
    }
    const i64 blocks = ceil_div(problem.experts, row.experts);
    const i64 per_sm =
        std::min<i64>(target.max_threads_per_sm / row.threads, ceil_div(blocks, target.num_sms));
    const double waves = static_cast<double>(ceil_div(blocks, target.num_sms * per_sm));
    const i64 at_once = i64{row.threads} * row.loads;
    const double rounds = 2 * static_cast<double>(ceil_div(problem.tokens * problem.top_k, at_once));
    const double counted = problem.masked ? 0 : slots * static_cast<double>(per_sm);
    const double block_us = rounds * kLoadUs + counted * kCountClocks / target.boost_mhz +
                            static_cast<double>(ceil_div(row.threads, 32)) * kWarpUs;
    if (memory_us > waves * block_us) return {start_us + memory_us, "memory"};
    return {start_us + waves * block_us, "latency"};
}

}  // namespace warpwright
