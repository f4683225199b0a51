// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f16 and bf16 and their pairs, PTX ISA 9.7.4, for each SIMD level: rounded once, as if exact.
#include "emulator/execute/lanewise.inl"

template <class T, bool ftz>
WW_LANE float source(T x) {
    if constexpr (std::is_same_v<T, Bf16>)
        return decode_bf16(x.bits);
    else
        return decode_f16(ftz ? flush(x).bits : x.bits);
}
// .ftz flushes what is below the smallest normal number when it is rounded to as many bits, but with no least
// exponent: as of single precision, float.inl.
template <class Real>
WW_LANE Real flush_below_f16(Real x) {
    const Real limit = Real{0x1p-14} - Real{0x1p-26};
    return x < limit && x > -limit ? x * Real{0} : x;
}
// The exact value, or one that rounds to the type as that does.
template <class T, bool ftz, Clamp clamp, class Real>
WW_LANE T result(Real x) {
    if (ftz && std::is_same_v<T, F16>) x = flush_below_f16(x);
    if (clamp == Clamp::sat) x = x > 0 ? (x < 1 ? x : Real{1}) : Real{0};
    if (clamp == Clamp::relu) x = x <= 0 ? Real{0} : x;
    if constexpr (std::is_same_v<T, Bf16>) return {encode_nearest<kBf16>(x)};
    if constexpr (std::is_same_v<T, F16>) return {encode_nearest<kF16>(x)};
}

// The sum rounded to odd: inexact ones end in a 1 bit, so that rounding again, to fewer bits, sees on which
// side of a tie they are.
WW_LANE double sum_to_odd(double a, double b) {
    const double sum = a + b;
    const double part = sum - a;
    const double error = (a - (sum - part)) + (b - part);  // exact; NaN where the sum is not finite
    const u64 bits = std::bit_cast<u64>(sum);
    const u64 odd = (error > 0) == (sum > 0) ? bits + 1 : bits - 1;
    const bool is_exact = !(error < 0 || error > 0);
    return std::bit_cast<double>(is_exact || (bits & 1) != 0 ? bits : odd);
}

// Sums of two and products of f16 are right in f32, which has more than twice the bits; products of bf16 can
// fall below f32's normal numbers.
template <class T, bool ftz, Clamp clamp>
WW_LANE T add(T a, T b) {
    return result<T, ftz, clamp>(source<T, ftz>(a) + source<T, ftz>(b));
}
template <class T, bool ftz, Clamp clamp>
WW_LANE T sub(T a, T b) {
    return result<T, ftz, clamp>(source<T, ftz>(a) - source<T, ftz>(b));
}
template <class T, bool ftz, Clamp clamp>
WW_LANE T mul(T a, T b) {
    const float x = source<T, ftz>(a), y = source<T, ftz>(b);
    if constexpr (std::is_same_v<T, Bf16>)
        return result<T, ftz, clamp>(static_cast<double>(x) * static_cast<double>(y));
    else
        return result<T, ftz, clamp>(x * y);
}
// The product is exact in f64, and so is the sum near a tie of f16; that of bf16 needs not be.
template <class T, bool ftz, Clamp clamp>
WW_LANE T fma(T a, T b, T c) {
    const double product = static_cast<double>(source<T, ftz>(a)) * static_cast<double>(source<T, ftz>(b));
    const auto addend = static_cast<double>(source<T, ftz>(c));
    if constexpr (std::is_same_v<T, Bf16>)
        return result<T, ftz, clamp>(sum_to_odd(product, addend));
    else
        return result<T, ftz, clamp>(product + addend);
}
template <class T, bool ftz>
WW_LANE T abs(T a) {
    const float x = source<T, ftz>(a);
    return result<T, false, Clamp::none>(float_of(float_bits(x) & 0x7fffffffu));
}
template <class T, bool ftz>
WW_LANE T neg(T a) {
    return result<T, false, Clamp::none>(-source<T, ftz>(a));
}

template <class T, bool is_max, bool ftz, bool nan, bool xorsign>
WW_LANE T extreme(T a, T b) {
    float x = source<T, ftz>(a), y = source<T, ftz>(b);
    const u32 sign = static_cast<u32>((a.bits ^ b.bits) & 0x8000) << 16;  // a NaN has one too
    if (xorsign) {
        x = float_of(float_bits(x) & 0x7fffffffu);
        y = float_of(float_bits(y) & 0x7fffffffu);
    }
    const u32 p = float_bits(x), q = float_bits(y);
    const float equal = float_of(is_max ? p & q : p | q);  // zeros differ in their sign
    float d = is_max ? (x > y ? x : y) : (x < y ? x : y);
    d = x == y ? equal : d;
    d = x == x ? d : nan ? x : y;
    d = y == y ? d : nan ? y : x;
    if (xorsign) d = float_of(float_bits(d) | sign);  // of NaN it does not show
    return result<T, false, Clamp::none>(d);
}

#define WW_FORM(opcode, modifiers, ...) Lanewise<__VA_ARGS__, LaneLoop::vector_long>::form(opcode, modifiers)
#define WW_F16(opcode, modifiers, ...)              \
    WW_FORM(opcode, modifiers ".f16", __VA_ARGS__), \
        PairLanewise<__VA_ARGS__>::form(opcode, modifiers ".f16x2")
#define WW_BF16(opcode, modifiers, ...)              \
    WW_FORM(opcode, modifiers ".bf16", __VA_ARGS__), \
        PairLanewise<__VA_ARGS__>::form(opcode, modifiers ".bf16x2")
#define WW_ARITHMETIC(opcode, rounding, f)                             \
    WW_F16(opcode, rounding, f<F16, false, Clamp::none>),              \
        WW_F16(opcode, rounding ".ftz", f<F16, true, Clamp::none>),    \
        WW_F16(opcode, rounding ".sat", f<F16, false, Clamp::sat>),    \
        WW_F16(opcode, rounding ".ftz.sat", f<F16, true, Clamp::sat>), \
        WW_BF16(opcode, rounding, f<Bf16, false, Clamp::none>)
#define WW_UNARY(opcode, f)                                                  \
    WW_F16(opcode, "", f<F16, false>), WW_F16(opcode, ".ftz", f<F16, true>), \
        WW_BF16(opcode, "", f<Bf16, false>)
#define WW_EXTREME(opcode, is_max)                                                      \
    WW_F16(opcode, "", extreme<F16, is_max, false, false, false>),                      \
        WW_F16(opcode, ".ftz", extreme<F16, is_max, true, false, false>),               \
        WW_F16(opcode, ".NaN", extreme<F16, is_max, false, true, false>),               \
        WW_F16(opcode, ".ftz.NaN", extreme<F16, is_max, true, true, false>),            \
        WW_F16(opcode, ".xorsign.abs", extreme<F16, is_max, false, false, true>),       \
        WW_F16(opcode, ".ftz.xorsign.abs", extreme<F16, is_max, true, false, true>),    \
        WW_F16(opcode, ".NaN.xorsign.abs", extreme<F16, is_max, false, true, true>),    \
        WW_F16(opcode, ".ftz.NaN.xorsign.abs", extreme<F16, is_max, true, true, true>), \
        WW_BF16(opcode, "", extreme<Bf16, is_max, false, false, false>),                \
        WW_BF16(opcode, ".NaN", extreme<Bf16, is_max, false, true, false>),             \
        WW_BF16(opcode, ".xorsign.abs", extreme<Bf16, is_max, false, false, true>),     \
        WW_BF16(opcode, ".NaN.xorsign.abs", extreme<Bf16, is_max, false, true, true>)
constexpr Form kForms[] = {
    WW_ARITHMETIC("add", "{.rn}", add),
    WW_ARITHMETIC("sub", "{.rn}", sub),
    WW_ARITHMETIC("mul", "{.rn}", mul),
    WW_ARITHMETIC("fma", ".rn", fma),
    WW_F16("fma", ".rn.relu", fma<F16, false, Clamp::relu>),
    WW_F16("fma", ".rn.ftz.relu", fma<F16, true, Clamp::relu>),
    WW_BF16("fma", ".rn.relu", fma<Bf16, false, Clamp::relu>),
    WW_UNARY("abs", abs),
    WW_UNARY("neg", neg),
    WW_EXTREME("min", false),
    WW_EXTREME("max", true),
};
#undef WW_FORM
#undef WW_F16
#undef WW_BF16
#undef WW_ARITHMETIC
#undef WW_UNARY
#undef WW_EXTREME
