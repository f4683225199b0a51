// SPDX-License-Identifier: Apache-2.0
// quantized_gemm from its definition (warpwright/ops/quantized_gemm.h). Float is double for the oracle, float
// for the reference: weights are dequantised in that precision, then gemm's oracle in it.
#pragma once

#include "kernels/gemm/oracle.h"
#include "kernels/quantized_gemm/pack.h"

namespace warpwright {

struct QuantizedGemmOperands {
    GemmOperands gemm;          // without b
    i64 group = 0;              // 0: the whole row
    std::vector<float> values;  // [n, k]: codes less zero points
    std::vector<float> scales;  // [n, k / group]
    std::vector<i32> order;     // [k], or empty
    float global_scale = 1;
};

template <class Float>
std::vector<Float> quantized_gemm_oracle(const QuantizedGemmOperands& x) {
    const i64 m = x.gemm.m, n = x.gemm.n, k = x.gemm.k, group = x.group == 0 ? k : x.group;
    std::vector<Float> d(static_cast<std::size_t>(m * n), 0);
    std::vector<Float> weights(static_cast<std::size_t>(n));
    for (i64 j = 0; j < k; ++j) {
        for (i64 c = 0; c < n; ++c) {
            weights[c] = Float(x.values[c * k + j]) * Float(x.scales[c * (k / group) + j / group]) *
                         Float(x.global_scale);
        }
        const i64 column = x.order.empty() ? j : x.order[j];
        for (i64 i = 0; i < m; ++i) {
            const Float a = x.gemm.a[i * k + column];
            for (i64 c = 0; c < n; ++c) d[i * n + c] += a * weights[c];
        }
    }
    gemm_epilogue(x.gemm, d);
    return d;
}

}  // namespace warpwright
