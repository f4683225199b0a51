// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/gated_activation/operation.h"

#include <algorithm>

namespace warpwright {
namespace {

constexpr i64 kWarp = 32;

i64 group_of(const GatedActivationProblem& problem) {
    return problem.quantized.given_scale ? problem.width : problem.quantized.group_columns;
}

}  // namespace

i64 GatedActivationOp::num_chunks(const Row& row, const Problem& problem) {
    if (row.arch == ArchClass::host) return 1;
    if (row.vectors > 0 || !row.quantizes) return ceil_div(problem.width, chunk_elements(row));
    return ceil_div(ceil_div(problem.width, group_of(problem)) * kWarp, row.threads);
}

Prediction GatedActivationOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                      const CostConstants& costs) {
    const QuantizedFields& codes = problem.quantized;
    const double elements = static_cast<double>(problem.tokens) * problem.width;
    const bool elementwise = row.arch != ArchClass::host && row.vectors == 0;
    const double bytes =
        4 * elements + stored_bytes(codes, elements) + (elementwise && codes.quantized ? 4 * elements : 0);
    const double flops =
        costs.stream.activation_flops + (codes.quantized ? quantize_flops(codes.code, row.fp8_convert) : 0);
    Prediction result = roofline(target, costs, bytes, flops * elements, fp32_tflops(target, costs),
                                 elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                                 costs.stream.compute_share);
    if (row.arch == ArchClass::host || !codes.quantized) return result;
    // Between rows that memory binds alike, the one with fewer instructions, and then the one whose threads
    // have most to do and wait together: not more of them than there is work for.
    if (!converts(codes.code, row.fp8_convert)) result.us += 0.001;
    if (elementwise) {  // a warp goes through a group twice
        result.us += 2.0 * group_of(problem) / kWarp * costs.stream.norm_load_us;
        return result;
    }
    const double work = std::min<double>(1, static_cast<double>(problem.width) / chunk_elements(row));
    result.us += row.threads * costs.stream.norm_thread_us * (2 - work);
    return result;
}

}  // namespace warpwright
