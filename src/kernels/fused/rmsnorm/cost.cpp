// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/rmsnorm/operation.h"

#include <algorithm>

namespace warpwright {
namespace {

constexpr double kMaxBlocksPerSm = 24;  // between 16 (8.6) and 32 (8.0, 9.0, 10.0)

}  // namespace

Prediction RmsNormOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs) {
    const QuantizedFields& codes = problem.quantized;
    const double num_rows = static_cast<double>(problem.tokens) * problem.heads;
    const double elements = num_rows * problem.hidden;
    // Modelled shares: whole tokens in registers stream well; element-wise access issues eight times the
    // requests and reads twice. Threads without work in a wide row cost a little more start-up.
    const bool elementwise = row.arch != ArchClass::host && row.vectors == 0;
    const double bytes = (problem.residual ? 6 : 2) * elements + stored_bytes(codes, elements) +
                         (elementwise ? (codes.quantized ? 4 : 2) * elements : 0);
    const double flops = 4 + (codes.quantized ? quantize_flops(codes.code, row.fp8_convert) : 0);
    Prediction result = roofline(target, costs, bytes, flops * elements, fp32_tflops(target, costs),
                                 elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                                 costs.stream.compute_share);
    if (row.arch == ArchClass::host) return result;
    // Between rows that memory binds alike, the one with fewer instructions.
    if (codes.quantized && !converts(codes.code, row.fp8_convert)) result.us += 0.001;
    const int threads = threads_per_row(row);
    result.us += costs.stream.norm_us + threads * costs.stream.norm_thread_us;
    // A short batch waits for its loads: two rounds over the row, one element of each thread at a time.
    if (elementwise) result.us += 2.0 * problem.hidden / threads * costs.stream.norm_load_us;
    // Short rows with a block each: the SMs hold their most blocks, of which each waits for its loads.
    const double resident =
        std::min(kMaxBlocksPerSm, static_cast<double>(target.max_threads_per_sm) / row.threads);
    const double waves = num_rows / rows_per_block(row) / (resident * target.num_sms);
    const double waiting_us = start_up_us(target, costs) + waves * costs.stream.norm_block_us;
    if (waiting_us > result.us) return {waiting_us, "latency"};
    return result;
}

}  // namespace warpwright
