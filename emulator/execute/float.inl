// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f32, f32x2 and f64, PTX ISA 9.7.3, for each SIMD level. The host's operations are IEEE 754's;
// what differs is flushing, saturation and which NaN is returned.
#include "emulator/execute/lanewise.inl"

template <class T>
WW_LANE T fused(T a, T b, T c) {
    if constexpr (sizeof(T) == 4) return __builtin_fmaf(a, b, c);
    return __builtin_fma(a, b, c);
}

// --- f32 ---

template <bool ftz>
WW_LANE float source(float x) {
    return ftz ? flush(x) : x;
}
template <bool ftz, bool sat>
WW_LANE float result(float x) {
    if (ftz) x = flush(x);
    return sat ? saturated(x) : with_canonical_nan(x);
}
template <bool ftz, bool sat>
WW_LANE float add(float a, float b) {
    return result<ftz, sat>(source<ftz>(a) + source<ftz>(b));
}
template <bool ftz, bool sat>
WW_LANE float sub(float a, float b) {
    return result<ftz, sat>(source<ftz>(a) - source<ftz>(b));
}
template <bool ftz, bool sat>
WW_LANE float mul(float a, float b) {
    return result<ftz, sat>(source<ftz>(a) * source<ftz>(b));
}
template <bool ftz, bool sat>
WW_LANE float fma(float a, float b, float c) {
    return result<ftz, sat>(fused(source<ftz>(a), source<ftz>(b), source<ftz>(c)));
}
// Results that .ftz flushes though they round to the smallest normal number: rounded to as many bits, but
// with no least exponent, they are below it. So does a Hopper GPU, and IEEE 754 calls it tininess after
// rounding. These are asked for such results only.
struct TinyLimit {
    double magnitude;
    bool is_included;
};
constexpr TinyLimit kTinyToNearest{0x1p-126 - 0x1p-151, false}, kTinyDirected{0x1p-126 - 0x1p-150, true};
WW_LANE bool is_tiny_product(TinyLimit limit, float a, float b) {
    const double magnitude = __builtin_fabs(static_cast<double>(a) * static_cast<double>(b));
    return magnitude < limit.magnitude || (magnitude == limit.magnitude && limit.is_included);
}
WW_LANE bool is_tiny_fused(TinyLimit limit, float a, float b, float c) {
    // The sum of two doubles and what it leaves out, exactly.
    const double product = static_cast<double>(a) * static_cast<double>(b);
    const auto addend = static_cast<double>(c);
    const double sum = product + addend;
    const double part = sum - product;
    const double error = (product - (sum - part)) + (addend - part);
    const double outward = sum > 0 ? error : -error;
    if (__builtin_fabs(sum) != limit.magnitude) return __builtin_fabs(sum) < limit.magnitude;
    return outward < 0 || (outward == 0 && limit.is_included);
}
WW_LANE bool is_tiny_quotient(TinyLimit limit, float a, float b) {
    const double whole = __builtin_fabs(static_cast<double>(a));
    const double bound = __builtin_fabs(static_cast<double>(b)) * limit.magnitude;  // exact
    return whole < bound || (whole == bound && limit.is_included);
}
WW_LANE bool is_smallest_normal(float x) {
    return (float_bits(x) & 0x7fffffffu) == 0x00800000u;
}
// Such results are rare: all lanes are computed, and looked at again only where there is one.
template <auto function, auto is_tiny>
struct Flushing;
template <class... A, float (*function)(A...), bool (*is_tiny)(TinyLimit, A...)>
struct Flushing<function, is_tiny> {
    template <std::size_t... k>
    static inline __attribute__((always_inline)) void compute(Warp& warp, const Instruction& i, u32 active,
                                                              std::index_sequence<k...>) {
        const u32* const in[] = {warp.lanes<u32>(i.slot[1 + k])...};
        alignas(64) float d[kLanes];
        u32 any = 0;
        for (int l = 0; l < kLanes; ++l) {
            d[l] = function(float_of(in[k][l])...);
            any |= is_smallest_normal(d[l]) ? 1u : 0u;
        }
        if (any != 0) [[unlikely]] {
            for (int l = 0; l < kLanes; ++l) {
                if (is_smallest_normal(d[l]) && is_tiny(kTinyToNearest, flush(float_of(in[k][l]))...))
                    d[l] = float_of(float_bits(d[l]) & 0x80000000u);
            }
        }
        store_lanes(warp.lanes<u32>(i.slot[0]), active, [&](int l) { return float_bits(d[l]); });
    }
    static Flow run(Warp& warp, const Instruction& i, u32 active) {
        compute(warp, i, active, std::index_sequence_for<A...>{});
        return Flow::next;
    }
    static constexpr Form form(std::string_view opcode, std::string_view modifiers) {
        Form form = Lanewise<function>::form(opcode, modifiers);
        form.handler = &run;
        return form;
    }
};
// In one lane, for pairs.
WW_LANE float mul_flushed(float a, float b) {
    const float d = mul<true, false>(a, b);
    const bool is_tiny = is_smallest_normal(d) && is_tiny_product(kTinyToNearest, flush(a), flush(b));
    return is_tiny ? float_of(float_bits(d) & 0x80000000u) : d;
}
WW_LANE float fma_flushed(float a, float b, float c) {
    const float d = fma<true, false>(a, b, c);
    const bool is_tiny = is_smallest_normal(d) && is_tiny_fused(kTinyToNearest, flush(a), flush(b), flush(c));
    return is_tiny ? float_of(float_bits(d) & 0x80000000u) : d;
}
template <bool ftz>
WW_LANE float div(float a, float b) {
    return result<ftz, false>(source<ftz>(a) / source<ftz>(b));
}
template <bool ftz>
WW_LANE float rcp(float a) {
    return result<ftz, false>(1.0f / source<ftz>(a));
}
template <bool ftz>
WW_LANE float sqrt(float a) {
    return result<ftz, false>(__builtin_sqrtf(source<ftz>(a)));
}
template <bool ftz>
WW_LANE float abs(float a) {
    return with_canonical_nan(float_of(float_bits(source<ftz>(a)) & 0x7fffffffu));
}
template <bool ftz>
WW_LANE float neg(float a) {
    return with_canonical_nan(float_of(float_bits(source<ftz>(a)) ^ 0x80000000u));
}
template <bool is_max, bool ftz, bool nan>
WW_LANE float extreme(float a, float b) {
    return smaller_or_larger<is_max, nan>(source<ftz>(a), source<ftz>(b));
}
// .xorsign.abs: of the absolute values, with the product's sign.
template <bool is_max, bool ftz, bool nan>
WW_LANE float extreme_xorsign(float a, float b) {
    a = source<ftz>(a);
    b = source<ftz>(b);
    const u32 x = float_bits(a), y = float_bits(b);
    const float d = smaller_or_larger<is_max, nan>(float_of(x & 0x7fffffffu), float_of(y & 0x7fffffffu));
    return d == d ? float_of(float_bits(d) | ((x ^ y) & 0x80000000u)) : d;
}
WW_LANE float copysign32(float a, float b) {  // b's magnitude with a's sign
    return float_of((float_bits(a) & 0x80000000u) | (float_bits(b) & 0x7fffffffu));
}

template <float (*function)(float, float)>
WW_LANE F32x2 both(F32x2 a, F32x2 b) {
    return {function(a.low, b.low), function(a.high, b.high)};
}
template <float (*function)(float, float, float)>
WW_LANE F32x2 both3(F32x2 a, F32x2 b, F32x2 c) {
    return {function(a.low, b.low, c.low), function(a.high, b.high, c.high)};
}

// --- f32 with f16 and bf16 sources, PTX ISA 9.7.5 ---

template <class T>
WW_LANE float wide(T x) {
    return std::is_same_v<T, F16> ? decode_f16(x.bits) : decode_bf16(x.bits);
}
template <class T, bool sat>
WW_LANE float add_mixed(T a, float c) {
    return add<false, sat>(wide(a), c);
}
template <class T, bool sat>
WW_LANE float sub_mixed(T a, float c) {
    return sub<false, sat>(wide(a), c);
}
template <class T, bool sat>
WW_LANE float fma_mixed(T a, T b, float c) {
    return fma<false, sat>(wide(a), wide(b), c);
}

// --- f64 ---

// Of several NaNs the second source's comes first, then the third's.
WW_LANE double add64(double a, double b) {
    return with_nan_of(a + b, b, a);
}
WW_LANE double sub64(double a, double b) {
    return with_nan_of(a - b, b, a);
}
WW_LANE double mul64(double a, double b) {
    return with_nan_of(a * b, b, a);
}
WW_LANE double fma64(double a, double b, double c) {
    return with_nan_of(fused(a, b, c), b, c, a);
}
WW_LANE double div64(double a, double b) {
    return with_nan_of(a / b, a, b);
}
WW_LANE double rcp64(double a) {
    return with_nan_of(1.0 / a, a, a);
}
WW_LANE double sqrt64(double a) {
    return with_nan_of(__builtin_sqrt(a), a, a);
}
// A NaN keeps its sign.
WW_LANE double abs64(double a) {
    return quiet_nan_of(a, std::bit_cast<double>(std::bit_cast<u64>(a) & ~(u64{1} << 63)));
}
WW_LANE double neg64(double a) {
    return quiet_nan_of(a, std::bit_cast<double>(std::bit_cast<u64>(a) ^ u64{1} << 63));
}
template <bool is_max>
WW_LANE double extreme64(double a, double b) {
    const u64 x = std::bit_cast<u64>(a), y = std::bit_cast<u64>(b);
    const double equal = std::bit_cast<double>(is_max ? x & y : x | y);  // zeros differ in their sign
    double d = is_max ? (a > b ? a : b) : (a < b ? a : b);
    d = a == b ? equal : d;
    d = b == b ? d : a;
    d = a == a ? d : b;
    return with_nan_of(d, d, d);  // two NaNs leave the second
}
WW_LANE double copysign64(double a, double b) {
    constexpr u64 kSign = u64{1} << 63;
    return std::bit_cast<double>((std::bit_cast<u64>(a) & kSign) | (std::bit_cast<u64>(b) & ~kSign));
}

#define WW_FORM(opcode, modifiers, ...) Lanewise<__VA_ARGS__>::form(opcode, modifiers)
// With .ftz and .sat, each there or not.
#define WW_FTZ_SAT(opcode, rounding, f)                                                                      \
    WW_FORM(opcode, rounding ".f32", f<false, false>), WW_FORM(opcode, rounding ".ftz.f32", f<true, false>), \
        WW_FORM(opcode, rounding ".sat.f32", f<false, true>),                                                \
        WW_FORM(opcode, rounding ".ftz.sat.f32", f<true, true>)
#define WW_FLUSHING_SAT(opcode, rounding, f, is_tiny)                                                        \
    WW_FORM(opcode, rounding ".f32", f<false, false>), WW_FORM(opcode, rounding ".sat.f32", f<false, true>), \
        Flushing<f<true, false>, is_tiny>::form(opcode, rounding ".ftz.f32"),                                \
        Flushing<f<true, true>, is_tiny>::form(opcode, rounding ".ftz.sat.f32")
#define WW_FTZ(opcode, rounding, f) \
    WW_FORM(opcode, rounding ".f32", f<false>), WW_FORM(opcode, rounding ".ftz.f32", f<true>)
#define WW_FTZ_X2(opcode, f)                               \
    WW_FORM(opcode, "{.rn}.f32x2", both<f<false, false>>), \
        WW_FORM(opcode, "{.rn}.ftz.f32x2", both<f<true, false>>)
#define WW_EXTREME(opcode, is_max)                                                        \
    WW_FORM(opcode, ".f32", extreme<is_max, false, false>),                               \
        WW_FORM(opcode, ".ftz.f32", extreme<is_max, true, false>),                        \
        WW_FORM(opcode, ".NaN.f32", extreme<is_max, false, true>),                        \
        WW_FORM(opcode, ".ftz.NaN.f32", extreme<is_max, true, true>),                     \
        WW_FORM(opcode, ".xorsign.abs.f32", extreme_xorsign<is_max, false, false>),       \
        WW_FORM(opcode, ".ftz.xorsign.abs.f32", extreme_xorsign<is_max, true, false>),    \
        WW_FORM(opcode, ".NaN.xorsign.abs.f32", extreme_xorsign<is_max, false, true>),    \
        WW_FORM(opcode, ".ftz.NaN.xorsign.abs.f32", extreme_xorsign<is_max, true, true>), \
        WW_FORM(opcode, ".f64", extreme64<is_max>)
#define WW_MIXED(opcode, rounding, f)                           \
    WW_FORM(opcode, rounding ".f32.f16", f<F16, false>),        \
        WW_FORM(opcode, rounding ".f32.bf16", f<Bf16, false>),  \
        WW_FORM(opcode, rounding ".sat.f32.f16", f<F16, true>), \
        WW_FORM(opcode, rounding ".sat.f32.bf16", f<Bf16, true>)
constexpr Form kForms[] = {
    WW_FTZ_SAT("add", "{.rn}", add),
    WW_FTZ_SAT("sub", "{.rn}", sub),
    WW_FLUSHING_SAT("mul", "{.rn}", mul, is_tiny_product),
    WW_FLUSHING_SAT("fma", ".rn", fma, is_tiny_fused),
    WW_FLUSHING_SAT("mad", ".rn", fma, is_tiny_fused),
    WW_FTZ_X2("add", add),
    WW_FTZ_X2("sub", sub),
    WW_FORM("mul", "{.rn}.f32x2", both<mul<false, false>>),
    WW_FORM("mul", "{.rn}.ftz.f32x2", both<mul_flushed>),
    WW_FORM("fma", ".rn.f32x2", both3<fma<false, false>>),
    WW_FORM("fma", ".rn.ftz.f32x2", both3<fma_flushed>),
    WW_MIXED("add", "{.rn}", add_mixed),
    WW_MIXED("sub", "{.rn}", sub_mixed),
    WW_MIXED("fma", ".rn", fma_mixed),
    WW_FORM("add", "{.rn}.f64", add64),
    WW_FORM("sub", "{.rn}.f64", sub64),
    WW_FORM("mul", "{.rn}.f64", mul64),
    WW_FORM("fma", ".rn.f64", fma64),
    WW_FORM("mad", ".rn.f64", fma64),
    WW_FORM("div", ".rn.f32", div<false>),
    Flushing<div<true>, is_tiny_quotient>::form("div", ".rn.ftz.f32"),
    WW_FORM("div", ".rn.f64", div64),
    WW_FTZ("rcp", ".rn", rcp),
    WW_FORM("rcp", ".rn.f64", rcp64),
    WW_FTZ("sqrt", ".rn", sqrt),
    WW_FORM("sqrt", ".rn.f64", sqrt64),
    WW_FTZ("abs", "", abs),
    WW_FORM("abs", ".f64", abs64),
    WW_FTZ("neg", "", neg),
    WW_FORM("neg", ".f64", neg64),
    WW_EXTREME("min", false),
    WW_EXTREME("max", true),
    WW_FORM("copysign", ".f32", copysign32),
    WW_FORM("copysign", ".f64", copysign64),
};
#undef WW_FORM
#undef WW_FTZ_SAT
#undef WW_FLUSHING_SAT
#undef WW_FTZ
#undef WW_FTZ_X2
#undef WW_EXTREME
#undef WW_MIXED

// --- .rz .rm .rp: the host computes with that rounding ---

template <Arithmetic operation, class T>
WW_LANE T compute(T a, T b, T c) {
    switch (operation) {
        case Arithmetic::add: return a + b;
        case Arithmetic::sub: return a - b;
        case Arithmetic::mul: return a * b;
        case Arithmetic::fma: return fused(a, b, c);
        case Arithmetic::div: return a / b;
        case Arithmetic::sqrt: return sizeof(T) == 4 ? __builtin_sqrtf(a) : static_cast<T>(__builtin_sqrt(a));
    }
    return a;
}

template <Arithmetic operation>
WW_LANE bool is_tiny_result(float a, float b, float c) {
    switch (operation) {
        case Arithmetic::mul: return is_tiny_product(kTinyDirected, a, b);
        case Arithmetic::fma: return is_tiny_fused(kTinyDirected, a, b, c);
        case Arithmetic::div: return is_tiny_quotient(kTinyDirected, a, b);
        default: return false;  // sums are exact there, and no root is there
    }
}

// See bind_directed for the fields.
template <Arithmetic operation, class T>
Flow directed(Warp& warp, const Instruction& i, u32 active) {
    using Word = WordOf<T>;
    const bool ftz = i.flag[0], sat = i.flag[1];
    const Word* const a = warp.lanes<Word>(i.slot[1]);
    const Word* const b = warp.lanes<Word>(i.slot[2]);
    const Word* const c = warp.lanes<Word>(i.slot[3]);
    alignas(64) T x[kLanes], y[kLanes], z[kLanes], d[kLanes];
    for (int l = 0; l < kLanes; ++l) {
        x[l] = LaneType<T>::from(a[l]);
        y[l] = LaneType<T>::from(b[l]);
        z[l] = LaneType<T>::from(c[l]);
        if constexpr (sizeof(T) == 4) {
            if (ftz) {
                x[l] = flush(x[l]);
                y[l] = flush(y[l]);
                z[l] = flush(z[l]);
            }
        }
    }
    {
        const RoundingScope scope(static_cast<Rounding>(i.detail[0]), x, y, z, d);
        for (int l = 0; l < kLanes; ++l) d[l] = compute<operation>(x[l], y[l], z[l]);
    }
    store_lanes_long(warp.lanes<Word>(i.slot[0]), active, [&](int l) {
        if constexpr (sizeof(T) == 4) {
            float value = ftz ? flush(d[l]) : d[l];
            if (ftz && is_smallest_normal(value) && is_tiny_result<operation>(x[l], y[l], z[l]))
                value = float_of(float_bits(value) & 0x80000000u);
            return float_bits(sat ? saturated(value) : with_canonical_nan(value));
        } else {
            if constexpr (operation == Arithmetic::div)
                return std::bit_cast<u64>(with_nan_of(d[l], x[l], y[l]));
            return std::bit_cast<u64>(with_nan_of(d[l], y[l], z[l], x[l]));
        }
    });
    return Flow::next;
}
// By Arithmetic, f32 and f64.
constexpr Handler kDirected[][2] = {
    {&directed<Arithmetic::add, float>, &directed<Arithmetic::add, double>},
    {&directed<Arithmetic::sub, float>, &directed<Arithmetic::sub, double>},
    {&directed<Arithmetic::mul, float>, &directed<Arithmetic::mul, double>},
    {&directed<Arithmetic::fma, float>, &directed<Arithmetic::fma, double>},
    {&directed<Arithmetic::div, float>, &directed<Arithmetic::div, double>},
    {&directed<Arithmetic::sqrt, float>, &directed<Arithmetic::sqrt, double>},
};
