// SPDX-License-Identifier: Apache-2.0
// Codes of weights and scales as numbers, on the host.
#pragma once

#include <array>

#include "kernels/host_math.h"
#include "warpwright/weight_format.h"

namespace warpwright {

inline float e4m3_to_float(u8 code) {
    const u32 magnitude = code & 0x7f;
    if (magnitude == 0x7f) return std::bit_cast<float>(0x7fc00000u);
    const float value = magnitude < 8 ? static_cast<float>(magnitude) * 0x1p-9f
                                      : std::bit_cast<float>((magnitude << 20) + (120u << 23));
    return (code & 0x80) != 0 ? -value : value;
}

inline float e2m1_to_float(u8 code) {
    constexpr std::array<float, 8> kValues = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    return (code & 8) != 0 ? -kValues[code & 7] : kValues[code & 7];
}

inline float e8m0_to_float(u8 code) {
    if (code == 0xff) return std::bit_cast<float>(0x7fc00000u);
    return std::bit_cast<float>(code == 0 ? 0x00400000u : static_cast<u32>(code) << 23);
}

// What a weight's code stands for, before its scale. `zero` is used by integers.
inline float code_to_float(WeightFormat format, u8 code, int zero) {
    switch (format) {
        case WeightFormat::int4:
        case WeightFormat::int8: return static_cast<float>(code - zero);
        case WeightFormat::fp8_e4m3: return e4m3_to_float(code);
        case WeightFormat::mxfp4:
        case WeightFormat::nvfp4: return e2m1_to_float(code);
    }
    return 0;
}

// Scales of a byte are e8m0 with mxfp4, e4m3 with nvfp4.
inline float scale_to_float(WeightFormat format, DType type, const void* scales, i64 index) {
    if (type != DType::u8) return load_float(scales, type, index);
    const u8 code = static_cast<const u8*>(scales)[index];
    return format == WeightFormat::mxfp4 ? e8m0_to_float(code) : e4m3_to_float(code);
}

}  // namespace warpwright
