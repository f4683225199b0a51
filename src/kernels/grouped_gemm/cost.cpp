// SPDX-License-Identifier: Apache-2.0
// grouped_gemm's cost: gemm's constants for the blocks that are expected to have rows. Modelled until a
// tuning table of the target says otherwise.
#include <algorithm>
#include <cmath>

#include "kernels/grouped_gemm/operation.h"
#include "kernels/parse_enum.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, RowsBy& by) {
    return parse_one_of(name, text, {RowsBy::rows, RowsBy::slots, RowsBy::sums}, by);
}

namespace {

// What is expected to be there.
struct Expected {
    double groups;  // with rows
    double rows;    // of one of them
};

Expected expected_of(const GroupedGemmProblem& p) {
    const auto groups = static_cast<double>(p.groups);
    if (p.by != RowsBy::rows) {
        const auto slots = static_cast<double>(p.m * p.top_k);
        const double hit = p.expected_groups > 0 ? static_cast<double>(p.expected_groups)
                                                 : groups * (1 - std::pow(1 - 1 / groups, slots));
        return {std::max(hit, 1.0), std::max(slots / std::max(hit, 1.0), 1.0)};
    }
    const double touched = p.expected_groups > 0 ? static_cast<double>(p.expected_groups) : groups;
    const double places =
        p.grouping == Grouping::masked ? static_cast<double>(p.m) : static_cast<double>(p.m) / touched;
    const double rows = p.expected_m > 0 ? static_cast<double>(p.expected_m) : places;
    return {std::max(touched, 1.0), std::max(rows, 1.0)};
}

double bytes_moved(const GroupedGemmProblem& p, const Expected& e) {
    const double element = dtype_bytes(p.dtype), out = dtype_bytes(p.out);
    const double rows = e.groups * e.rows, n = static_cast<double>(p.n), k = static_cast<double>(p.k);
    const double rows_of_d = p.by == RowsBy::sums ? static_cast<double>(p.m) : rows;
    const double rows_of_a =
        p.gather || p.by == RowsBy::slots ? std::min<double>(rows, static_cast<double>(p.m)) : rows;
    return e.groups * n * k * element * (p.gated ? 2 : 1) + rows_of_a * k * element +
           (p.bias ? e.groups * n * element : 0) + rows_of_d * n * (out + (p.residual ? out : 0));
}

double mma_share(const TargetFacts& target, const GemmCosts& costs) {
    switch (target.build_target) {
        case BuildTarget::sm_90a: return costs.mma_share_sm90;
        case BuildTarget::sm_100f: return costs.mma_share_sm100;
        default: return costs.mma_share;
    }
}

int blocks_at_once(const GroupedGemmRow& row, const TargetFacts& target) {
    const i64 by_shared = blocks_by_shared(target, row.shared_bytes);
    const i64 by_threads = target.max_threads_per_sm / num_threads(row);
    return static_cast<int>(std::max<i64>(1, std::min<i64>({row.blocks_per_sm, by_shared, by_threads})));
}

}  // namespace

Prediction GroupedGemmOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                  const CostConstants& all_costs) {
    const GemmCosts& costs = all_costs.gemm;
    const Expected e = expected_of(problem);
    const double bytes = bytes_moved(problem, e), weights = problem.gated ? 2 : 1;
    const double flops = 2.0 * e.groups * e.rows * problem.n * problem.k * weights;
    if (row.arch == ArchClass::host) {
        return roofline(target, all_costs, bytes, flops, fp32_tflops(target, all_costs),
                        all_costs.host.gemm_memory_share, all_costs.host.gemm_compute_share);
    }
    const int columns = problem.gated ? row.tile_n / 2 : row.tile_n;
    const double tiles = std::ceil(e.rows / row.tile_m);
    const auto blocks_n = static_cast<double>(ceil_div(problem.n, columns));
    const double parts = problem.by == RowsBy::sums ? 1 : e.groups * tiles;  // of D's rows
    const double blocks = parts * blocks_n;
    const double per_sm = std::ceil(blocks / target.num_sms);
    const double at_once = std::min<double>(blocks_at_once(row, target), per_sm);
    const double block_k = static_cast<double>(round_up(problem.k, is_slots(row) ? 32 : row.tile_k)) *
                           (problem.by == RowsBy::sums ? e.groups : 1);

    const double rows_of_a = std::min<double>(row.tile_m, std::ceil(e.rows));
    const double sm_tflops = target.bf16_tflops * mma_share(target, costs) / target.num_sms;
    const double share = is_slots(row)
                             ? costs.bandwidth_tensor_share
                             : (row.aligned ? 1 : costs.unaligned_tensor_share) /
                                   (1 + costs.fragment_exposed * (2.0 / row.warp_m + 2.0 / row.warp_n) * 8);
    const double tensor_us = per_sm * 2.0 * row.tile_m * row.tile_n * block_k / (sm_tflops * share * 1e6);

    const bool streams = is_slots(row) || (row.aligned && row.tile_m <= 16);
    const double stream_share = streams ? costs.stream_share : costs.ring_share;
    const double memory_us = bytes / (target.memory_gb_s * stream_share * 1e3);
    const double block_bytes = 2.0 * block_k * (row.tile_n + rows_of_a);
    const double l2_gb_s = std::max(target.num_sms * costs.l2_bytes_per_clock * target.boost_mhz * 1e-3,
                                    costs.l2_over_memory * target.memory_gb_s);
    const double l2_us = per_sm * block_bytes / (l2_gb_s / target.num_sms * 1e3);
    const double tile_bytes = 2.0 * row.tile_k * (row.tile_n + rows_of_a);
    const double under_way = is_slots(row) ? tile_bytes * (row.stages - 0.5) * row.warps_k
                             : row.aligned ? tile_bytes * (row.stages - 1)
                                           : tile_bytes / 8;
    const double sm_us = per_sm * block_bytes / (at_once * under_way / costs.latency_us);

    const double later_blocks = per_sm / at_once - 1;
    const double start_us = start_up_us(target, all_costs) + costs.first_block_us +
                            costs.next_block_us * (at_once > 1 ? costs.next_block_overlap : 1) * later_blocks;
    const double products_us = is_slots(row) ? std::max(tensor_us, l2_us) : together_us({tensor_us, l2_us});
    const double loads_us = together_us({memory_us, sm_us});
    const double rate_us = std::max(products_us, loads_us);
    const char* bound = rate_us < start_us    ? "latency"
                        : rate_us == loads_us ? (memory_us >= sm_us ? "memory" : "latency")
                        : tensor_us >= l2_us  ? "tensor cores"
                                              : "l2";
    return {start_us + rate_us, bound};
}

}  // namespace warpwright
