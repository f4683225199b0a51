// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales from their definition (warpwright/ops/dequantize.h): values of codes by their
// fields, in fp64, rounded to fp32 where it says so.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/fused/dequantize/problem.h"

namespace warpwright {

inline double decoded(CodeType type, int code) {
    const CodeTypeFacts facts = facts_of(type);
    if (type == CodeType::i8) return code < 128 ? code : code - 256;
    const int magnitude = code & ((1 << (facts.bits - 1)) - 1);
    const int exponent = magnitude >> facts.mantissa_bits;
    const int fraction = magnitude & ((1 << facts.mantissa_bits) - 1);
    const double sign = code >> (facts.bits - 1) != 0 ? -1 : 1;
    if (type == CodeType::e4m3 && magnitude == 0x7f) return std::numeric_limits<double>::quiet_NaN();
    if (type == CodeType::e5m2 && exponent == 31)
        return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                             : sign * std::numeric_limits<double>::infinity();
    const double mantissa = std::ldexp(fraction, -facts.mantissa_bits) + (exponent > 0 ? 1 : 0);
    return sign * std::ldexp(mantissa, std::max(exponent, 1) - facts.bias);
}

// `stored`: fp32, or a byte.
inline double decoded_scale(ScaleType type, double stored, double global_scale) {
    if (dtype_of(type) == DType::f32) return stored;
    if (type == ScaleType::e4m3)
        return static_cast<float>(decoded(CodeType::e4m3, static_cast<int>(stored)) * global_scale);
    return stored == 255 ? std::numeric_limits<double>::quiet_NaN()
                         : std::ldexp(1.0, static_cast<int>(stored) - 127);
}

}  // namespace warpwright
