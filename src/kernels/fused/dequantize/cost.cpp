// SPDX-License-Identifier: Apache-2.0
#include "kernels/fused/dequantize/operation.h"

namespace warpwright {
namespace {

constexpr double kElementFlops = 10;  // unpacking, decoding, product, packing

}  // namespace

Prediction DequantizeOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                 const CostConstants& costs) {
    const double elements = static_cast<double>(problem.rows) * problem.columns;
    const double bytes = elements * (facts_of(problem.code).bits / 8.0 + dtype_bytes(problem.out));
    const bool elementwise = row.arch != ArchClass::host && row.vectors == 0;
    return roofline(target, costs, bytes, kElementFlops * elements, fp32_tflops(target, costs),
                    elementwise ? costs.stream.elementwise_share : costs.stream.memory_share,
                    costs.stream.compute_share);
}

}  // namespace warpwright
