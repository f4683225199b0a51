// SPDX-License-Identifier: Apache-2.0
// What `quantize` makes of 16-bit numbers: words shared by host code and kernels. No standard header: NVRTC
// reads this file too.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// A code: a byte, or for e2m1 half of one (the even element is the low half). i8 is two's complement and
// symmetric: -128 is never made.
enum class CodeType : u8 { e4m3, e5m2, i8, e2m1 };

struct CodeTypeFacts {
    const char* name;
    int bits;
    float max;          // the largest magnitude
    int max_exponent;   // max = (1 + max_fraction / 2^23) x 2^max_exponent
    u32 max_fraction;   // in bits of fp32
    int mantissa_bits;  // and the exponent's bias; i8 has neither
    int bias;
};

constexpr CodeTypeFacts facts_of(CodeType code) {
    switch (code) {
        case CodeType::e4m3: return {"e4m3", 8, 448, 8, 0x600000, 3, 7};
        case CodeType::e5m2: return {"e5m2", 8, 57344, 15, 0x600000, 2, 15};
        case CodeType::i8: return {"i8", 8, 127, 6, 0x7e0000, 0, 0};
        case CodeType::e2m1: return {"e2m1", 4, 6, 2, 0x400000, 1, 1};
    }
    return {"?", 8, 0, 0, 0, 0, 0};
}

// How the scale of a group is stored, and what it is where amax is the largest magnitude of the group:
//   f32           amax / max, rounded once
//   power_of_two  fp32, the smallest power of two with amax <= max x scale: DeepGEMM's use_ue8m0,
//                 TransformerEngine's force_pow_2_scales
//   e8m0          the exponent alone, floor(log2(amax)) - max_exponent: the rule of OCP MX 1.0, section 6.3;
//                 elements above max x scale become max
//   e8m0_up       the exponent alone, as power_of_two: TransformerEngine's and cuBLAS's MXFP8
//   e4m3          below one fp32 scale for the whole tensor: NVFP4
enum class ScaleType : u8 { f32, power_of_two, e8m0, e8m0_up, e4m3 };

constexpr const char* scale_type_name(ScaleType scale) {
    switch (scale) {
        case ScaleType::f32: return "f32";
        case ScaleType::power_of_two: return "power_of_two";
        case ScaleType::e8m0: return "e8m0";
        case ScaleType::e8m0_up: return "e8m0_up";
        case ScaleType::e4m3: return "e4m3";
    }
    return "?";
}

constexpr DType dtype_of(ScaleType scale) {
    return scale == ScaleType::f32 || scale == ScaleType::power_of_two ? DType::f32 : DType::u8;
}

// A scale serves group_rows x group_columns elements; 0 is all of them.
struct QuantizeFormat {
    CodeType code = CodeType::e4m3;
    ScaleType scale = ScaleType::f32;
    i64 group_rows = 1;
    i64 group_columns = 128;
};

inline constexpr QuantizeFormat kFp8PerTensor{CodeType::e4m3, ScaleType::f32, 0, 0};
inline constexpr QuantizeFormat kFp8PerToken{CodeType::e4m3, ScaleType::f32, 1, 0};
inline constexpr QuantizeFormat kFp8Groups{CodeType::e4m3, ScaleType::f32, 1, 128};    // activations
inline constexpr QuantizeFormat kFp8Blocks{CodeType::e4m3, ScaleType::f32, 128, 128};  // weights
inline constexpr QuantizeFormat kInt8PerToken{CodeType::i8, ScaleType::f32, 1, 0};
inline constexpr QuantizeFormat kMxfp8{CodeType::e4m3, ScaleType::e8m0, 1, 32};
inline constexpr QuantizeFormat kMxfp4{CodeType::e2m1, ScaleType::e8m0, 1, 32};
inline constexpr QuantizeFormat kNvfp4{CodeType::e2m1, ScaleType::e4m3, 1, 16};

}  // namespace warpwright
