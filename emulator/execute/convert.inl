// SPDX-License-Identifier: Apache-2.0
// Conversions that loops over lanes are made for, PTX ISA 9.7.9.21, for each SIMD level. The general ones,
// for every form, are in convert.cpp.
#include "emulator/execute/lanewise.inl"

WW_LANE float f16_to_f32(F16 a) {
    return decode_f16(a.bits);
}
WW_LANE float bf16_to_f32(Bf16 a) {
    return decode_bf16(a.bits);
}

// --- between f32, f64 and integers ---

template <class R, class A>
WW_LANE R to_nearest(A a) {
    return static_cast<R>(a);
}
WW_LANE float f64_to_f32(double a) {
    const u64 bits = std::bit_cast<u64>(a);  // a NaN is cut off, and quiet
    const u32 nan =
        static_cast<u32>(bits >> 63) << 31 | 0x7fc00000u | (static_cast<u32>(bits >> 29) & 0x7fffffu);
    return a == a ? static_cast<float>(a) : float_of(nan);
}

// Integers in f32.
template <Rounding rounding>
WW_LANE float integral(float x) {
    switch (rounding) {
        case Rounding::nearest_even: return __builtin_rintf(x);
        case Rounding::toward_zero: return __builtin_truncf(x);
        case Rounding::down: return __builtin_floorf(x);
        case Rounding::up: return __builtin_ceilf(x);
        case Rounding::nearest_away: break;
    }
    return x;
}
template <Rounding rounding>
WW_LANE float f32_to_integral(float a) {
    return with_canonical_nan(integral<rounding>(a));
}
WW_LANE u32 f32_to_f32(u32 a) {  // a move
    return a;
}
template <bool ftz>
WW_LANE float f32_to_f32_sat(float a) {
    const float x = ftz ? flush(a) : a;
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
WW_LANE float f32_to_f32_ftz(float a) {
    return with_canonical_nan(flush(a));
}

// To integers of 32 bits: what is outside of their range becomes its end, NaN becomes 0. The integer is in
// the last bits of a double beyond 2^52.
template <Rounding rounding, bool is_signed, bool ftz>
WW_LANE u32 f32_to_integer(float a) {
    constexpr double kLow = is_signed ? -0x1p31 : 0.0, kHigh = is_signed ? 0x1p31 - 1 : 0x1p32 - 1;
    const double x = static_cast<double>(integral<rounding>(ftz ? flush(a) : a));
    const double inside = x < kLow ? kLow : x > kHigh ? kHigh : x;
    const double number = x == x ? inside : 0.0;
    return static_cast<u32>(std::bit_cast<u64>(number + 0x1.8p52));
}
template <Rounding rounding, bool ftz>
WW_LANE u32 f32_to_u32(float a) {
    return f32_to_integer<rounding, false, ftz>(a);
}
template <Rounding rounding, bool ftz>
WW_LANE i32 f32_to_s32(float a) {
    return static_cast<i32>(f32_to_integer<rounding, true, ftz>(a));
}

// To 64 bits in two halves, each in the last bits of a double.
template <Rounding rounding, bool is_signed>
WW_LANE u64 f32_to_wide_integer(float a) {
    const double x = static_cast<double>(integral<rounding>(a));
    const double high = __builtin_floor(x * 0x1p-32), low = x - high * 0x1p32;
    const u64 high_bits = std::bit_cast<u64>(high + 0x1.8p52), low_bits = std::bit_cast<u64>(low + 0x1.8p52);
    u64 result = high_bits << 32 | (low_bits & 0xffffffffu);
    constexpr double kEnd = is_signed ? 0x1p63 : 0x1p64, kStart = is_signed ? -0x1p63 : 0.0;
    result = x >= kEnd ? (is_signed ? ~u64{0} >> 1 : ~u64{0}) : result;
    result = x < kStart ? (is_signed ? u64{1} << 63 : 0) : result;
    return x == x ? result : u64{1} << 63;
}
template <Rounding rounding>
WW_LANE u64 f32_to_u64(float a) {
    return f32_to_wide_integer<rounding, false>(a);
}
template <Rounding rounding>
WW_LANE i64 f32_to_s64(float a) {
    return static_cast<i64>(f32_to_wide_integer<rounding, true>(a));
}

// tf32 is an f32 whose last 13 bits are zero. .rna cuts a NaN's off, and may leave an infinity.
WW_LANE u32 to_tf32_nearest(float a) {
    const u32 bits = float_bits(a);
    return a == a ? (bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u : kNanTf32;
}
// The hardware has no instruction for this one: what the assembler makes of it cuts a NaN's bits too.
template <bool satfinite>
WW_LANE u32 to_tf32_away(float a) {
    const u32 bits = float_bits(a);
    const u32 result = ((bits & 0x7fffffffu) >= 0x7f800000u ? bits : bits + 0x1000u) & 0xffffe000u;
    return satfinite && (result & 0x7fffffffu) >= 0x7f800000u ? result - 0x2000u : result;
}

#define WW_FORM(modifiers, ...) Lanewise<__VA_ARGS__>::form("cvt", modifiers)
#define WW_HALF(type, T)                                                \
    WW_FORM(".rn." type ".f32", to_half<T, false, false>),              \
        WW_FORM(".rn.relu." type ".f32", to_half<T, true, false>),      \
        WW_FORM(".rn.satfinite." type ".f32", to_half<T, false, true>), \
        WW_FORM(".rn.relu.satfinite." type ".f32", to_half<T, true, true>)
#define WW_INTEGRAL(name, rounding)                                   \
    WW_FORM("." name ".f32.f32", f32_to_integral<rounding>),          \
        WW_FORM("." name ".u32.f32", f32_to_u32<rounding, false>),    \
        WW_FORM("." name ".s32.f32", f32_to_s32<rounding, false>),    \
        WW_FORM("." name ".ftz.u32.f32", f32_to_u32<rounding, true>), \
        WW_FORM("." name ".ftz.s32.f32", f32_to_s32<rounding, true>), \
        WW_FORM("." name ".u64.f32", f32_to_u64<rounding>),           \
        WW_FORM("." name ".s64.f32", f32_to_s64<rounding>)
constexpr Form kForms[] = {
    WW_FORM(".f32.f16", f16_to_f32),
    WW_FORM(".f32.bf16", bf16_to_f32),
    WW_HALF("f16", F16),
    WW_HALF("bf16", Bf16),
    WW_FORM(".rn.f32.s32", to_nearest<float, i32>),
    WW_FORM(".rn.f32.u32", to_nearest<float, u32>),
    WW_FORM(".rn.f32.s64", to_nearest<float, i64>),
    WW_FORM(".rn.f32.u64", to_nearest<float, u64>),
    WW_FORM(".rn.f64.s32", to_nearest<double, i32>),
    WW_FORM(".rn.f64.s64", to_nearest<double, i64>),
    WW_FORM(".rn.f64.u64", to_nearest<double, u64>),
    WW_FORM(".rn.f32.f64", f64_to_f32),
    WW_FORM(".f32.f32", f32_to_f32),
    WW_FORM(".ftz.f32.f32", f32_to_f32_ftz),
    WW_FORM(".sat.f32.f32", f32_to_f32_sat<false>),
    WW_FORM(".ftz.sat.f32.f32", f32_to_f32_sat<true>),
    WW_INTEGRAL("rni", Rounding::nearest_even),
    WW_INTEGRAL("rzi", Rounding::toward_zero),
    WW_INTEGRAL("rmi", Rounding::down),
    WW_INTEGRAL("rpi", Rounding::up),
    WW_FORM(".rn.tf32.f32", to_tf32_nearest),
    WW_FORM(".rna.tf32.f32", to_tf32_away<false>),
    WW_FORM(".rna.satfinite.tf32.f32", to_tf32_away<true>),
};
#undef WW_FORM
#undef WW_HALF
#undef WW_INTEGRAL

// --- integers ---

// The source's bits, extended as its type says and then as the destination's does. See bind_integers.
template <class Dest, class Source>
Flow convert_integer(Warp& warp, const Instruction& i, u32 active) {
    using Word = std::conditional_t<sizeof(Dest) == 4 && sizeof(Source) == 4, u32, u64>;
    const Source* const a = warp.lanes<Source>(i.slot[1]);
    const auto mask = [](i32 bits) { return static_cast<Word>(~u64{0} >> (64 - bits)); };
    const auto sign = [](i32 bits, bool is_signed) {
        return static_cast<Word>(is_signed ? u64{1} << (bits - 1) : 0);
    };
    const Word from = mask(i.detail[0]), from_sign = sign(i.detail[0], i.flag[0]);
    const Word to = mask(i.detail[1]), to_sign = sign(i.detail[1], i.flag[1]);
    store_lanes_long(warp.lanes<Dest>(i.slot[0]), active, [&](int l) {
        // Subtracting the sign's weight after it was flipped extends it.
        const Word value = ((a[l] & from) ^ from_sign) - from_sign;
        return static_cast<Dest>(((value & to) ^ to_sign) - to_sign);
    });
    return Flow::next;
}
template <class R, class A>
WW_LANE R resized(A a) {
    return static_cast<R>(a);
}
constexpr IntegerHandlers kIntegers{
    {{&convert_integer<u32, u32>, &convert_integer<u32, u64>},
     {&convert_integer<u64, u32>, &convert_integer<u64, u64>}},
    &Lanewise<resized<u64, u32>>::run,
    &Lanewise<resized<u64, i32>>::run,
    &Lanewise<resized<u32, u64>>::run,
    &Lanewise<resized<u32, u32>>::run,
    &Lanewise<resized<u64, u64>>::run,
};
