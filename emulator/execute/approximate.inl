// SPDX-License-Identifier: Apache-2.0
// Approximate functions, PTX ISA 9.7.3 and 9.7.4, for each SIMD level: computed in double precision and
// rounded once, so that every level and every CPU gives the same bits.
#include "emulator/execute/lanewise.inl"

// 2^f for |f| <= 1/2: the polynomial of this degree with the smallest relative error, 2^-28.5.
WW_LANE double exp2_fraction(double f) {
    double p = 0x1.470b48e30bd6ep-13;
    p = p * f + 0x1.5f7276bfe7010p-10;
    p = p * f + 0x1.3b270e65d3126p-7;
    p = p * f + 0x1.c6ae72e0065ddp-5;
    p = p * f + 0x1.ebfbe2c53fd3dp-3;
    p = p * f + 0x1.62e43117337b0p-1;
    return p * f + 1.0;
}
// 2^x for |x| <= 1000.
WW_LANE double exp2_double(double x) {
    // Adding 1.5 x 2^52 leaves the nearest integer in the sum's last bits.
    constexpr double kMagic = 0x1.8p52;
    const double shifted = x + kMagic;
    const u64 scale = (std::bit_cast<u64>(shifted) << 52) + (u64{1023} << 52);
    return exp2_fraction(x - (shifted - kMagic)) * std::bit_cast<double>(scale);
}
WW_LANE float ex2(float x) {
    const float inside = x < -200.0f ? -200.0f : x > 200.0f ? 200.0f : x;
    return with_canonical_nan(x == x ? static_cast<float>(exp2_double(static_cast<double>(inside))) : x);
}
// The same where no result is subnormal: its exponent is added in f32.
WW_LANE float ex2_ftz(float x) {
    constexpr float kMagic = 0x1.8p23f;
    const float inside = x < -200.0f ? -200.0f : x > 200.0f ? 200.0f : x;
    const float shifted = inside + kMagic;
    const float fraction = inside - (shifted - kMagic);
    const auto power = static_cast<float>(exp2_fraction(static_cast<double>(fraction)));
    float d = float_of(float_bits(power) + (float_bits(shifted) << 23));
    d = x < -126.0f ? 0.0f : d;
    d = x >= 128.0f ? float_of(0x7f800000u) : d;
    return x == x ? d : float_of(kNanF32);
}

template <bool ftz>
WW_LANE float lg2(float a) {
    const float x = ftz ? flush(a) : a;
    // x = 2^exponent * m with m from sqrt(1/2) to sqrt(2); log2 m = 2 / ln 2 * artanh((m - 1) / (m + 1)).
    const u64 bits = std::bit_cast<u64>(static_cast<double>(x));
    constexpr u64 kRootHalf = 0x3fe6a09e667f3bcdull;
    const u64 above = bits - kRootHalf;
    const double m = std::bit_cast<double>(bits - (above & 0xfff0000000000000ull));
    // The exponent as a double: 1024 more, so that it is positive, in the last bits of 2^52.
    const double exponent =
        std::bit_cast<double>(((above + (u64{1024} << 52)) >> 52) + 0x4330000000000000ull) - (0x1p52 + 1024);
    const double s = (m - 1) / (m + 1), t = s * s;
    double p = 1.0 / 17;
    p = p * t + 1.0 / 15;
    p = p * t + 1.0 / 13;
    p = p * t + 1.0 / 11;
    p = p * t + 1.0 / 9;
    p = p * t + 1.0 / 7;
    p = p * t + 1.0 / 5;
    p = p * t + 1.0 / 3;
    p = p * t + 1.0;
    const double log = exponent + 2.8853900817779268 * s * p;
    float d = static_cast<float>(log);
    d = x == float_of(0x7f800000u) ? x : d;
    d = x == 0.0f ? float_of(0xff800000u) : d;
    return x >= 0.0f ? d : float_of(kNanF32);
}

// The argument in turns, as the hardware takes it: x times 1/(2 pi) in f32, rounded toward zero; then what is
// left without the nearest integer, -1/2 to 1/2.
WW_LANE double part_of_turn(float x) {
    const double product = static_cast<double>(x) * 0x1.45f306p-3;  // exact: 24 bits each
    const float nearest = static_cast<float>(product);
    const double back = static_cast<double>(nearest);
    const bool is_beyond = product < 0 ? back < product : back > product;
    const double turns = static_cast<double>(is_beyond ? float_of(float_bits(nearest) - 1) : nearest);
    constexpr double kMagic = 0x1.8p52;
    const double rest = turns - ((turns + kMagic) - kMagic);
    return (turns < 0 ? -turns : turns) < 0x1p24 ? rest : 0.0;  // integers beyond
}
// Series in r = 2 pi times the part of a turn, |r| <= pi: what is left out is below 2^-35.
template <bool ftz>
WW_LANE float sin(float a) {
    const float x = ftz ? flush(a) : a;
    const double r = part_of_turn(x) * 0x1.921fb54442d18p+2, t = r * r;
    double p = 1.0 / 51090942171709440000.0;
    p = p * t - 1.0 / 121645100408832000.0;
    p = p * t + 1.0 / 355687428096000.0;
    p = p * t - 1.0 / 1307674368000.0;
    p = p * t + 1.0 / 6227020800.0;
    p = p * t - 1.0 / 39916800.0;
    p = p * t + 1.0 / 362880.0;
    p = p * t - 1.0 / 5040.0;
    p = p * t + 1.0 / 120.0;
    p = p * t - 1.0 / 6.0;
    const float d = static_cast<float>(r + r * t * p);
    const bool is_finite = (float_bits(x) & 0x7fffffffu) < 0x7f800000u;
    const float signed_zero = x == 0.0f ? x : d;
    return is_finite ? (ftz ? flush(signed_zero) : signed_zero) : float_of(kNanF32);
}
template <bool ftz>
WW_LANE float cos(float a) {
    const float x = ftz ? flush(a) : a;
    const double r = part_of_turn(x) * 0x1.921fb54442d18p+2, t = r * r;
    double p = -1.0 / 1124000727777607680000.0;
    p = p * t + 1.0 / 2432902008176640000.0;
    p = p * t - 1.0 / 6402373705728000.0;
    p = p * t + 1.0 / 20922789888000.0;
    p = p * t - 1.0 / 87178291200.0;
    p = p * t + 1.0 / 479001600.0;
    p = p * t - 1.0 / 3628800.0;
    p = p * t + 1.0 / 40320.0;
    p = p * t - 1.0 / 720.0;
    p = p * t + 1.0 / 24.0;
    p = p * t - 1.0 / 2.0;
    const float d = static_cast<float>(1.0 + t * p);
    const bool is_finite = (float_bits(x) & 0x7fffffffu) < 0x7f800000u;
    return is_finite ? (ftz ? flush(d) : d) : float_of(kNanF32);
}

WW_LANE float tanh(float a) {
    const double x = static_cast<double>(a), magnitude = x < 0 ? -x : x;
    const double inside = magnitude < 20 ? magnitude : 20.0;
    const double e = exp2_double(inside * -2.8853900817779268);  // e^(-2|x|)
    const double far = (1 - e) / (1 + e);
    // Near 0 the difference would cancel.
    const double t = x * x;
    const double near = magnitude * (1 - t * (1.0 / 3 - t * (2.0 / 15 - t * (17.0 / 315))));
    const double d = magnitude < 0x1p-5 ? near : far;
    return with_canonical_nan(a == a ? static_cast<float>(x < 0 ? -d : a == 0.0f ? x : d) : a);
}

template <bool ftz>
WW_LANE float rcp(float a) {
    const float d = 1.0f / (ftz ? flush(a) : a);
    return with_canonical_nan(ftz ? flush(d) : d);
}
template <bool ftz>
WW_LANE float sqrt(float a) {
    return with_canonical_nan(__builtin_sqrtf(ftz ? flush(a) : a));
}
template <bool ftz>
WW_LANE float rsqrt(float a) {
    return with_canonical_nan(
        static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(ftz ? flush(a) : a))));
}
template <bool ftz>
WW_LANE float div_full(float a, float b) {
    const float d = (ftz ? flush(a) : a) / (ftz ? flush(b) : b);
    return with_canonical_nan(ftz ? flush(d) : d);
}
// a times the reciprocal, which is zero for 2^126 < |b|: PTX ISA 9.7.3.8.
template <bool ftz>
WW_LANE float div_approx(float a, float b) {
    const float x = ftz ? flush(a) : a, y = ftz ? flush(b) : b;
    const u32 magnitude = float_bits(y) & 0x7fffffffu;
    const float zero = float_of(float_bits(y) & 0x80000000u);
    const float d = magnitude > 0x7e800000u && magnitude < 0x7f800000u ? x * zero : x / y;
    return with_canonical_nan(ftz ? flush(d) : d);
}

// Only the upper halves of source and result count: PTX ISA 9.7.3.14 and 9.7.3.17.
WW_LANE double upper_half(double x) {
    const u64 bits = std::bit_cast<u64>(x) & 0xffffffff00000000ull;
    const u64 magnitude = bits & ~(u64{1} << 63);
    return std::bit_cast<double>(magnitude < (u64{1} << 52) ? bits & (u64{1} << 63) : bits);
}
WW_LANE double canonical64(double x) {
    return x == x ? x : std::bit_cast<double>(0x7fffffff00000000ull);
}
WW_LANE double rcp64(double a) {
    return canonical64(upper_half(1.0 / upper_half(a)));
}
WW_LANE double rsqrt64(double a) {
    return canonical64(upper_half(1.0 / __builtin_sqrt(upper_half(a))));
}
WW_LANE double rsqrt64_full(double a) {
    const double d = 1.0 / __builtin_sqrt(a);
    return d == d ? d : std::bit_cast<double>(0xfff8000000000000ull);
}

// Of halves: the function in f32, rounded to the type.
template <float (*function)(float)>
WW_LANE F16 in_f16(F16 a) {
    return {encode_f16(function(decode_f16(a.bits)))};
}
template <float (*function)(float)>
WW_LANE Bf16 in_bf16(Bf16 a) {
    return {encode_bf16(function(decode_bf16(a.bits)))};
}
#define WW_FORM(opcode, modifiers, ...) Lanewise<__VA_ARGS__, LaneLoop::vector_long>::form(opcode, modifiers)
#define WW_FTZ(opcode, prefix, f) \
    WW_FORM(opcode, prefix ".f32", f<false>), WW_FORM(opcode, prefix ".ftz.f32", f<true>)
constexpr Form kForms[] = {
    WW_FORM("ex2", ".approx.f32", ex2),
    WW_FORM("ex2", ".approx.ftz.f32", ex2_ftz),
    WW_FTZ("lg2", ".approx", lg2),
    WW_FTZ("sin", ".approx", sin),
    WW_FTZ("cos", ".approx", cos),
    WW_FORM("tanh", ".approx.f32", tanh),
    WW_FTZ("rcp", ".approx", rcp),
    WW_FTZ("sqrt", ".approx", sqrt),
    WW_FTZ("rsqrt", ".approx", rsqrt),
    WW_FTZ("div", ".approx", div_approx),
    WW_FTZ("div", ".full", div_full),
    WW_FORM("rcp", ".approx.ftz.f64", rcp64),
    WW_FORM("rsqrt", ".approx.ftz.f64", rsqrt64),
    WW_FORM("rsqrt", ".approx.f64", rsqrt64_full),
    WW_FORM("ex2", ".approx.f16", in_f16<ex2>),
    PairLanewise<in_f16<ex2>>::form("ex2", ".approx.f16x2"),
    WW_FORM("ex2", ".approx.ftz.bf16", in_bf16<ex2_ftz>),
    PairLanewise<in_bf16<ex2_ftz>>::form("ex2", ".approx.ftz.bf16x2"),
    WW_FORM("tanh", ".approx.f16", in_f16<tanh>),
    PairLanewise<in_f16<tanh>>::form("tanh", ".approx.f16x2"),
    WW_FORM("tanh", ".approx.bf16", in_bf16<tanh>),
    PairLanewise<in_bf16<tanh>>::form("tanh", ".approx.bf16x2"),
};
#undef WW_FORM
#undef WW_FTZ
