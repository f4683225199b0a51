// SPDX-License-Identifier: Apache-2.0
// What the kernels of quantisation share: scales of groups, and codes of numbers.
#pragma once

#include "kernels/fused/quantize/exponent.h"
#include "kernels/fused/quantize/problem.h"
#include "ptx/convert.cuh"
#include "ptx/fp8.cuh"
#include "ptx/math.cuh"
#include "tile/bounded_codes.cuh"
#include "tile/magnitude.cuh"

namespace warpwright {

template <class T>
constexpr bool is_void = false;
template <>
inline constexpr bool is_void<void> = true;

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

template <bool convert>
__device__ inline GroupScale e4m3_scale(float wanted, float global_reciprocal) {
    const u32 code = e4m3_code<convert>(wanted);
    const float quotient = __fdiv_rn(global_reciprocal, e4m3_value(code));
    const float multiplier = code == 0 ? 0.0f : quotient;
    return {code, code == 0x7f ? __uint_as_float(kNanFloat) : multiplier};
}

// `magnitude`'s as a scale is made of it.
__device__ inline u32 amax_of(const QuantizeArgs& args, u32 magnitude) {
    return max(min(magnitude, kLargestFloat), __float_as_uint(args.least_amax));
}

// As scale_of, without a branch, for e2m1's groups with e4m3's scales. Whatever it is not made for becomes a
// multiplier that is_regular refuses: NaN where magnitude or reciprocal is.
template <bool convert>
__device__ inline GroupScale usual_e4m3_scale(const QuantizeArgs& args, u32 magnitude, float usual) {
    constexpr float kMax = facts_of(CodeType::e2m1).max, kReciprocal = 1 / kMax;
    const float amax = __uint_as_float(max(magnitude, __float_as_uint(args.least_amax)));
    const float quotient = __fmul_rn(amax, kReciprocal);
    const float over = __fmaf_rn(__fmaf_rn(-quotient, kMax, amax), kReciprocal, quotient);
    const u32 code = e4m3_code<convert>(__fmul_rn(over, usual));
    float value;
    if constexpr (convert) {
        value = ptx::low_float<Half>(ptx::unpack_e4m3(code));
    } else {
        value = code == 0x7f ? __uint_as_float(kNanFloat) : e4m3_value(code);
    }
    return {code, value == 0 ? 0.0f : over_e4m3(usual, value)};
}
// The reciprocal of a global scale for it: NaN where over_e4m3 does not take it, or where an amax that is too
// small for its quotient to be right would have a scale that is not 0.
__device__ inline float usual_reciprocal(float reciprocal) {
    return reciprocal >= 0x1p-90f && reciprocal <= 0x1p80f ? reciprocal : __uint_as_float(kNanFloat);
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
        return e4m3_scale<convert>(is_nan ? __uint_as_float(kNanFloat) : wanted, global_reciprocal);
    }
    if (args.scale == ScaleType::f32) {
        float scale = fmaxf(over_max(__uint_as_float(amax), facts.max, args.reciprocal_of_max), 0x1p-126f);
        if (amax == 0) scale = 1;
        if (is_nan) scale = __uint_as_float(kNanFloat);
        return {__float_as_uint(scale), __frcp_rn(scale)};
    }
    // The exponent alone, where 2^(e - 127) is the scale.
    int e = scale_exponent(facts, amax, args.scale != ScaleType::e8m0);
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

// Four codes in a word's bytes. `regular`: is_regular has said so.
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
        return encode_four_bounded_i8(a, b, c, d);
    }
}

// What is known of e2m1's multipliers: nothing; they are powers of two, and products with T are T; they are
// e4m3's, and no regular product is above 6.9.
enum class Multipliers : u8 { any, powers_of_two, e4m3 };

// Eight elements times `multiplier`, as codes of four bits. They are regular.
template <class T, Multipliers multipliers>
__device__ inline u32 regular_codes_e2m1(U32x4 v, float multiplier) {
    const auto low = [&](u32 pair) { return __fmul_rn(fabsf(ptx::low_float<T>(pair)), multiplier); };
    const auto high = [&](u32 pair) { return __fmul_rn(fabsf(ptx::high_float<T>(pair)), multiplier); };
    u32 codes;
    if constexpr (multipliers == Multipliers::powers_of_two) {
        const u32 pair = __float_as_uint(multiplier) & 0xffff0000u;
        codes = encode_pairs_e2m1(v.x, v.y, v.z, v.w, pair | pair >> 16);
    } else {
        const float magnitudes[8] = {low(v.x), high(v.x), low(v.y), high(v.y),
                                     low(v.z), high(v.z), low(v.w), high(v.w)};
        codes = multipliers == Multipliers::e4m3 ? encode_eight_e2m1_below_7(magnitudes)
                                                 : encode_eight_e2m1(magnitudes);
    }
    return codes | signs_of_eight(v.x, v.y, v.z, v.w);
}

// Eight elements times `multiplier`: 8 bytes, or 4 where codes are half bytes.
template <class T, CodeType code, bool convert, Multipliers multipliers = Multipliers::any>
__device__ inline void store_codes(void* to, U32x4 v, float multiplier, bool regular) {
    const auto low = [&](u32 pair) { return __fmul_rn(ptx::low_float<T>(pair), multiplier); };
    const auto high = [&](u32 pair) { return __fmul_rn(ptx::high_float<T>(pair), multiplier); };
    if constexpr (code != CodeType::e2m1) {
        const u32 first = encode_word<code, convert>(low(v.x), high(v.x), low(v.y), high(v.y), regular);
        const u32 second = encode_word<code, convert>(low(v.z), high(v.z), low(v.w), high(v.w), regular);
        *static_cast<u64*>(to) = first | static_cast<u64>(second) << 32;
    } else if (regular) {
        *static_cast<u32*>(to) = regular_codes_e2m1<T, multipliers>(v, multiplier);
    } else {  // the even elements are the low halves
        *static_cast<u32*>(to) = encode_word<code, convert>(low(v.x), low(v.y), low(v.z), low(v.w), false) |
                                 encode_word<code, convert>(high(v.x), high(v.y), high(v.z), high(v.w), false)
                                     << 4;
    }
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

// Whether numbers of at most this magnitude (fp32's bits) have no NaN among their products, and none beyond
// what the shorter ways to make codes of them reach.
__device__ inline bool is_regular(const QuantizeArgs& args, u32 magnitude, float multiplier) {
    const bool is_bounded_e2m1 = args.code == CodeType::e2m1 && args.scale == ScaleType::e4m3;
    const float most = args.code == CodeType::i8 ? 127.4f
                       : is_bounded_e2m1         ? 6.9f
                                                 : __uint_as_float(kInfinityFloat);
    return __uint_as_float(magnitude) * multiplier <= most && multiplier < __uint_as_float(kInfinityFloat);
}

constexpr i64 code_bytes(CodeType code, i64 elements) {
    return elements * facts_of(code).bits / 8;
}

// f(type) for the type of codes: one branch, outside of all loops. e2m1's multipliers are told apart where
// eight elements of type T are coded at a time, powers of two where that helps: bf16's products with them are
// bf16 numbers.
template <CodeType code, Multipliers multipliers = Multipliers::any>
struct CodeTag {
    static constexpr CodeType kCode = code;
    static constexpr Multipliers kMultipliers = multipliers;
};
template <class T, class F>
__device__ inline void with_code(const QuantizeArgs& args, const F& f) {
    switch (args.code) {
        case CodeType::e4m3: return f(CodeTag<CodeType::e4m3>{});
        case CodeType::e5m2: return f(CodeTag<CodeType::e5m2>{});
        case CodeType::i8: return f(CodeTag<CodeType::i8>{});
        case CodeType::e2m1: break;
    }
    if constexpr (!is_void<T>) {
        if (args.scale == ScaleType::e4m3) return f(CodeTag<CodeType::e2m1, Multipliers::e4m3>{});
    }
    if constexpr (is_bf16<T>) {
        if (args.scale != ScaleType::f32 && !has_tensor_scale(args))
            return f(CodeTag<CodeType::e2m1, Multipliers::powers_of_two>{});
    }
    f(CodeTag<CodeType::e2m1>{});
}

}  // namespace warpwright
