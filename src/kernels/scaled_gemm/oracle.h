// SPDX-License-Identifier: Apache-2.0
// scaled_gemm from its definition (warpwright/ops/scaled_gemm.h). Float is double for the oracle, float for
// the reference: sums of what shares a scale, scaled and added, then gemm's epilogue.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/gemm/oracle.h"
#include "kernels/scaled_gemm/problem.h"

namespace warpwright {

struct ScaledGemmOperands {
    GemmOperands gemm;  // a, b: values of codes, less zero points
    Scaling scaling = Scaling::outer;
    std::vector<float> a_scales;  // [m, parts of k]
    std::vector<float> b_scales;  // [n, parts of k]: repeated where rows share them
};

// What Ada's tensor cores keep of a sum of e4m3: 13 bits behind the leading one, the others cut off (MMA-Sim;
// SageAttention2).
class AdaSum {
public:
    void operator+=(float term) {
        value_ += term;
        if (std::isfinite(value_)) value_ = std::bit_cast<float>(std::bit_cast<u32>(value_) & ~0x3ffu);
    }
    explicit operator float() const { return value_; }

private:
    float value_ = 0;
};

// `Sum`: of the products of up to 128 of k, before it is added to others.
template <class Float, class Sum = Float>
std::vector<Float> scaled_gemm_oracle(const ScaledGemmOperands& x) {
    constexpr i64 kTogether = 128;
    const i64 m = x.gemm.m, n = x.gemm.n, k = x.gemm.k;
    const i64 part = group_k(x.scaling) == 0 ? k : group_k(x.scaling);
    const i64 parts = (k + part - 1) / part;
    std::vector<Float> d(static_cast<std::size_t>(m * n), 0);
    for (i64 i = 0; i < m; ++i) {
        for (i64 j = 0; j < n; ++j) {
            for (i64 p = 0; p < parts; ++p) {
                const i64 end = std::min(k, (p + 1) * part);
                Float total = 0;
                for (i64 first = p * part; first < end; first += kTogether) {
                    Sum sum{};
                    for (i64 e = first; e < end && e < first + kTogether; ++e)
                        sum += Float(x.gemm.a[i * k + e]) * Float(x.gemm.b[j * k + e]);
                    total += Float(sum);
                }
                d[i * n + j] += total * Float(x.a_scales[i * parts + p]) * Float(x.b_scales[j * parts + p]);
            }
        }
    }
    gemm_epilogue(x.gemm, d);
    return d;
}

}  // namespace warpwright
