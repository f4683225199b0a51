// SPDX-License-Identifier: Apache-2.0
// quantized_gemm's cost: gemm's constants, with the bytes of packed weights and the instructions that codes
// need before they are multiplied. Modelled until a tuning table of the target says otherwise.
#include <algorithm>

#include "kernels/parse_enum.h"
#include "kernels/quantized_gemm/operation.h"

namespace warpwright {

std::string enum_text(WeightFormat format) {
    return facts_of(format).name;
}

Status parse_enum(std::string_view name, std::string_view text, WeightFormat& format) {
    using enum WeightFormat;
    return parse_one_of(name, text, {int4, int8, fp8_e4m3, mxfp4, nvfp4}, format);
}

namespace {

double mma_share(const TargetFacts& target, const GemmCosts& costs) {
    switch (target.build_target) {
        case BuildTarget::sm_90a: return costs.mma_share_sm90;
        case BuildTarget::sm_100f: return costs.mma_share_sm100;
        default: return costs.mma_share;
    }
}

// Weights that are read; rows of A that share one, where that is known, else all; and how many times so many
// there are.
i64 touched_groups(const QuantizedGemmProblem& p) {
    return p.expected_groups > 0 ? std::min(p.expected_groups, p.groups) : p.groups;
}
i64 expected_rows(const QuantizedGemmProblem& p) {
    return p.grouping != Grouping::none && p.expected_m > 0 ? std::min(p.expected_m, p.m) : p.m;
}
i64 parts(const QuantizedGemmProblem& p) {
    return p.grouping == Grouping::masked || (p.grouping == Grouping::contiguous && p.expected_m > 0)
               ? touched_groups(p)
               : 1;
}

double weight_bytes(const QuantizedGemmProblem& p) {
    const double scales = static_cast<double>(packed_scales(p.n, p.k, p.group));
    return static_cast<double>(touched_groups(p)) *
           (static_cast<double>(packed_data_bytes(p.format, p.n, p.k)) +
            scales * (dtype_bytes(p.scale) + (p.zeros ? 1 : 0)));
}

double bytes_moved(const QuantizedGemmProblem& p) {
    const double element = dtype_bytes(p.dtype), out = dtype_bytes(p.out);
    const double residual = p.out == DType::u8 ? element : out;
    const auto rows = static_cast<double>(parts(p) * expected_rows(p));
    return weight_bytes(p) + rows * p.k * element + (p.bias ? touched_groups(p) * p.n * element : 0) +
           rows * p.n * ((p.gate ? element : 0) + (p.residual ? residual : 0) + out);
}

// What makes one register, two weights, ready for a product; counted in the code.
double instructions_a_register(const QuantizedGemmRow& row) {
    const bool bf16 = row.dtype == DType::bf16;
    switch (row.format) {
        case WeightFormat::int4: return 2.8;
        case WeightFormat::int8: return bf16 ? 3.5 : 2.5;
        case WeightFormat::fp8_e4m3: return bf16 ? 3.5 : 5.5;
        case WeightFormat::mxfp4:
        case WeightFormat::nvfp4: return bf16 ? 3.8 : 5.3;
    }
    return 0;
}

int blocks_at_once(const QuantizedGemmRow& row, const TargetFacts& target) {
    const i64 by_shared = blocks_by_shared(target, launch_shared_bytes(row, target));
    const i64 by_threads = target.max_threads_per_sm / num_threads(row);
    return static_cast<int>(std::max<i64>(1, std::min<i64>({row.blocks_per_sm, by_shared, by_threads})));
}

}  // namespace

Prediction QuantizedGemmOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                    const CostConstants& all_costs) {
    const GemmCosts& costs = all_costs.gemm;
    const i64 rows = expected_rows(problem);
    const double flops = 2.0 * static_cast<double>(parts(problem) * rows) * problem.n * problem.k;
    if (row.arch == ArchClass::host) {
        return roofline(target, all_costs, bytes_moved(problem), flops, fp32_tflops(target, all_costs),
                        all_costs.host.gemm_memory_share, all_costs.host.gemm_compute_share);
    }
    const i64 blocks =
        parts(problem) * num_blocks(rows, problem.n, Grouping::none, 1, row.tile_m, row.tile_n);
    const double per_sm = static_cast<double>(ceil_div(blocks, target.num_sms));
    const double at_once = std::min<double>(blocks_at_once(row, target), per_sm);
    const double padded_k = static_cast<double>(round_up(problem.k, kPackedK));

    const double block_flops = 2.0 * row.tile_m * row.tile_n * padded_k;
    const double sm_tflops = target.bf16_tflops * mma_share(target, costs) / target.num_sms;
    const double tensor_us = per_sm * block_flops / (sm_tflops * costs.bandwidth_tensor_share * 1e6);
    // Instructions of a warp's step: registers that are decoded, products with their loads, sums that are
    // scaled, and the copies' own. A scheduler was seen to issue so many a clock, less where more rows of A
    // are waited for: H200, 2026-11-26; wide rows there, 2026-11-27, with few rows of A as much faster as on
    // an H100.
    // Where two steps are a turn: H100, 2026-11-27.
    const bool paired =
        may_pair_steps(row) && problem.k % (2 * kPackedK) == 0 &&
        (facts_of(row.format).group != 0 || problem.group == 0 || problem.group >= 2 * kPackedK);
    const double of_step = paired ? 90 : 120;
    const double issued = row.tile_m <= 8 ? 0.68 : !row.wide ? 0.43 : rows <= 8 ? 0.61 : 0.56;
    const double registers = row.warp_n * kPackedK / 64.0;
    const double products = row.warp_n / 16.0 * (row.warp_m / 8.0) * (kPackedK / 16.0);
    const double groups =
        std::max<double>(1, problem.group > 0 ? static_cast<double>(kPackedK) / problem.group : 1);
    const double scaled =
        row.format == WeightFormat::nvfp4 ? 0 : row.warp_n * row.warp_m / 32.0 * groups / (paired ? 2 : 1);
    const double a_step = of_step + registers * instructions_a_register(row) + products * 1.3 + scaled;
    const double warp_steps = padded_k / kPackedK * num_warps(row) / row.warps_k;
    const double issue_us =
        per_sm * warp_steps * a_step * (row.aligned ? 1 : 3) / (4 * issued * target.boost_mhz);

    const double rows_of_a = static_cast<double>(std::min<i64>(row.tile_m, rows));
    const double bits = facts_of(row.format).bits;
    const double block_bytes = padded_k * (row.tile_n * bits / 8 + 2.0 * rows_of_a);
    const double l2_gb_s = std::max(target.num_sms * costs.l2_bytes_per_clock * target.boost_mhz * 1e-3,
                                    costs.l2_over_memory * target.memory_gb_s);
    const double l2_us = per_sm * block_bytes / (l2_gb_s / target.num_sms * 1e3);
    const double under_way =
        kPackedK * (row.tile_n * bits / 8 + 2.0 * rows_of_a) * (row.stages - 1) * row.warps_k;
    const double sm_us = per_sm * block_bytes / (at_once * under_way / costs.latency_us);
    const double stream_share = is_stream(row) ? costs.stream_share : costs.ring_share;
    const double memory_us = bytes_moved(problem) / (target.memory_gb_s * stream_share * 1e3);

    const double later_blocks = per_sm / at_once - 1;
    const double start_us = start_up_us(target, all_costs) + costs.first_block_us +
                            costs.next_block_us * (at_once > 1 ? costs.next_block_overlap : 1) * later_blocks;
    const double products_us = std::max({tensor_us, issue_us, l2_us});
    const double loads_us = together_us({memory_us, sm_us});
    const double rate_us = std::max(products_us, loads_us);
    const char* bound = rate_us < start_us     ? "latency"
                        : rate_us == loads_us  ? (memory_us >= sm_us ? "memory" : "latency")
                        : rate_us == l2_us     ? "l2"
                        : rate_us == tensor_us ? "tensor cores"
                                               : "arithmetic";
    return {start_us + rate_us, bound};
}

}  // namespace warpwright
