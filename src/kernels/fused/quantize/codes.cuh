// SPDX-License-Identifier: Apache-2.0
// What the kernels of quantisation share: scales of groups, and codes of numbers.
#pragma once

#include "kernels/fused/quantize/problem.h"
#include "ptx/convert.cuh"
#include "ptx/fp8.cuh"
#include "ptx/math.cuh"
#include "tile/magnitude.cuh"
#include "tile/small_float.cuh"

namespace warpwright {

template <class T>
constexpr bool is_bf16 = false;
template <>
inline constexpr bool is_bf16<Bf16> = true;

constexpr u32 kNanFloat = 0x7fffffffu, kLargestFloat = 0x7f7fffffu, kInfinityFloat = 0x7f800000u;

// NaN where the scale is not positive and finite.
__device__ inline float positive_reciprocal(const float* scale) {
    const u32 bits = __float_as_uint(*scale);
    return bits - 1 < kInfinityFloat - 1 ? __frcp_rn(*scale) : __uint_as_float(kNanFloat);
}
// Of the scale above all groups; 1 where there is none.
__device__ inline float reciprocal_of_global(const QuantizeArgs& args) {
    return args.global_scale == nullptr ? 1.0f : positive_reciprocal(args.global_scale);
}

// amax / max, rounded once: a quotient that is about right, and a correction by its exact remainder
// (Markstein 1990, "Computation of elementary functions on the IBM RISC System/6000 processor"). A division
// does it where the quotient may be no normal number.
__device__ inline float over_max(float amax, float max, float reciprocal_of_max) {
    if (amax < 0x1p-100f) return __fdiv_rn(amax, max);
    const float quotient = __fmul_rn(amax, reciprocal_of_max);
    return __fmaf_rn(__fmaf_rn(-quotient, max, amax), reciprocal_of_max, quotient);
}

// A scale as it is stored, and what elements are multiplied by.
struct GroupScale {
    u32 stored;  // fp32 or the low byte
    float multiplier;
};

template <bool convert>
__device__ inline u32 e4m3_code(float wanted) {
    if constexpr (convert) {
        return ptx::pack_e4m3(wanted, 0);
    } else {
        return encode_one<kTypeE4M3>(wanted);
    }
}
// A code's bits at fp32's place, with the difference of the biases made up for.
__device__ inline float e4m3_value(u32 code) {
    return __fmul_rn(__uint_as_float(code << 20), 0x1p120f);
}

// g / s for a number s of e4m3, rounded once: what over_max does, where neither g nor the quotient is small.
// The reciprocal of so short a number comes out right whatever the approximation's last bit is.
__device__ inline float over_e4m3(float g, float s) {
    const float about = ptx::reciprocal_approx(s);
    const float reciprocal = __fmaf_rn(about, __fmaf_rn(-s, about, 1), about);
    const float quotient = __fmul_rn(g, reciprocal);
    return __fmaf_rn(__fmaf_rn(-quotient, s, g), reciprocal, quotient);
}
// Of the reciprocal of the global scale: whether over_e4m3 takes it.
__device__ inline bool is_usual(float global_reciprocal) {
    return global_reciprocal >= 0x1p-90f && global_reciprocal <= 0x1p100f;
}

template <bool convert, bool usual>
__device__ inline GroupScale e4m3_scale(float wanted, float global_reciprocal) {
    const u32 code = e4m3_code<convert>(wanted);
    const float value = e4m3_value(code);
    const float quotient = usual ? over_e4m3(global_reciprocal, value) : __fdiv_rn(global_reciprocal, value);
    const float multiplier = code == 0 ? 0.0f : quotient;
    return {code, code == 0x7f ? __uint_as_float(kNanFloat) : multiplier};
}

// `magnitude`'s as a scale is made of it.
__device__ inline u32 amax_of(const QuantizeArgs& args, u32 magnitude) {
    return max(min(magnitude, kLargestFloat), __float_as_uint(args.least_amax));
}
__device__ inline bool is_tiny(u32 amax) {
    return amax != 0 && amax < 0x0d800000u;  // 2^-100
}

// As scale_of, without a branch: for e4m3's scales, a reciprocal that is_usual, and an amax that is not
// is_tiny.
template <bool convert>
__device__ inline GroupScale usual_scale_of(const QuantizeArgs& args, u32 magnitude,
                                            float global_reciprocal) {
    const float amax = __uint_as_float(amax_of(args, magnitude)), largest = facts_of(args.code).max;
    const float quotient = __fmul_rn(amax, args.reciprocal_of_max);
    const float over = __fmaf_rn(__fmaf_rn(-quotient, largest, amax), args.reciprocal_of_max, quotient);
    const float wanted = __fmul_rn(over, global_reciprocal);
    return e4m3_scale<convert, true>(magnitude > kInfinityFloat ? __uint_as_float(kNanFloat) : wanted,
                                     global_reciprocal);
}

// `magnitude`: fp32's bits, NaN's where the group has one. `convert`: with cvt to fp8.
template <bool convert = false>
__device__ inline GroupScale scale_of(const QuantizeArgs& args, u32 magnitude, float global_reciprocal) {
    const CodeTypeFacts facts = facts_of(args.code);
    const bool is_nan = magnitude > kInfinityFloat;
    const u32 amax = amax_of(args, magnitude);
    if (args.scale == ScaleType::e4m3) {
        const float over = over_max(__uint_as_float(amax), facts.max, args.reciprocal_of_max);
        const float wanted = __fmul_rn(over, global_reciprocal);
        return e4m3_scale<convert, false>(is_nan ? __uint_as_float(kNanFloat) : wanted, global_reciprocal);
    }
    if (args.scale == ScaleType::f32) {
        float scale = fmaxf(over_max(__uint_as_float(amax), facts.max, args.reciprocal_of_max), 0x1p-126f);
        if (amax == 0) scale = 1;
        if (is_nan) scale = __uint_as_float(kNanFloat);
        return {__float_as_uint(scale), __frcp_rn(scale)};
    }
    // The exponent alone, where 2^(e - 127) is the scale.
    const bool up = args.scale != ScaleType::e8m0;
    int e = static_cast<int>(amax >> 23) - facts.max_exponent;
    if (up && (amax & 0x7fffffu) > facts.max_fraction) ++e;
    if (args.scale == ScaleType::power_of_two) {
        e = amax == 0 ? 127 : max(e, 1);
    } else {
        e = max(e, 0);
    }
    // 2^(127 - e): its exponent is never 0, as e is at most 254 - 2 + 1.
    const float multiplier = __uint_as_float(static_cast<u32>(254 - e) << 23);
    const u32 stored = args.scale == ScaleType::power_of_two ? static_cast<u32>(e) << 23 : e;
    if (!is_nan) return {stored, multiplier};
    return {args.scale == ScaleType::power_of_two ? kNanFloat : 0xffu, __uint_as_float(kNanFloat)};
}

// The largest of all parts' magnitudes, fp32's bits, in every lane. Called by whole warps.
__device__ inline u32 largest_part(const float* parts) {
    constexpr int kLoads = kAmaxParts / (kWarpThreads * 4);
    u32 magnitude = 0;
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
        const U32x4 v = ptx::load(parts + (i * kWarpThreads + threadIdx.x % kWarpThreads) * 4);
        magnitude = max(magnitude, max(max(v.x, v.y), max(v.z, v.w)));
    }
    return __reduce_max_sync(~0u, magnitude);
}

__device__ inline void store_scale(const QuantizeArgs& args, i64 row, i64 column, u32 stored) {
    const i64 at = args.swizzled ? swizzled_offset(row, column, args.scale_columns)
                                 : row * args.scale_row_stride + column * args.scale_column_stride;
    if (dtype_of(args.scale) == DType::f32) {
        static_cast<u32*>(args.scales)[at] = stored;
    } else {
        static_cast<u8*>(args.scales)[at] = static_cast<u8>(stored);
    }
}

// The scales beside a row's last one that only fill up a block of four.
__device__ inline void store_padding(const QuantizeArgs& args, i64 row) {
    for (i64 column = args.scale_columns; column % kSwizzleColumns != 0; ++column)
        store_scale(args, row, column, 0);
}

template <CodeType code>
__device__ inline u32 encode(float value) {
    if constexpr (code == CodeType::e4m3) {
        return encode_one<kTypeE4M3>(value);
    } else if constexpr (code == CodeType::e5m2) {
        return encode_one<kTypeE5M2>(value);
    } else if constexpr (code == CodeType::e2m1) {
        return encode_one<kTypeE2M1>(value);
    } else {
        return value != value ? 0 : raw_i8(value) & 0xff;
    }
}

// Four codes in a word's bytes. `regular`: none of the values is NaN.
template <CodeType code, bool convert>
__device__ inline u32 encode_word(float a, float b, float c, float d, bool regular) {
    if constexpr (convert && code == CodeType::e4m3) {
        return ptx::pack_e4m3(a, b) | ptx::pack_e4m3(c, d) << 16;
    } else if constexpr (convert && code == CodeType::e5m2) {
        return ptx::pack_e5m2(a, b) | ptx::pack_e5m2(c, d) << 16;
    } else if (code == CodeType::e2m1 || !regular) {
        return encode<code>(a) | encode<code>(b) << 8 | encode<code>(c) << 16 | encode<code>(d) << 24;
    } else if constexpr (code == CodeType::e4m3) {
        return encode_four<kTypeE4M3>(a, b, c, d);
    } else if constexpr (code == CodeType::e5m2) {
        return encode_four<kTypeE5M2>(a, b, c, d);
    } else {
        return encode_four_i8(a, b, c, d);
    }
}

// Eight elements times `multiplier`: 8 bytes, or 4 where codes are half bytes. `power_of_two`: it is one.
template <class T, CodeType code, bool convert, bool power_of_two = false>
__device__ inline void store_codes(void* to, U32x4 v, float multiplier, bool regular) {
    const auto low = [&](u32 pair) { return __fmul_rn(ptx::low_float<T>(pair), multiplier); };
    const auto high = [&](u32 pair) { return __fmul_rn(ptx::high_float<T>(pair), multiplier); };
    if constexpr (code != CodeType::e2m1) {
        const u32 first = encode_word<code, convert>(low(v.x), high(v.x), low(v.y), high(v.y), regular);
        const u32 second = encode_word<code, convert>(low(v.z), high(v.z), low(v.w), high(v.w), regular);
        *static_cast<u64*>(to) = first | static_cast<u64>(second) << 32;
        return;
    }
    u32 codes;
    if (!regular) {  // the even elements are the low halves
        codes = encode_word<code, convert>(low(v.x), low(v.y), low(v.z), low(v.w), false) |
                encode_word<code, convert>(high(v.x), high(v.y), high(v.z), high(v.w), false) << 4;
    } else if constexpr (power_of_two) {
        const u32 pair = __float_as_uint(multiplier) & 0xffff0000u;
        codes = encode_pairs_e2m1(v.x, v.y, v.z, v.w, pair | pair >> 16);
    } else {
        const float magnitudes[8] = {fabsf(low(v.x)), fabsf(high(v.x)), fabsf(low(v.y)), fabsf(high(v.y)),
                                     fabsf(low(v.z)), fabsf(high(v.z)), fabsf(low(v.w)), fabsf(high(v.w))};
        codes = encode_eight_e2m1(magnitudes);
    }
    if (regular) codes |= signs_of_eight(v.x, v.y, v.z, v.w);
    *static_cast<u32*>(to) = codes;
}

// Where there is one scale for all: it is given, or made of the parts' magnitudes and stored by the grid's
// first thread.
__device__ inline bool has_tensor_scale(const QuantizeArgs& args) {
    return args.given_scale || args.amax_parts != nullptr;
}
__device__ inline float tensor_multiplier(const QuantizeArgs& args) {
    if (args.given_scale) return positive_reciprocal(static_cast<const float*>(args.scales));
    const GroupScale scale = scale_of(args, largest_part(args.amax_parts), 1);
    if (blockIdx.x == 0 && threadIdx.x == 0) store_scale(args, 0, 0, scale.stored);
    return scale.multiplier;
}

// Whether numbers of at most this magnitude (of 16 bits) have no NaN among their products.
template <class T>
__device__ inline bool is_regular(u32 magnitude, float multiplier) {
    return __float_as_uint(ptx::to_float(T{static_cast<u16>(magnitude)})) <= kInfinityFloat &&
           __float_as_uint(multiplier) < kInfinityFloat;
}

constexpr i64 code_bytes(CodeType code, i64 elements) {
    return elements * facts_of(code).bits / 8;
}

// f(type) for the type of codes: one branch, outside of all loops. Powers of two are told apart where T is a
// type that this helps: bf16's products with them are bf16 numbers.
template <CodeType code, bool power_of_two = false>
struct CodeTag {
    static constexpr CodeType kCode = code;
    static constexpr bool kPowerOfTwo = power_of_two;
};
template <class T, class F>
__device__ inline void with_code(const QuantizeArgs& args, const F& f) {
    switch (args.code) {
        case CodeType::e4m3: return f(CodeTag<CodeType::e4m3>{});
        case CodeType::e5m2: return f(CodeTag<CodeType::e5m2>{});
        case CodeType::i8: return f(CodeTag<CodeType::i8>{});
        case CodeType::e2m1: break;
    }
    if constexpr (is_bf16<T>) {
        const bool numbers = args.scale == ScaleType::f32 || args.scale == ScaleType::e4m3;
        if (!numbers && !has_tensor_scale(args)) return f(CodeTag<CodeType::e2m1, true>{});
    }
    f(CodeTag<CodeType::e2m1>{});
}

}  // namespace warpwright
