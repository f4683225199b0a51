// SPDX-License-Identifier: Apache-2.0
// gemm's cost: the slowest of tensor cores, memory, L2, and what one SM can have under way. Every share is
// modelled until a tuning table of the target says otherwise.
#include <algorithm>

#include "kernels/gemm/operation.h"

namespace warpwright {
namespace {

double mma_share(const TargetFacts& target, const GemmCosts& costs) {
    switch (target.build_target) {
        case BuildTarget::sm_90a: return costs.mma_share_sm90;
        case BuildTarget::sm_100f: return costs.mma_share_sm100;
        default: return costs.mma_share;
    }
}

constexpr double kSharedBytesPerFma = 128.0 / 1024;  // shared memory's bytes a clock beside the products'

// Of the tensor cores' rate, for a warp tile: fragments come from shared memory at
// 2 (warp_m + warp_n) bytes per warp_m x warp_n FMAs.
double fragment_share(const GemmRow& row, const GemmCosts& costs) {
    const double bytes_per_fma = 2.0 / row.warp_m + 2.0 / row.warp_n;
    return 1 / (1 + costs.fragment_exposed * bytes_per_fma / kSharedBytesPerFma);
}

int blocks_at_once(const GemmRow& row, const TargetFacts& target) {
    const i64 by_shared = blocks_by_shared(target, row.shared_bytes);
    const i64 by_threads = target.max_threads_per_sm / num_threads(row);
    return static_cast<int>(std::max<i64>(1, std::min<i64>({row.blocks_per_sm, by_shared, by_threads})));
}

double bytes_moved(const GemmProblem& p) {
    const double element = dtype_bytes(p.dtype), out = dtype_bytes(p.out);
    const double outputs = static_cast<double>(p.m) * p.n;
    return (static_cast<double>(p.m) + p.n) * p.k * element + (p.bias ? p.n * element : 0) +
           outputs * ((p.gate ? element : 0) + (p.residual ? out : 0) + out);
}

// Rows of A that a block loads.
double rows_of_a(const GemmRow& row, const GemmProblem& problem) {
    return static_cast<double>(is_bandwidth(row) ? problem.m : std::min<i64>(row.tile_m, problem.m));
}

// Bytes of operands that a block has requested and not yet received.
double bytes_under_way(const GemmRow& row, const GemmProblem& problem) {
    if (is_bandwidth(row)) {
        return 2.0 * row.tile_k * (row.tile_n + rows_of_a(row, problem)) * (row.stages - 0.5) * row.warps_k;
    }
    const double tile = 2.0 * row.tile_k * (rows_of_a(row, problem) + row.tile_n);
    return row.aligned ? tile * (row.stages - 1) : tile / 8;
}

}  // namespace

Prediction GemmOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                           const CostConstants& all_costs) {
    const GemmCosts& costs = all_costs.gemm;
    const double flops = 2.0 * problem.m * problem.n * problem.k;
    if (row.arch == ArchClass::host) {
        return roofline(target, all_costs, bytes_moved(problem), flops, fp32_tflops(target, all_costs),
                        all_costs.host.gemm_memory_share, all_costs.host.gemm_compute_share);
    }
    const i64 blocks_m = is_bandwidth(row) ? 1 : ceil_div(problem.m, row.tile_m);
    const double blocks = static_cast<double>(blocks_m) * ceil_div(problem.n, row.tile_n);
    // The busiest SM: blocks are dealt out evenly, several at once where they fit.
    const double per_sm = static_cast<double>(ceil_div(static_cast<i64>(blocks), target.num_sms));
    const double at_once = std::min<double>(blocks_at_once(row, target), per_sm);
    const double padded_k = static_cast<double>(round_up(problem.k, is_bandwidth(row) ? 32 : row.tile_k));

    // Products of a bandwidth row are of 16 rows of B: with 8, half of each is zeros.
    const double tile_n = is_bandwidth(row) ? static_cast<double>(round_up(row.tile_n, 16)) : row.tile_n;
    const double block_flops = 2.0 * row.tile_m * tile_n * padded_k;
    const double sm_tflops = target.bf16_tflops * mma_share(target, costs) / target.num_sms;
    const double share = is_bandwidth(row)
                             ? costs.bandwidth_tensor_share
                             : fragment_share(row, costs) * (row.aligned ? 1 : costs.unaligned_tensor_share);
    const double tensor_us = per_sm * block_flops / (sm_tflops * share * 1e6);

    const bool streams = is_bandwidth(row) || (row.aligned && row.tile_m <= 16);
    const double stream_share = streams ? costs.stream_share : costs.ring_share;
    const double memory_us = bytes_moved(problem) / (target.memory_gb_s * stream_share * 1e3);
    const double block_bytes = 2.0 * padded_k * (row.tile_n + rows_of_a(row, problem));
    const double l2_gb_s = std::max(target.num_sms * costs.l2_bytes_per_clock * target.boost_mhz * 1e-3,
                                    costs.l2_over_memory * target.memory_gb_s);
    const double l2_us = per_sm * block_bytes / (l2_gb_s / target.num_sms * 1e3);
    const double sm_us = per_sm * block_bytes / (at_once * bytes_under_way(row, problem) / costs.latency_us);

    const double later_blocks = per_sm / at_once - 1;
    const double start_us = start_up_us(target, all_costs) + costs.first_block_us +
                            costs.next_block_us * (at_once > 1 ? costs.next_block_overlap : 1) * later_blocks;
    // Tiles reach shared memory through the same ports that the products' fragments leave it by.
    const double products_us =
        is_bandwidth(row) ? std::max(tensor_us, l2_us) : together_us({tensor_us, l2_us});
    // Where an SM has but little more under way than memory takes to answer, waits add up.
    const double loads_us = together_us({memory_us, sm_us});
    const double rate_us = std::max(products_us, loads_us);
    const char* bound = rate_us < start_us    ? "latency"
                        : rate_us == loads_us ? (memory_us >= sm_us ? "memory" : "latency")
                        : tensor_us >= l2_us  ? "tensor cores"
                                              : "l2";
    return {start_us + rate_us, bound};
}

}  // namespace warpwright
