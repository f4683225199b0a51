// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/sample/operation.h"

namespace warpwright {

// Modelled for the common filters: three passes over a row, one of them with weights at 30 operations. A row
// is one block, so a small batch is bound by what one SM reads from L2 (about 60 bytes a clock) and computes.
Prediction SampleOp::predict(const Row& row, const TargetFacts& target, const Problem& problem) {
    const double elements = static_cast<double>(problem.vocabulary);
    const double bytes = elements * dtype_bytes(problem.dtype);
    if (row.arch == ArchClass::host) {
        return roofline(target, problem.rows * bytes, problem.rows * elements * 100, fp32_tflops(target), 0.5,
                        0.1);
    }
    const double waves = static_cast<double>(ceil_div(problem.rows, target.num_sms));
    const double read_clocks = 3 * bytes / (row.vectors ? 60 : 20);
    const double compute_clocks = elements * 50 / 128;
    const double memory_us = problem.rows * bytes / (target.memory_gb_s * 0.8e3);
    const double row_us = (read_clocks + compute_clocks) / target.boost_mhz + 4;  // 4: selection, draw
    const double us = start_up_us(target) + (waves * row_us > memory_us ? waves * row_us : memory_us);
    return {us, waves * row_us > memory_us ? "latency" : "memory"};
}

}  // namespace warpwright
