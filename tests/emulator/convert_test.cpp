// SPDX-License-Identifier: Apache-2.0
// Conversions against their definition: integers in 128 bits, floats by exact.h.
#include <bit>
#include <limits>

#include "tests/emulator/elementwise.h"
#include "tests/emulator/exact.h"

namespace warpwright::emulator {
namespace {

using i128 = __int128;

struct IntegerType {
    std::string name;
    int bits;
    bool is_signed;
    i128 lowest() const { return is_signed ? -(i128{1} << (bits - 1)) : 0; }
    i128 highest() const { return (i128{1} << (is_signed ? bits - 1 : bits)) - 1; }
    i128 value(u64 pattern) const {  // of the low bits
        const i128 value = static_cast<i128>(bits == 64 ? pattern : pattern & ((u64{1} << bits) - 1));
        return value > highest() ? value - (i128{1} << bits) : value;
    }
};
const IntegerType kIntegers[] = {{"u8", 8, false},   {"s8", 8, true},    {"u16", 16, false},
                                 {"s16", 16, true},  {"u32", 32, false}, {"s32", 32, true},
                                 {"u64", 64, false}, {"s64", 64, true}};

std::vector<u64> integer_edges() {
    std::vector<u64> values;
    for (const int bit : {0, 7, 8, 15, 16, 24, 31, 32, 53, 63}) {
        for (const int step : {-1, 0, 1}) values.push_back((u64{1} << bit) + static_cast<u64>(step));
        values.push_back(0 - (u64{1} << bit));
        values.push_back(0 - (u64{1} << bit) - 1);
    }
    return values;
}

// From and to registers of 64 bits, and of the types' own sizes: PTX lets cvt's registers be wider.
TEST(EmulatedConvert, IntegersToIntegers) {
    const auto [wide] = operands_of<u64, 1>(integer_edges());
    const std::vector<u32> narrow(wide.begin(), wide.end());
    for (const IntegerType& from : kIntegers) {
        for (const IntegerType& to : kIntegers) {
            for (const bool saturates : {false, true}) {
                const std::string types = std::string(saturates ? ".sat." : ".") + to.name + "." + from.name;
                const auto convert = [&](u64 pattern) {
                    const i128 value = from.value(pattern);
                    if (saturates) return std::clamp(value, to.lowest(), to.highest());
                    return to.value(static_cast<u64>(value));
                };
                expect_elementwise<u64>(
                    "cvt" + types + " %d, %a;", [&](u64 x) { return static_cast<u64>(convert(x)); }, wide);
                if (to.bits < 64)
                    expect_elementwise<u32>(
                        "cvt" + types + " %d, %a;", [&](u64 x) { return static_cast<u32>(convert(x)); },
                        wide);
                if (from.bits < 64)
                    expect_elementwise<u64>(
                        "cvt" + types + " %d, %a;", [&](u32 x) { return static_cast<u64>(convert(x)); },
                        narrow);
                if (from.bits < 64 && to.bits < 64)
                    expect_elementwise<u32>(
                        "cvt" + types + " %d, %a;", [&](u32 x) { return static_cast<u32>(convert(x)); },
                        narrow);
                if (from.bits < 32 && to.bits < 32) {
                    const std::vector<u16> small(wide.begin(), wide.end());
                    expect_elementwise<u16>(
                        "cvt" + types + " %d, %a;", [&](u16 x) { return static_cast<u16>(convert(x)); },
                        small);
                }
            }
        }
    }
}

struct Mode {
    std::string name;
    Rounding rounding;
};
const Mode kModes[] = {{".rn", Rounding::nearest_even},
                       {".rz", Rounding::toward_zero},
                       {".rm", Rounding::down},
                       {".rp", Rounding::up}};

// An integer that is no double is the sum of two.
Exact exact_of(i128 value) {
    const bool negative = value < 0;
    const auto magnitude = static_cast<u64>(negative ? -value : value);
    const Exact sum = Exact(static_cast<double>(magnitude >> 32) * 0x1p32) +
                      Exact(static_cast<double>(magnitude & 0xffffffffu));
    return negative ? -sum : sum;
}
// f64 by exact.h's rule, which has magnitudes of 32 bits: the nearest of two neighbours.
u64 rounded_to_f64(i128 value, Rounding rounding) {
    const bool negative = value < 0;
    const auto magnitude = static_cast<u64>(negative ? -value : value);
    u64 low = magnitude;  // cut to 53 bits
    for (int bit = 0; bit < 64 && low >> bit >= u64{1} << 53; ++bit) low &= ~(u64{1} << bit);
    int unit = 0;
    while (low >> unit >= u64{1} << 53) ++unit;
    const u64 rest = magnitude - low, half = unit == 0 ? 0 : u64{1} << (unit - 1);
    const bool up = rounding == Rounding::nearest_even
                        ? rest > half || (rest == half && rest != 0 && (low >> unit & 1) != 0)
                    : rounding == Rounding::up   ? rest != 0 && !negative
                    : rounding == Rounding::down ? rest != 0 && negative
                                                 : false;
    const double result = static_cast<double>(low) + (up ? std::ldexp(1.0, unit) : 0.0);
    return std::bit_cast<u64>(negative ? -result : result);
}

TEST(EmulatedConvert, IntegersToFloats) {
    const auto [wide] = operands_of<u64, 1>(integer_edges(), 1500);
    const std::vector<u32> narrow(wide.begin(), wide.end());
    const auto check = [&](const IntegerType& from, const std::string& text, auto expected, auto result) {
        using D = decltype(result);
        if (from.bits == 64)
            expect_elementwise<D>(
                text, [&](u64 x) { return static_cast<D>(expected(from.value(x))); }, wide);
        else
            expect_elementwise<D>(
                text, [&](u32 x) { return static_cast<D>(expected(from.value(x))); }, narrow);
    };
    for (const IntegerType& from : kIntegers) {
        for (const Mode& mode : kModes) {
            const std::string start = "cvt" + mode.name + ".";
            const std::string end = "." + from.name + " %d, %a;";
            check(
                from, start + "f32" + end, [&](i128 x) { return rounded(kF32, exact_of(x), mode.rounding); },
                u32{});
            check(
                from, start + "f16" + end, [&](i128 x) { return rounded(kF16, exact_of(x), mode.rounding); },
                u16{});
            check(
                from, start + "bf16" + end,
                [&](i128 x) { return rounded(kBf16, exact_of(x), mode.rounding); }, u16{});
            check(
                from, start + "f64" + end, [&](i128 x) { return rounded_to_f64(x, mode.rounding); }, u64{});
        }
        check(
            from, "cvt.rn.sat.f32." + from.name + " %d, %a;", [](i128 x) { return x > 0 ? 0x3f800000u : 0u; },
            u32{});
    }
}

// Around every power of two and every integer's edge, subnormal numbers, both ends.
std::vector<u32> float_edges() {
    std::vector<u32> values = {0, 1, 0x007fffff, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001, 0x7fffffff};
    for (u32 exponent = 0; exponent<255; exponent += exponent> 100 && exponent < 195 ? 1 : 13) {
        for (const u32 mantissa : {0u, 1u, 0x200000u, 0x3fffffu, 0x400000u, 0x400001u, 0x600000u, 0x7fffffu})
            values.push_back(exponent << 23 | mantissa);
    }
    // Ties of f16, bf16 and tf32, and what is next to them.
    for (const u32 tie : {0x3f801000u, 0x3f803000u, 0x3f808000u, 0x3f818000u, 0x477fefffu, 0x477ff000u,
                          0x7f7f7fffu, 0x7f7f8000u, 0x33000000u, 0x33000001u, 0x33c00000u, 0x387fe000u,
                          0x387ff000u, 0x00008000u, 0x00018000u, 0x7f7ff000u}) {
        values.insert(values.end(), {tie - 1, tie, tie + 1});
    }
    const std::size_t count = values.size();
    for (std::size_t i = 0; i < count; ++i) values.push_back(values[i] | 0x80000000u);
    return values;
}
double f32_value(u32 x) {
    return static_cast<double>(std::bit_cast<float>(x));
}
u32 flushed(u32 x) {
    return (x & 0x7f800000u) == 0 ? x & 0x80000000u : x;
}
double integral(double x, Rounding rounding) {
    switch (rounding) {
        case Rounding::toward_zero: return std::trunc(x);
        case Rounding::down: return std::floor(x);
        case Rounding::up: return std::ceil(x);
        default: {
            const double below = std::floor(x), rest = x - below;
            return rest > 0.5 || (rest == 0.5 && std::fmod(below, 2) != 0) ? below + 1 : below;
        }
    }
}
const Mode kIntegerModes[] = {{".rni", Rounding::nearest_even},
                              {".rzi", Rounding::toward_zero},
                              {".rmi", Rounding::down},
                              {".rpi", Rounding::up}};

// PTX ISA 9.7.9.21: clamped; NaN is 0, or the lowest signed number where 64 bits are on either side.
i128 to_integer(double x, const IntegerType& to, Rounding rounding, bool from_f64) {
    if (x != x) return from_f64 || to.bits == 64 ? i128{1} << (to.bits - 1) : 0;
    const double whole = integral(x, rounding);
    if (whole >= 0x1p100) return to.highest();
    if (whole <= -0x1p100) return to.lowest();
    return std::clamp(static_cast<i128>(whole), to.lowest(), to.highest());
}

TEST(EmulatedConvert, FloatsToIntegers) {
    const auto [singles] = operands_of<u32, 1>(float_edges(), 1000);
    std::vector<u64> doubles;
    for (const u32 x : singles) doubles.push_back(std::bit_cast<u64>(f32_value(x)));
    for (const double x : {0x1p53 + 1, 0x1p63, 0x1p64, -0x1p63, 0.49999999999999994, 4503599627370495.5,
                           9223372036854774784.0})
        doubles.push_back(std::bit_cast<u64>(x));
    std::vector<u16> halves;
    for (u32 x = 0; x < 0x10000; x += 7) halves.push_back(static_cast<u16>(x));
    for (const IntegerType& to : kIntegers) {
        for (const Mode& mode : kIntegerModes) {
            const std::string start = "cvt" + mode.name;
            const auto check = [&](auto result) {
                using D = decltype(result);
                const auto convert = [&](double x, bool from_f64) {
                    const i128 value = to_integer(x, to, mode.rounding, from_f64);
                    return static_cast<D>(to.value(static_cast<u64>(value)));  // extended to the register
                };
                const std::string end = "." + to.name;
                expect_elementwise<D>(
                    start + end + ".f32 %d, %a;", [&](u32 x) { return convert(f32_value(x), false); },
                    singles);
                expect_elementwise<D>(
                    start + ".ftz" + end + ".f32 %d, %a;",
                    [&](u32 x) { return convert(f32_value(flushed(x)), false); }, singles);
                expect_elementwise<D>(
                    start + end + ".f64 %d, %a;",
                    [&](u64 x) { return convert(std::bit_cast<double>(x), true); }, doubles);
                expect_elementwise<D>(
                    start + end + ".f16 %d, %a;",
                    [&](u16 x) { return convert(value_of_pattern(kF16, x), false); }, halves);
                expect_elementwise<D>(
                    start + end + ".bf16 %d, %a;",
                    [&](u16 x) { return convert(value_of_pattern(kBf16, x), false); }, halves);
            };
            check(u64{});
            if (to.bits < 64) check(u32{});
        }
    }
}

// Between f64 and another format a NaN keeps its sign and the first bits of its mantissa; the first is set.
u64 long_nan(u64 bits, int from_mantissa, int from_bits, int to_mantissa, int to_bits) {
    const u64 sign = bits >> (from_bits - 1) & 1;
    u64 mantissa = bits & ((1ull << from_mantissa) - 1);
    mantissa = to_mantissa < from_mantissa ? mantissa >> (from_mantissa - to_mantissa)
                                           : mantissa << (to_mantissa - from_mantissa);
    const u64 exponent = (1ull << (to_bits - 1)) - (1ull << to_mantissa);
    return sign << (to_bits - 1) | exponent | 1ull << (to_mantissa - 1) | mantissa;
}

// x in the format; `nan` for NaN.
u32 narrowed(const FloatFormat& f, double x, Rounding rounding, bool relu, bool satfinite, u32 nan) {
    if (x != x) return nan;
    if (relu && std::signbit(x)) return 0;
    if (std::isinf(x)) return (std::signbit(x) ? f.sign() : 0) | (satfinite ? f.largest() : f.largest() + 1);
    return rounded(f, Exact(x), rounding, satfinite, std::signbit(x));
}

TEST(EmulatedConvert, SinglePrecisionToNarrowerFormats) {
    const auto [a] = operands_of<u32, 1>(float_edges(), 3000);
    std::vector<u32> reversed(a.rbegin(), a.rend());
    struct Target {
        std::string name;
        FloatFormat format;
    };
    for (const Target& to : {Target{"f16", kF16}, Target{"bf16", kBf16}}) {
        for (const Mode& mode : kModes) {
            for (const bool relu : {false, true}) {
                for (const bool satfinite : {false, true}) {
                    if (mode.rounding > Rounding::toward_zero && (relu || satfinite)) continue;
                    const auto convert = [&](u32 x) {
                        return static_cast<u16>(
                            narrowed(to.format, f32_value(x), mode.rounding, relu, satfinite, 0x7fff));
                    };
                    const std::string modifiers =
                        mode.name + (relu ? ".relu" : "") + (satfinite ? ".satfinite" : "");
                    expect_elementwise<u16>("cvt" + modifiers + "." + to.name + ".f32 %d, %a;", convert, a);
                    if (mode.rounding > Rounding::toward_zero) continue;
                    // The first source is the upper half.
                    expect_elementwise<u32>(
                        "cvt" + modifiers + "." + to.name + "x2.f32 %d, %a, %b;",
                        [&](u32 x, u32 y) { return u32{convert(x)} << 16 | convert(y); }, a, reversed);
                }
            }
        }
    }
    for (const Mode& mode : {Mode{".rn", Rounding::nearest_even}, Mode{".rz", Rounding::toward_zero},
                             Mode{".rna", Rounding::nearest_away}}) {
        for (const bool satfinite : {false, true}) {
            const auto convert = [&](u32 x, bool relu) {
                // ptxas makes .rna of integer instructions, for which NaN is no exception.
                if (mode.name == ".rna" && (x & 0x7fffffffu) >= 0x7f800000u) {
                    return (x & 0xffffe000u) - (satfinite ? 0x2000u : 0u);
                }
                const u32 pattern = narrowed(kTf32, f32_value(x), mode.rounding, relu, satfinite, ~0u);
                return pattern == ~0u ? 0x7fffe000u : pattern << 13;
            };
            const bool is_new = satfinite && mode.name != ".rna";
            const std::string_view target = is_new ? kBlackwell : "sm_90a";
            const std::string start = "cvt" + mode.name + (satfinite ? ".satfinite" : "");
            expect_elementwise_on<u32>(
                target, start + ".tf32.f32 %d, %a;", [&](u32 x) { return convert(x, false); }, a);
            if (mode.name == ".rna") continue;
            expect_elementwise_on<u32>(
                target, start + ".relu.tf32.f32 %d, %a;", [&](u32 x) { return convert(x, true); }, a);
        }
    }
    expect_elementwise<u16>(
        "cvt.rn.ftz.f16.f32 %d, %a;",
        [&](u32 x) {
            return static_cast<u16>(
                narrowed(kF16, f32_value(flushed(x)), Rounding::nearest_even, false, false, 0x7fff));
        },
        a);
    expect_elementwise<u16>(
        "cvt.rn.sat.f16.f32 %d, %a;",
        [&](u32 x) {
            const double value = f32_value(x);
            return static_cast<u16>(
                rounded(kF16, Exact(value > 0 ? std::min(value, 1.0) : 0), Rounding::nearest_even));
        },
        a);
}

TEST(EmulatedConvert, HalvesToOtherFloats) {
    std::vector<u16> all(0x10000);
    for (u32 i = 0; i < all.size(); ++i) all[i] = static_cast<u16>(i);
    const auto as_f32 = [](double x) {
        return x == x ? std::bit_cast<u32>(static_cast<float>(x)) : 0x7fffffffu;
    };
    expect_elementwise<u32>(
        "cvt.f32.f16 %d, %a;", [&](u16 x) { return as_f32(value_of_pattern(kF16, x)); }, all);
    // bf16 is the upper half of f32: the bits move, those of a NaN too.
    expect_elementwise<u32>(
        "cvt.f32.bf16 %d, %a;", [&](u16 x) { return u32{x} << 16; }, all);
    for (const Mode& mode : kModes) {
        expect_elementwise<u16>(
            "cvt" + mode.name + ".bf16.f16 %d, %a;",
            [&](u16 x) {
                return static_cast<u16>(
                    narrowed(kBf16, value_of_pattern(kF16, x), mode.rounding, false, false, 0x7fff));
            },
            all);
        expect_elementwise<u16>(
            "cvt" + mode.name + ".f16.bf16 %d, %a;",
            [&](u16 x) {
                return static_cast<u16>(
                    narrowed(kF16, value_of_pattern(kBf16, x), mode.rounding, false, false, 0x7fff));
            },
            all);
    }
    std::vector<u16> numbers;
    for (const u16 x : all)
        if ((x & 0x7c00) != 0x7c00) numbers.push_back(x);
    for (const Mode& mode : kIntegerModes) {
        expect_elementwise<u16>(
            "cvt" + mode.name + ".f16.f16 %d, %a;",
            [&](u16 x) {
                const double value = value_of_pattern(kF16, x), whole = integral(value, mode.rounding);
                return static_cast<u16>(
                    rounded(kF16, Exact(whole), Rounding::nearest_even, false, std::signbit(value)));
            },
            numbers);
    }
    for (const FloatFormat& f : {kF16, kBf16}) {
        expect_elementwise<u64>(
            f == kF16 ? "cvt.f64.f16 %d, %a;" : "cvt.f64.bf16 %d, %a;",
            [&](u16 x) {
                const double value = value_of_pattern(f, x);
                return value == value ? std::bit_cast<u64>(value) : long_nan(x, f.mantissa_bits, 16, 52, 64);
            },
            all);
    }
}

TEST(EmulatedConvert, SinglePrecisionToItselfAndToDouble) {
    const auto [a] = operands_of<u32, 1>(float_edges(), 1000);
    const auto is_nan = [](u32 x) { return (x & 0x7fffffffu) > 0x7f800000u; };
    const auto sat = [&](u32 x) { return is_nan(x) || (x >> 31) != 0 ? 0 : std::min(x, 0x3f800000u); };
    const auto canonical = [&](u32 x) { return is_nan(x) ? 0x7fffffffu : x; };
    expect_elementwise<u32>(
        "cvt.f32.f32 %d, %a;", [](u32 x) { return x; }, a);
    expect_elementwise<u32>(
        "cvt.ftz.f32.f32 %d, %a;", [&](u32 x) { return canonical(flushed(x)); }, a);
    expect_elementwise<u32>("cvt.sat.f32.f32 %d, %a;", sat, a);
    expect_elementwise<u32>(
        "cvt.ftz.sat.f32.f32 %d, %a;", [&](u32 x) { return sat(flushed(x)); }, a);
    for (const Mode& mode : kIntegerModes) {
        const auto whole = [&](u32 x) {
            if (is_nan(x)) return 0x7fffffffu;
            const auto value = static_cast<float>(integral(f32_value(x), mode.rounding));
            return (std::bit_cast<u32>(value) & 0x7fffffffu) | (x & 0x80000000u);
        };
        expect_elementwise<u32>("cvt" + mode.name + ".f32.f32 %d, %a;", whole, a);
        expect_elementwise<u32>(
            "cvt" + mode.name + ".ftz.f32.f32 %d, %a;", [&](u32 x) { return whole(flushed(x)); }, a);
        expect_elementwise<u32>(
            "cvt" + mode.name + ".sat.f32.f32 %d, %a;", [&](u32 x) { return sat(whole(x)); }, a);
    }
    const auto long_of = [&](u32 x) {
        return is_nan(x) ? long_nan(x, 23, 32, 52, 64) : std::bit_cast<u64>(f32_value(x));
    };
    expect_elementwise<u64>("cvt.f64.f32 %d, %a;", long_of, a);
    expect_elementwise<u64>(
        "cvt.ftz.f64.f32 %d, %a;", [&](u32 x) { return long_of(canonical(flushed(x))); }, a);
}

TEST(EmulatedConvert, DoublePrecisionToNarrowerFormats) {
    // NaNs of payloads that a float does not show.
    std::vector<u64> a = {0x7ff0000000000001, 0xfff7ffffffffffff, 0x7ff8000020000000, 0xfff0040000000000};
    const auto [singles] = operands_of<u32, 1>(float_edges(), 0);
    for (const u32 x : singles) {  // and what lies just beside an f32, and on its ties
        const double value = f32_value(x);
        const double next = f32_value(x + 1);
        for (const double y :
             {value, std::nextafter(value, 0.0), std::nextafter(value, 1e300), (value + next) / 2}) {
            const double magnitude = std::fabs(y);
            if (magnitude == 0 || y != y || std::isinf(y) || (magnitude > 0x1p-250 && magnitude < 0x1p200))
                a.push_back(std::bit_cast<u64>(y));
        }
    }
    struct Target {
        std::string name;
        FloatFormat format;
    };
    for (const Target& to : {Target{"f32", kF32}, Target{"f16", kF16}, Target{"bf16", kBf16}}) {
        for (const Mode& mode : kModes) {
            const std::string text = "cvt" + mode.name + "." + to.name + ".f64 %d, %a;";
            const auto convert = [&](u64 x) {
                const u64 nan = long_nan(x, 52, 64, to.format.mantissa_bits, to.format.bits());
                return narrowed(to.format, std::bit_cast<double>(x), mode.rounding, false, false,
                                static_cast<u32>(nan));
            };
            if (to.name == "f32")
                expect_elementwise<u32>(text, convert, a);
            else
                expect_elementwise<u16>(
                    text, [&](u64 x) { return static_cast<u16>(convert(x)); }, a);
        }
    }
    for (const Mode& mode : kIntegerModes) {
        expect_elementwise<u64>(
            "cvt" + mode.name + ".f64.f64 %d, %a;",
            [&](u64 x) {
                const double value = std::bit_cast<double>(x);
                if (value != value) return long_nan(x, 52, 64, 52, 64);
                if (std::isinf(value)) return x;
                return std::bit_cast<u64>(std::copysign(integral(value, mode.rounding), value));
            },
            a);
    }
}

// e4m3, e5m2 and below. Without NaN the largest number stands for it.
TEST(EmulatedConvert, SmallFormats) {
    struct Small {
        std::string name;
        FloatFormat format;
        int upper;  // where the second one of a pair begins
    };
    for (const Small& small :
         {Small{"e4m3x2", kE4m3, 8}, Small{"e5m2x2", kE5m2, 8}, Small{"e3m2x2", kE3m2, 8},
          Small{"e2m3x2", kE2m3, 8}, Small{"e2m1x2", kE2m1, 4}}) {
        const FloatFormat& f = small.format;
        const std::string_view target = f.bits() == 8 ? "sm_90a" : kBlackwell;
        std::vector<u32> a = {0,          0x80000000u, 0x7f800000, 0xff800000, 0x7fc00000,
                              0xffc00000, 0x7f7fffff,  1,          0x80000001u};
        for (u32 magnitude = 0; magnitude <= f.largest(); ++magnitude) {
            const double value = value_of_magnitude(f, magnitude),
                         tie = (value + value_of_magnitude(f, magnitude + 1)) / 2;
            for (const double center : {value, tie}) {
                const auto x = static_cast<float>(center);
                for (const float y : {x, std::nextafter(x, -1e30f), std::nextafter(x, 1e30f)})
                    a.insert(a.end(), {std::bit_cast<u32>(y), std::bit_cast<u32>(-y)});
            }
        }
        const std::vector<u32> b(a.rbegin(), a.rend());
        std::vector<u32> halves;  // every f16
        for (u32 x = 0; x < 0x10000; ++x) halves.push_back(x << 16 | (x ^ 0x5a5au));
        std::vector<u16> codes;  // every pair
        for (u32 x = 0; x < 1u << (small.upper == 4 ? 8 : 16); ++x) codes.push_back(static_cast<u16>(x));
        for (const bool relu : {false, true}) {
            const auto convert = [&](double x) {
                return narrowed(f, x, Rounding::nearest_even, relu, true, f.nan());
            };
            const std::string start = std::string("cvt.rn.satfinite") + (relu ? ".relu." : ".") + small.name;
            // e2m1x2 is in a register of 8 bits.
            const bool is_byte = small.upper == 4;
            const std::string narrow = is_byte ? ".reg .b8 %e, %z; mov.b16 {%e, %z}, 0; " : "";
            const std::string to = is_byte ? " %e" : " %d", after = is_byte ? "mov.b16 %d, {%e, %z};" : "";
            expect_elementwise_on<u16>(
                target, narrow + start + ".f32" + to + ", %a, %b;" + after,
                [&](u32 x, u32 y) {
                    return static_cast<u16>(convert(f32_value(x)) << small.upper | convert(f32_value(y)));
                },
                a, b);
            if (f.bits() != 6)
                expect_elementwise_on<u16>(
                    target, narrow + start + ".f16x2" + to + ", %a;" + after,
                    [&](u32 x) {
                        return static_cast<u16>(convert(value_of_pattern(kF16, x >> 16)) << small.upper |
                                                convert(value_of_pattern(kF16, x & 0xffffu)));
                    },
                    halves);
            const auto widen = [&](u32 code) {
                const double value = value_of_pattern(f, code);
                return narrowed(kF16, value, Rounding::nearest_even, relu, false, 0x7fff);
            };
            const std::string from = is_byte ? ".reg .b8 %e; mov.b16 {%e, _}, %a; " : "";
            expect_elementwise_on<u32>(
                target,
                from + "cvt.rn" + (relu ? ".relu" : "") + ".f16x2." + small.name + " %d, " +
                    (is_byte ? "%e;" : "%a;"),
                [&](u16 x) { return widen(static_cast<u32>(x) >> small.upper) << 16 | widen(x); }, codes);
        }
    }
}

TEST(EmulatedConvert, Scales) {
    const auto [a] = operands_of<u32, 1>(float_edges(), 500);
    const std::vector<u32> b(a.rbegin(), a.rend());
    for (const bool up : {false, true}) {
        for (const bool satfinite : {false, true}) {
            const auto scale = [&](double x) -> u32 {
                const double magnitude = std::fabs(x);
                if (x != x) return 255;
                u32 power = 0;
                if (up)
                    while (power < 255 && std::ldexp(1.0, static_cast<int>(power) - 127) < magnitude) ++power;
                else
                    while (power < 255 && std::ldexp(1.0, static_cast<int>(power) - 126) <= magnitude)
                        ++power;
                return power == 255 && satfinite ? 254 : power;
            };
            const std::string start =
                std::string("cvt") + (up ? ".rp" : ".rz") + (satfinite ? ".satfinite" : "") + ".ue8m0x2";
            expect_elementwise_on<u16>(
                kBlackwell, start + ".f32 %d, %a, %b;",
                [&](u32 x, u32 y) {
                    return static_cast<u16>(scale(f32_value(x)) << 8 | scale(f32_value(y)));
                },
                a, b);
            expect_elementwise_on<u16>(
                kBlackwell, start + ".bf16x2 %d, %a;",
                [&](u32 x) {
                    return static_cast<u16>(scale(f32_value(x & 0xffff0000u)) << 8 |
                                            scale(f32_value(x << 16)));
                },
                a);
        }
    }
    std::vector<u16> codes(256);
    for (u32 i = 0; i < 256; ++i) codes[i] = static_cast<u16>(i << 8 | (255 - i));
    const auto bf16 = [](u32 code) -> u32 {
        return code == 255
                   ? 0x7fff
                   : std::bit_cast<u32>(static_cast<float>(std::ldexp(1.0, static_cast<int>(code) - 127))) >>
                         16;
    };
    expect_elementwise_on<u32>(
        kBlackwell, "cvt.rn.bf16x2.ue8m0x2 %d, %a;",
        [&](u16 x) { return bf16(x >> 8) << 16 | bf16(x & 0xffu); }, codes);
}

TEST(EmulatedConvert, Packing) {
    const auto [a, b, c] = operands_of<u32, 3>({0, 1, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff,
                                                0x7fffffff, 0x80000000u, ~0u, ~7u, ~8u, ~0x7fu, ~0x80u});
    for (const int bits : {2, 4, 8, 16}) {
        for (const bool is_signed : {false, true}) {
            const IntegerType to{"", bits, is_signed};
            const auto clamp = [&](u32 x) {
                const i128 value = std::clamp(i128{static_cast<i32>(x)}, to.lowest(), to.highest());
                return static_cast<u32>(value) & ((1u << bits) - 1);
            };
            const std::string start = fmt::format("cvt.pack.sat.{}{}.s32", is_signed ? 's' : 'u', bits);
            if (bits == 16)
                expect_elementwise<u32>(
                    start + " %d, %a, %b;", [&](u32 x, u32 y) { return clamp(x) << 16 | clamp(y); }, a, b);
            else
                expect_elementwise<u32>(
                    start + ".b32 %d, %a, %b, %c;",
                    [&](u32 x, u32 y, u32 z) { return z << 2 * bits | clamp(x) << bits | clamp(y); }, a, b,
                    c);
        }
    }
}

TEST(EmulatedConvert, FormsThatPtxHasNotAreRefused) {
    for (const std::string_view statement : {"cvt.rn.s32.u32 %r0, %r1;",
                                             "cvt.f32.s32 %f0, %r0;",
                                             "cvt.s32.f32 %r0, %f0;",
                                             "cvt.rn.s32.f32 %r0, %f0;",
                                             "cvt.rni.f32.s32 %f0, %r0;",
                                             "cvt.f16.f32 %h0, %f0;",
                                             "cvt.rn.f32.f16 %f0, %h0;",
                                             "cvt.rn.f32.f32 %f0, %f1;",
                                             "cvt.rn.sat.bf16.f32 %h0, %f0;",
                                             "cvt.rn.ftz.bf16x2.f32 %r0, %f0, %f1;",
                                             "cvt.rna.f16.f32 %h0, %f0;",
                                             "cvt.rm.relu.f16.f32 %h0, %f0;",
                                             "cvt.rn.e4m3x2.f32 %h0, %f0, %f1;",
                                             "cvt.rz.satfinite.e4m3x2.f32 %h0, %f0, %f1;",
                                             "cvt.rn.ue8m0x2.f32 %h0, %f0, %f1;",
                                             "cvt.ftz.f64.f64 %d0, %d1;",
                                             "cvt.rs.f16x2.f32 %r0, %f0, %f1, %r1;",
                                             "cvt.rn.relu.f32.s32 %f0, %r0;",
                                             "cvt.tf32.f32 %r0, %f0;",
                                             "cvt.u32 %r0, %r1;",
                                             "cvt.u32.u64 %r0, %r1;",
                                             "cvt.pack.sat.u8.s32 %r0, %r1, %r2;",
                                             "cvt.pack.u16.s32 %r0, %r1, %r2;"}) {
        RunPtx run(ptx_kernel("", ".reg .b16 %h<4>; .reg .b32 %r<4>; .reg .f32 %f<4>; .reg .f64 %d<4>;\n" +
                                      std::string(statement)));
        EXPECT_FALSE(run.load_error().empty()) << statement;
    }
}

}  // namespace
}  // namespace warpwright::emulator
