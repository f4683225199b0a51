// SPDX-License-Identifier: Apache-2.0
// grouped_gemm from its definition (warpwright/ops/grouped_gemm.h), row by row. Float is double for the
// oracle, float for the reference.
#pragma once

#include <vector>

#include "kernels/host_math.h"

namespace warpwright {

struct GroupedGemmOperands {
    struct Row {
        i64 d, a, group;
        float weight;
    };
    i64 rows_of_d = 0, n = 0, k = 0;
    std::vector<float> a;                // [rows, k]
    std::vector<float> b, b_gate;        // [groups, n, k]; the second may be empty
    std::vector<float> bias, gate_bias;  // [groups, n], or empty
    std::vector<float> residual;         // [rows of d, n], or empty
    std::vector<Row> rows;
    bool sums = false;  // rows of one d are added up
    Activation activation = Activation::none;
    float limit = 0, alpha = 1, up_offset = 0;
};

// Rows of D that nothing is written to are `fill`.
template <class Float>
std::vector<Float> grouped_gemm_oracle(const GroupedGemmOperands& x, Float fill) {
    std::vector<Float> d(static_cast<std::size_t>(x.rows_of_d * x.n), x.sums ? Float(0) : fill);
    for (const GroupedGemmOperands::Row& row : x.rows) {
        const auto product = [&](const std::vector<float>& b, const std::vector<float>& bias, i64 n) {
            const float* left = x.a.data() + row.a * x.k;
            const float* right = b.data() + (row.group * x.n + n) * x.k;
            Float sum = 0;
            for (i64 k = 0; k < x.k; ++k) sum += Float(left[k]) * Float(right[k]);
            return bias.empty() ? sum : sum + Float(bias[row.group * x.n + n]);
        };
        for (i64 n = 0; n < x.n; ++n) {
            Float value = product(x.b, x.bias, n);
            Float& to = d[row.d * x.n + n];
            if (x.sums) {
                to += Float(row.weight) * value;
                continue;
            }
            if (x.b_gate.empty()) {
                to = activate<Float>(x.activation, value);
                if (!x.residual.empty()) to += x.residual[row.d * x.n + n];
                continue;
            }
            Float gate = product(x.b_gate, x.gate_bias, n);
            const Float limit = x.limit;
            if (gate > limit) gate = limit;
            if (value > limit) value = limit;
            if (value < -limit) value = -limit;
            to = activate<Float>(x.activation, gate * Float(x.alpha)) / Float(x.alpha) *
                 (value + Float(x.up_offset));
        }
    }
    if (x.sums && !x.residual.empty()) {
        for (std::size_t i = 0; i < d.size(); ++i) d[i] += x.residual[i];
    }
    return d;
}

}  // namespace warpwright
