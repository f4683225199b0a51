// SPDX-License-Identifier: Apache-2.0
// Results of products as codes: they count as the numbers that they stand for.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "check/harness.h"
#include "kernels/fused/dequantize/oracle.h"
#include "kernels/fused/quantize/oracle.h"

namespace warpwright::product_codes {

inline constexpr float kScale = 0.007F;

inline CodeType code_of(i64 n) {
    return n % 3 == 0 ? CodeType::i8 : CodeType::e4m3;
}
inline float number_of(CodeType code, float stored) {
    return static_cast<float>(decoded(code, static_cast<int>(stored))) * kScale;
}

// What is beyond a type's largest magnitude counts as that; a reference has a rounding of its own.
inline void round(CodeType code, std::vector<double>& oracle, std::vector<float>& reference) {
    const NearestCode nearest(code);
    const double most = double{facts_of(code).max} * kScale;
    for (double& value : oracle) value = std::clamp(value, -most, most);
    for (float& value : reference) value = number_of(code, static_cast<float>(nearest(value / kScale)));
}

// Of a Gemm, QuantizedGemm or ScaledGemm with n columns.
template <class Call>
void ask_for(Workbench& bench, Call& call, i64 n) {
    call.d_code = code_of(n);
    call.d_scale = bench.input(DType::f32, {1});
    bench.write(call.d_scale, {kScale});
    call.d_amax = bench.in_place(DType::f32, {1});
    bench.write(call.d_amax, {0});
}

}  // namespace warpwright::product_codes
