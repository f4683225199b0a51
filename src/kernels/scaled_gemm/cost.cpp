// SPDX-License-Identifier: Apache-2.0
// scaled_gemm's cost: gemm's constants with the rates of 8-bit products, and the instructions that codes and
// sums of parts need beside them. Modelled until a tuning table of the target says otherwise.
#include <algorithm>

#include "kernels/parse_enum.h"
#include "kernels/scaled_gemm/operation.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, Scaling& scaling) {
    return parse_one_of(name, text, {Scaling::outer, Scaling::blocks, Scaling::mx}, scaling);
}

namespace {

double mma_share(const TargetFacts& target, const GemmCosts& costs) {
    switch (target.build_target) {
        case BuildTarget::sm_90a: return costs.mma_share_sm90;
        case BuildTarget::sm_100f: return costs.mma_share_sm100;
        default: return costs.mma_share;
    }
}

double rate_tflops(const ScaledGemmRow& row, const TargetFacts& target) {
    switch (row.multiplier) {
        case Multiplier::s8: return target.int8_tops;
        case Multiplier::e4m3: return target.fp8_tflops;
        case Multiplier::cvt:
        case Multiplier::bits: break;
    }
    return target.bf16_tflops;
}

// Rows that are multiplied: of one group where they are masked.
i64 rows_of(const ScaledGemmProblem& p) {
    return p.grouping == Grouping::masked && p.expected_m > 0 ? std::min(p.expected_m, p.m) : p.m;
}

i64 copies_of_a(const ScaledGemmProblem& p) {
    return p.grouping == Grouping::masked ? p.groups : 1;
}

double bytes_moved(const ScaledGemmProblem& p) {
    const double element = dtype_bytes(p.dtype), out = dtype_bytes(p.out);
    const double residual = p.out == DType::u8 ? element : out;
    const double rows = static_cast<double>(rows_of(p)) * copies_of_a(p);
    const double weights = static_cast<double>(p.n) * p.k * p.groups;
    const double scales = p.scaling == Scaling::outer    ? 4 * (rows + p.n)
                          : p.scaling == Scaling::blocks ? rows * p.k / 32 + weights / 4096
                                                         : (rows * p.k + weights) / 32;
    return rows * p.k + weights + scales + (p.bias ? p.n * element : 0) +
           rows * p.n * ((p.gate ? element : 0) + (p.residual ? residual : 0) + out);
}

// Instructions of a warp for 32 of k: products, their loads, codes that become f16, sums that are scaled.
double instructions_a_step(const ScaledGemmRow& row) {
    const double sums = row.warp_m * row.warp_n / 32.0;  // a lane's
    const bool converts = row.multiplier == Multiplier::cvt || row.multiplier == Multiplier::bits;
    const double products = sums / 4 * (converts ? 2 : 1);
    const double pairs = converts ? (row.warp_m + row.warp_n) / 2.0 : 0;
    const double scaled = !has_partial_sums(row) ? 0 : 2 * sums / (row.scaling == Scaling::mx ? 1 : 4);
    // A conversion has half the rate of other instructions; arithmetic takes eleven for two pairs.
    return 20 + products + pairs * (row.multiplier == Multiplier::bits ? 5.5 : 2) + scaled;
}

int blocks_at_once(const ScaledGemmRow& row, const TargetFacts& target) {
    const i64 by_shared = blocks_by_shared(target, row.shared_bytes);
    const i64 by_threads = target.max_threads_per_sm / num_threads(row);
    return static_cast<int>(std::max<i64>(1, std::min<i64>({row.blocks_per_sm, by_shared, by_threads})));
}

}  // namespace

Prediction ScaledGemmOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                 const CostConstants& all_costs) {
    const GemmCosts& costs = all_costs.gemm;
    const i64 m = rows_of(problem);
    if (row.arch == ArchClass::host) {
        const double flops = 2.0 * m * copies_of_a(problem) * problem.n * problem.k;
        return roofline(target, all_costs, bytes_moved(problem), flops, fp32_tflops(target, all_costs),
                        all_costs.host.gemm_memory_share, all_costs.host.gemm_compute_share);
    }
    const i64 blocks = ceil_div(m, row.tile_m) * ceil_div(problem.n, row.tile_n) * copies_of_a(problem);
    const double per_sm = static_cast<double>(ceil_div(blocks, target.num_sms));
    const double at_once = std::min<double>(blocks_at_once(row, target), per_sm);
    const double padded_k = static_cast<double>(round_up(problem.k, row.tile_k));

    const double sm_tflops = rate_tflops(row, target) * mma_share(target, costs) / target.num_sms;
    const double unaligned = row.aligned ? 1 : costs.unaligned_tensor_share;
    const double tensor_us =
        per_sm * 2.0 * row.tile_m * row.tile_n * padded_k / (sm_tflops * unaligned * 1e6);
    // Instructions of a scheduler's clock. Sums of mx are waited for, one after another: H100, 2026-11-26.
    const double issued = row.scaling == Scaling::mx ? 0.28 : 0.6;
    const double warp_steps = padded_k / 32 * num_warps(row) / row.warps_k;
    const double issue_us = per_sm * warp_steps * instructions_a_step(row) * (row.aligned ? 1 : 3) /
                            (4 * issued * target.boost_mhz);

    const double rows_of_a = static_cast<double>(std::min<i64>(row.tile_m, m));
    const double block_bytes = padded_k * (row.tile_n + rows_of_a);
    const double l2_gb_s = std::max(target.num_sms * costs.l2_bytes_per_clock * target.boost_mhz * 1e-3,
                                    costs.l2_over_memory * target.memory_gb_s);
    const double l2_us = per_sm * block_bytes / (l2_gb_s / target.num_sms * 1e3);
    const double tile_bytes = row.tile_k * (row.tile_n + rows_of_a);
    const double under_way = row.aligned ? tile_bytes * (row.stages - 1) : tile_bytes / 8;
    const double sm_us = per_sm * block_bytes / (at_once * under_way / costs.latency_us);
    const bool streams = row.aligned && row.tile_m <= 16;
    const double stream_share = streams ? costs.stream_share : costs.ring_share;
    const double memory_us = bytes_moved(problem) / (target.memory_gb_s * stream_share * 1e3);

    const double later_blocks = per_sm / at_once - 1;
    const double start_us = start_up_us(target, all_costs) + costs.first_block_us +
                            costs.next_block_us * (at_once > 1 ? costs.next_block_overlap : 1) * later_blocks;
    const double products_us = together_us({tensor_us, issue_us, l2_us});
    const double loads_us = together_us({memory_us, sm_us});
    const double rate_us = std::max(products_us, loads_us);
    const char* bound = rate_us < start_us                      ? "latency"
                        : rate_us == loads_us                   ? (memory_us >= sm_us ? "memory" : "latency")
                        : l2_us > std::max(tensor_us, issue_us) ? "l2"
                        : tensor_us >= issue_us                 ? "tensor cores"
                                                                : "arithmetic";
    return {start_us + rate_us, bound};
}

}  // namespace warpwright
