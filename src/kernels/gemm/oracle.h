// SPDX-License-Identifier: Apache-2.0
// gemm from its definition (warpwright/ops/gemm.h). Float is double for the oracle, float for the reference:
// sums over k in ascending order, epilogue in the same precision, no rounding to storage.
#pragma once

#include <vector>

#include "kernels/host_math.h"

namespace warpwright {

struct GemmOperands {
    i64 m = 0, n = 0, k = 0;
    std::vector<float> a;         // [m, k]
    std::vector<float> b;         // [n, k]
    std::vector<float> bias;      // [n], or empty
    std::vector<float> gate;      // [m, n], or empty
    std::vector<float> residual;  // [m, n], or empty
    Activation activation = Activation::none;
};

// Of finished sums [m, n], in place.
template <class Float>
void gemm_epilogue(const GemmOperands& x, std::vector<Float>& d) {
    for (i64 i = 0; i < x.m * x.n; ++i) {
        Float v = d[i];
        if (!x.bias.empty()) v += x.bias[i % x.n];
        v = x.gate.empty() ? activate<Float>(x.activation, v) : activate<Float>(x.activation, x.gate[i]) * v;
        if (!x.residual.empty()) v += x.residual[i];
        d[i] = v;
    }
}

// Several columns are summed side by side, each in the order of k.
template <class Float>
std::vector<Float> gemm_oracle(const GemmOperands& x) {
    std::vector<Float> transposed(static_cast<std::size_t>(x.k * x.n));
    for (i64 n = 0; n < x.n; ++n) {
        for (i64 k = 0; k < x.k; ++k) transposed[k * x.n + n] = x.b[n * x.k + k];
    }
    std::vector<Float> d(static_cast<std::size_t>(x.m * x.n), 0);
    for (i64 m = 0; m < x.m; ++m) {
        Float* row = d.data() + m * x.n;
        for (i64 k = 0; k < x.k; ++k) {
            const Float a = x.a[m * x.k + k];
            const Float* b = transposed.data() + k * x.n;
            for (i64 n = 0; n < x.n; ++n) row[n] += a * b[n];
        }
    }
    gemm_epilogue(x, d);
    return d;
}

}  // namespace warpwright
