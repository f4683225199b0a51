// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/fused/quantize/operation.h"
#include "kernels/fused/quantize/outputs.h"
#include "kernels/parse_enum.h"

namespace warpwright {
namespace {

constexpr double kMaxBlocksPerSm = 24;  // between 16 (8.6) and 32 (8.0, 9.0, 10.0)

}  // namespace

Status parse_enum(std::string_view name, std::string_view text, CodeType& code) {
    return parse_one_of(name, text, {CodeType::e4m3, CodeType::e5m2, CodeType::i8, CodeType::e2m1}, code);
}

Status parse_enum(std::string_view name, std::string_view text, ScaleType& scale) {
    return parse_one_of(
        name, text,
        {ScaleType::f32, ScaleType::power_of_two, ScaleType::e8m0, ScaleType::e8m0_up, ScaleType::e4m3},
        scale);
}

i64 QuantizeOp::num_blocks(const Row& row, const Problem& problem) {
    if (row.arch == ArchClass::host) return 1;
    const i64 padded_rows = problem.swizzled ? round_up(problem.rows, kSwizzleRows) : problem.rows;
    if (row.group == GroupOf::lanes || row.group == GroupOf::thread) {
        return ceil_div(padded_rows * (problem.columns / kVectorElements), i64{row.threads} * row.vectors);
    }
    const i64 groups =
        ceil_div(padded_rows, problem.group_rows) * ceil_div(problem.columns, problem.group_columns);
    constexpr i64 kWarp = 32;
    return row.group == GroupOf::block ? groups : ceil_div(groups * kWarp, row.threads);
}

Prediction QuantizeOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                               const CostConstants& costs) {
    const double elements = static_cast<double>(problem.rows) * problem.columns;
    const bool is_host = row.arch == ArchClass::host;
    const bool elementwise = !is_host && row.vectors == 0;
    const double read_bytes = elementwise && !problem.given_scale && problem.amax_parts == 0 ? 4 : 2;
    const double code_bytes = facts_of(problem.code).bits / 8.0;
    constexpr double kThreadFlops = 14;  // of an element, where a thread has a group's scale to itself
    const double flops =
        row.group == GroupOf::thread ? kThreadFlops : quantize_flops(problem.code, row.fp8_convert);
    Prediction result = roofline(
        target, costs, (read_bytes + code_bytes) * elements, flops * elements, fp32_tflops(target, costs),
        elementwise ? costs.stream.elementwise_share : costs.stream.memory_share, costs.stream.compute_share);
    if (is_host) return result;
    // Between rows that memory binds alike, the one with fewer instructions.
    const bool is_thread = row.group == GroupOf::thread;
    if (!is_thread && !converts(problem.code, row.fp8_convert)) result.us += 0.001;
    if (!row.fp8_convert && (is_thread || problem.scale == ScaleType::e4m3)) result.us += 0.0005;
    if (row.group != GroupOf::block) return result;
    result.us += costs.stream.norm_us + row.threads * costs.stream.norm_thread_us;
    // Small groups with a block each: the SMs hold their most blocks, of which each waits for its loads.
    const double resident =
        std::min(kMaxBlocksPerSm, static_cast<double>(target.max_threads_per_sm) / row.threads);
    const double waves = static_cast<double>(num_blocks(row, problem)) / (resident * target.num_sms);
    const double waiting_us = start_up_us(target, costs) + waves * costs.stream.norm_block_us;
    if (waiting_us > result.us) return {waiting_us, "latency"};
    return result;
}

}  // namespace warpwright
