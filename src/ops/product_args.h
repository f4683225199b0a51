// SPDX-License-Identifier: Apache-2.0
// What products have in common, whatever their weights are.
#pragma once

#include <limits>
#include <string>

#include <fmt/format.h>

#include "kernels/gemm/problem.h"
#include "ops/match.h"

namespace warpwright {

// Sizes are 32-bit in kernels, and tiles reach past them.
inline void require_product_sizes(Matcher& match, i64 m, i64 n, i64 k) {
    constexpr i64 kLargest = 0x7fffffff - 4096;
    match.require(m <= kLargest && n <= kLargest && k <= kLargest,
                  "m, n and k must be below 2^31 - 4096, got " + std::to_string(m) + ", " +
                      std::to_string(n) + " and " + std::to_string(k));
}

// How gate and up become one: warpwright/ops/grouped_gemm.h.
template <class Call>
void require_gate_limits(Matcher& match, const Call& call, bool gated) {
    const bool has_none =
        call.limit == std::numeric_limits<float>::infinity() && call.alpha == 1 && call.up_offset == 0;
    match.require(gated || has_none, "limit, alpha and up_offset go with b_gate")
        .require(call.alpha > 0 && call.limit >= 0,
                 fmt::format("alpha must be positive and limit not negative, got {} and {}", call.alpha,
                             call.limit));
}

// What codes of d are made with, where it has them.
template <class Call>
void match_codes(Matcher& match, const Call& call, bool has_codes) {
    match.tensor("d_scale", call.d_scale, {"1"}, {DType::f32}, {.optional = !has_codes})
        .tensor("d_amax", call.d_amax, {"1"}, {DType::f32}, {.optional = true})
        .require(has_codes || (!call.d_scale && !call.d_amax), "d_scale and d_amax go with codes: d in u8")
        .require(match["1"] <= 1, "d_scale and d_amax must have one element")
        .require(!has_codes || call.d_code == CodeType::e4m3 || call.d_code == CodeType::i8,
                 std::string("d_code must be e4m3 or i8, got ") + facts_of(call.d_code).name);
}
template <class Call>
void set_codes(GemmArgs& args, const Call& call) {
    args.d_code = call.d_code;
    args.d_scale = static_cast<const float*>(call.d_scale.data);
    args.d_amax = static_cast<u32*>(call.d_amax.data);
}

// Kernel arguments of a matched Gemm or QuantizedGemm, without b and its stride.
template <class Call>
GemmArgs product_args(const Call& call, i64 m, i64 n, i64 k, int num_sms) {
    return {.a = call.a.data,
            .d = call.d.data,
            .bias = call.bias.data,
            .gate = call.gate.data,
            .residual = call.residual.data,
            .a_stride = call.a.stride[0],
            .d_stride = call.d.stride[0],
            .gate_stride = call.gate.stride[0],
            .residual_stride = call.residual.stride[0],
            .m = static_cast<i32>(m),
            .n = static_cast<i32>(n),
            .k = static_cast<i32>(k),
            .num_sms = num_sms,
            .activation = call.activation,
            .b_is_constant = call.b_is_constant,
            .out_f32 = call.d.dtype == DType::f32,
            .out_aligned = alignment_of({&call.d, &call.bias, &call.gate, &call.residual}) >= 16};
}

}  // namespace warpwright
