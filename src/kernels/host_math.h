// SPDX-License-Identifier: Apache-2.0
// 16-bit floating-point numbers on the host: exact conversions, round to nearest even.
#pragma once

#include <bit>
#include <cmath>

#include "formats/half.h"
#include "tile/tanh.h"
#include "warpwright/types.h"

namespace warpwright {

inline float bf16_to_float(u16 bits) {
    return std::bit_cast<float>(static_cast<u32>(bits) << 16);
}

inline u16 float_to_bf16(float value) {
    const u32 bits = std::bit_cast<u32>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<u16>(bits >> 16 | 0x40);  // quiet NaN
    return static_cast<u16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float f16_to_float(u16 bits) {
    return formats::decode_f16(bits);
}
inline u16 float_to_f16(float value) {
    return formats::encode_f16(value);
}

inline float load_float(const void* data, DType type, i64 index) {
    switch (type) {
        case DType::f32: return static_cast<const float*>(data)[index];
        case DType::f16: return f16_to_float(static_cast<const u16*>(data)[index]);
        case DType::bf16: return bf16_to_float(static_cast<const u16*>(data)[index]);
        case DType::i32: return static_cast<float>(static_cast<const i32*>(data)[index]);
        case DType::u8: return static_cast<const u8*>(data)[index];
    }
    return 0;
}

inline void store_float(void* data, DType type, i64 index, float value) {
    switch (type) {
        case DType::f32: static_cast<float*>(data)[index] = value; return;
        case DType::f16: static_cast<u16*>(data)[index] = float_to_f16(value); return;
        case DType::bf16: static_cast<u16*>(data)[index] = float_to_bf16(value); return;
        case DType::i32: static_cast<i32*>(data)[index] = static_cast<i32>(value); return;
        case DType::u8: static_cast<u8*>(data)[index] = static_cast<u8>(value); return;
    }
}

// The value a storage type would keep.
inline float round_to(DType type, float value) {
    return type == DType::bf16  ? bf16_to_float(float_to_bf16(value))
           : type == DType::f16 ? f16_to_float(float_to_f16(value))
                                : value;
}

// 2^x for x <= 0 (NaN stays NaN): Taylor about the nearest integer, relative error below 2^-22. A loop of it
// becomes vector code.
inline float exp2_nonpositive(float x) {
    const float clamped = x > -126 ? x : -126;
    const i32 whole = static_cast<i32>(clamped - 0.5f);
    const float f = clamped - static_cast<float>(whole);
    const float fraction =
        1 + f * (0.69314718f +
                 f * (0.24022651f +
                      f * (0.055504109f + f * (0.0096181291f + f * (0.0013333558f + f * 0.00015403530f)))));
    const float result = fraction * std::bit_cast<float>(static_cast<u32>(whole + 127) << 23);
    return x < -126 ? 0 : x != x ? x : result;
}

// As tile/tanh.cuh has it; so does this.
inline float tanh_fp32(float x) {
    const float e = exp2_nonpositive(-std::abs(x) * kTwoLog2E);
    const float large = std::copysign((1 - e) / (1 + e), x);
    return std::abs(x) < kTanhSmall ? tanh_small(x) : large;
}

// In the precision of Float: double for oracles, float for host rows and references.
template <class Float>
Float activate(Activation activation, Float value) {
    constexpr Float half = 0.5, one = 1, root_half = 0.70710678118654752440,
                    root_2_over_pi = 0.79788456080286535588;
    switch (activation) {
        case Activation::none: return value;
        case Activation::silu: return value / (one + std::exp(-value));
        case Activation::gelu: return half * value * (one + std::erf(value * root_half));
        case Activation::gelu_tanh: {
            const Float cubic = Float(0.044715) * value * value * value;
            return half * value * (one + std::tanh(root_2_over_pi * (value + cubic)));
        }
    }
    return value;
}

// Storage types for host rows that are templates: HostBf16::load(data, i), ::store(data, i, value).
struct HostBf16 {
    static constexpr DType kType = DType::bf16;
    static float load(const void* data, i64 i) { return bf16_to_float(static_cast<const u16*>(data)[i]); }
    static void store(void* data, i64 i, float value) { static_cast<u16*>(data)[i] = float_to_bf16(value); }
};
struct HostHalf {
    static constexpr DType kType = DType::f16;
    static float load(const void* data, i64 i) { return f16_to_float(static_cast<const u16*>(data)[i]); }
    static void store(void* data, i64 i, float value) { static_cast<u16*>(data)[i] = float_to_f16(value); }
};

}  // namespace warpwright
