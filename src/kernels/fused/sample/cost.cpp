// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/sample/operation.h"

namespace warpwright {

// Modelled for the common filters: three passes over a row, one of them with weights at 30 operations. A row
// is one block, so a small batch is bound by what one SM reads from L2 (about 60 bytes a clock) and computes.
Prediction SampleOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                             const CostConstants& costs) {
    const double elements = static_cast<double>(problem.vocabulary);
    const double bytes = elements * dtype_bytes(problem.dtype);
    if (row.arch == ArchClass::host) {
        return roofline(target, costs, problem.rows * bytes,
                        problem.rows * elements * costs.host.sample_flops_per_element,
                        fp32_tflops(target, costs), costs.host.sample_memory_share,
                        costs.host.sample_compute_share);
    }
    const double waves = static_cast<double>(ceil_div(problem.rows, target.num_sms));
    const double read_clocks =
        costs.sample.passes * bytes /
        (row.vectors ? costs.sample.bytes_per_clock : costs.sample.elementwise_bytes_per_clock);
    const double compute_clocks = elements * costs.sample.flops_per_element / 128;
    const double memory_us = problem.rows * bytes / (target.memory_gb_s * costs.sample.memory_share * 1e3);
    const double row_us = (read_clocks + compute_clocks) / target.boost_mhz + costs.sample.row_us;
    const double us = start_up_us(target, costs) + (waves * row_us > memory_us ? waves * row_us : memory_us);
    return {us, waves * row_us > memory_us ? "latency" : "memory"};
}

}  // namespace warpwright
