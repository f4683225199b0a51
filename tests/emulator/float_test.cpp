// SPDX-License-Identifier: Apache-2.0
// f32 and f64: sums, products and fma of f32 against exact numbers, the rest against the host in its rounding
// modes.
#include <bit>
#include <cfenv>

#include "tests/emulator/elementwise.h"
#include "tests/emulator/exact.h"

namespace warpwright::emulator {
namespace {

constexpr u32 kNan = 0x7fffffffu;
float f32(u32 bits) {
    return std::bit_cast<float>(bits);
}
double f64(u64 bits) {
    return std::bit_cast<double>(bits);
}
u32 bits_of(float x) {
    return std::bit_cast<u32>(x);
}
bool is_nan(u32 x) {
    return (x & 0x7fffffffu) > 0x7f800000u;
}
u32 flushed(u32 x) {
    return (x & 0x7f800000u) == 0 ? x & 0x80000000u : x;
}
u32 saturated(u32 x) {
    if (is_nan(x) || (x & 0x80000000u) != 0) return 0;
    return std::min(x, 0x3f800000u);
}

std::vector<u32> edges() {
    std::vector<u32> values = {0,          1,          0x007fffff, 0x00800000, 0x00800001, 0x33800000,
                               0x3f7fffff, 0x3f800000, 0x3f800001, 0x4b800001, 0x7f7fffff, 0x7f800000,
                               0x7f800001, 0x7fc12345, 0x33000000, 0x33000001};
    const std::size_t count = values.size();
    for (std::size_t i = 0; i < count; ++i) values.push_back(values[i] | 0x80000000u);
    return values;
}
// With operands near each other and results near the ends of the range.
std::array<std::vector<u32>, 3> operands() {
    auto lists = operands_of<u32, 3>(edges(), 4000);
    std::mt19937 random(11);
    const auto word = [&] { return static_cast<u32>(random()); };
    for (int i = 0; i < 4000; ++i) {
        const u32 exponent = word() % 200 + 20, other = word() % 200 + 20;
        const auto near = [&](u32 center) {
            const u32 lowest = center < 20 ? 0 : center - 20;
            return std::min(lowest + word() % 40, 254u) << 23 | (word() & 0x807fffffu);
        };
        lists[0].push_back(near(exponent));
        lists[1].push_back(near(other));
        lists[2].push_back(near(exponent + other < 127 ? 0 : exponent + other - 127));
    }
    return lists;
}

// a * b + c, in the rounding mode; sums and products are cases of it.
u32 fma_of(u32 a, u32 b, u32 c, Rounding rounding, bool ftz) {
    if (ftz) a = flushed(a), b = flushed(b), c = flushed(c);
    const bool product_sign = ((a ^ b) >> 31) != 0, sum_sign = c >> 31 != 0;
    const auto is_infinite = [](u32 x) { return (x & 0x7fffffffu) == 0x7f800000u; };
    const bool product_is_infinite = is_infinite(a) || is_infinite(b);
    const bool has_zero = (a & 0x7fffffffu) == 0 || (b & 0x7fffffffu) == 0;
    if (is_nan(a) || is_nan(b) || is_nan(c) || (product_is_infinite && has_zero)) return kNan;
    if (product_is_infinite && is_infinite(c) && product_sign != sum_sign) return kNan;
    if (product_is_infinite) return 0x7f800000u | (product_sign ? 0x80000000u : 0u);
    if (is_infinite(c)) return c;
    const double product = static_cast<double>(f32(a)) * static_cast<double>(f32(b));  // exact
    // A sum that is exactly zero has the sign of both, or else the one of the rounding.
    const bool is_negative_zero = product_sign == sum_sign ? product_sign : rounding == Rounding::down;
    const Exact sum = Exact(product) + Exact(static_cast<double>(f32(c)));
    const u32 result = rounded(kF32, sum, rounding, false, is_negative_zero);
    return ftz && is_tiny(kF32, sum, rounding) ? result & 0x80000000u : result;
}
constexpr u32 kOne = 0x3f800000u;
u32 neutral(u32 a, u32 b) {  // the addend that leaves a product alone
    return (a ^ b) & 0x80000000u;
}

struct Mode {
    std::string name;
    Rounding rounding;
    int host;
};
const Mode kModes[] = {{".rn", Rounding::nearest_even, FE_TONEAREST},
                       {".rz", Rounding::toward_zero, FE_TOWARDZERO},
                       {".rm", Rounding::down, FE_DOWNWARD},
                       {".rp", Rounding::up, FE_UPWARD}};

TEST(EmulatedFloat, SumsAndProductsInEveryRounding) {
    const auto [a, b, c] = operands();
    for (const Mode& mode : kModes) {
        for (const bool ftz : {false, true}) {
            for (const bool sat : {false, true}) {
                const std::string modifiers =
                    mode.name + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + ".f32 %d, %a, %b";
                const auto fma = [&](u32 x, u32 y, u32 z) {
                    const u32 d = fma_of(x, y, z, mode.rounding, ftz);
                    return sat ? saturated(d) : d;
                };
                expect_elementwise<u32>(
                    "add" + modifiers + ";", [&](u32 x, u32 y) { return fma(x, kOne, y); }, a, b);
                expect_elementwise<u32>(
                    "sub" + modifiers + ";",
                    [&](u32 x, u32 y) { return fma(x, kOne, is_nan(y) ? y : y ^ 0x80000000u); }, a, b);
                expect_elementwise<u32>(
                    "mul" + modifiers + ";", [&](u32 x, u32 y) { return fma(x, y, neutral(x, y)); }, a, b);
                expect_elementwise<u32>("fma" + modifiers + ", %c;", fma, a, b, c);
                if (sat || ftz) continue;
                expect_elementwise<u32>("mad" + modifiers + ", %c;", fma, a, b, c);
            }
        }
    }
    const auto add = [&](u32 x, u32 y) { return fma_of(x, kOne, y, Rounding::nearest_even, false); };
    expect_elementwise<u32>("add.f32 %d, %a, %b;", add, a, b);
    expect_elementwise<u32>(
        "mul.f32 %d, %a, %b;",
        [&](u32 x, u32 y) { return fma_of(x, y, neutral(x, y), Rounding::nearest_even, false); }, a, b);
}

// f(a, b) of the host in a rounding mode. volatile keeps it there.
template <class T, class F>
T in_rounding(int mode, F f) {
    std::fesetround(mode);
    volatile T result = f();
    std::fesetround(FE_TONEAREST);
    return result;
}
u32 canonical(float x) {
    return x == x ? bits_of(x) : kNan;
}
TEST(EmulatedFloat, QuotientsAndRoots) {
    const auto [a, b, c] = operands();
    for (const Mode& mode : kModes) {
        for (const bool ftz : {false, true}) {
            const auto in = [&](u32 x) { return f32(ftz ? flushed(x) : x); };
            const auto out = [&](float x) { return ftz ? flushed(canonical(x)) : canonical(x); };
            const std::string modifiers = mode.name + (ftz ? ".ftz" : "") + ".f32 ";
            const auto div = [&](u32 x, u32 y) {
                // Tiny is what would be below the smallest normal number if the least exponent were lower.
                const bool can_be_tiny = ftz && std::fabs(in(x)) < 0x1p60f && in(y) != 0;
                const float scaled = in_rounding<float>(mode.host, [&] {
                    volatile float p = in(x)*0x1p64f, q = in(y);
                    return p / q;
                });
                if (can_be_tiny && std::fabs(scaled) < 0x1p-62f) return bits_of(scaled) & 0x80000000u;
                return out(in_rounding<float>(mode.host, [&] {
                    volatile float p = in(x), q = in(y);
                    return p / q;
                }));
            };
            expect_elementwise<u32>("div" + modifiers + "%d, %a, %b;", div, a, b);
            expect_elementwise<u32>(
                "rcp" + modifiers + "%d, %a;", [&](u32 x) { return div(kOne, x); }, a);
            expect_elementwise<u32>(
                "sqrt" + modifiers + "%d, %a;",
                [&](u32 x) {
                    return out(in_rounding<float>(mode.host, [&] {
                        volatile float p = in(x);
                        return std::sqrt(p);
                    }));
                },
                a);
        }
    }
}

std::vector<u64> wide_edges() {
    std::vector<u64> values = {0,
                               1,
                               0x000fffffffffffff,
                               0x0010000000000000,
                               0x3ff0000000000000,
                               0x3fefffffffffffff,
                               0x3ff0000000000001,
                               0x7fefffffffffffff,
                               0x7ff0000000000000,
                               0x7ff0000000000001,
                               0x7ff8000000012345};
    const std::size_t count = values.size();
    for (std::size_t i = 0; i < count; ++i) values.push_back(values[i] | 1ull << 63);
    return values;
}
// Of double precision the first of these NaNs stays, made quiet; a new one is the host's.
template <class... Sources>
u64 with_nan(double d, Sources... sources) {
    if (d == d) return std::bit_cast<u64>(d);
    u64 result = 0xfff8000000000000ull;
    bool is_found = false;
    const auto look = [&](u64 source) {
        if (!is_found && f64(source) != f64(source)) result = source | 1ull << 51, is_found = true;
    };
    (look(sources), ...);
    return result;
}
TEST(EmulatedFloat, DoublePrecision) {
    auto [a, b, c] = operands_of<u64, 3>(wide_edges(), 4000);
    std::mt19937_64 random(13);
    for (int i = 0; i < 4000; ++i) {  // of one size, so that they meet
        for (auto* list : {&a, &b, &c})
            list->push_back((random() & 0x803fffffffffffffull) | 0x3fc0000000000000ull);
    }
    for (const Mode& mode : kModes) {
        const std::string modifiers = mode.name + ".f64 %d, %a";
        const auto check2 = [&](const std::string& opcode, bool prefers_second, auto f) {
            expect_elementwise<u64>(
                opcode + modifiers + ", %b;",
                [&](u64 x, u64 y) {
                    const double d = in_rounding<double>(mode.host, [&] {
                        volatile double p = f64(x), q = f64(y);
                        return f(p, q);
                    });
                    return prefers_second ? with_nan(d, y, x) : with_nan(d, x, y);
                },
                a, b);
        };
        check2("add", true, [](double x, double y) { return x + y; });
        check2("sub", true, [](double x, double y) { return x - y; });
        check2("mul", true, [](double x, double y) { return x * y; });
        check2("div", false, [](double x, double y) { return x / y; });
        expect_elementwise<u64>(
            "fma" + modifiers + ", %b, %c;",
            [&](u64 x, u64 y, u64 z) {
                const double d = in_rounding<double>(mode.host, [&] {
                    volatile double p = f64(x), q = f64(y), r = f64(z);
                    return std::fma(p, q, r);
                });
                return with_nan(d, y, z, x);
            },
            a, b, c);
        const auto check1 = [&](const std::string& opcode, auto f) {
            expect_elementwise<u64>(
                opcode + modifiers + ";",
                [&](u64 x) {
                    const double d = in_rounding<double>(mode.host, [&] {
                        volatile double p = f64(x);
                        return f(p);
                    });
                    return with_nan(d, x);
                },
                a);
        };
        check1("rcp", [](double x) { return 1 / x; });
        check1("sqrt", [](double x) { return std::sqrt(x); });
    }
    const auto quiet = [](u64 x) { return f64(x) != f64(x) ? x | 1ull << 51 : x; };
    expect_elementwise<u64>(
        "abs.f64 %d, %a;", [](u64 x) { return with_nan(std::fabs(f64(x)), x); }, a);
    expect_elementwise<u64>(
        "neg.f64 %d, %a;", [](u64 x) { return with_nan(-f64(x), x); }, a);
    const auto key = [](u64 x) {
        return (x >> 63) != 0 ? -1 - static_cast<i64>(x & ~0ull >> 1) : static_cast<i64>(x);
    };
    for (const bool is_max : {false, true}) {
        expect_elementwise<u64>(
            is_max ? "max.f64 %d, %a, %b;" : "min.f64 %d, %a, %b;",
            [&](u64 x, u64 y) {
                const bool x_is_nan = f64(x) != f64(x), y_is_nan = f64(y) != f64(y);
                if (x_is_nan && y_is_nan) return quiet(y);
                return x_is_nan ? y : y_is_nan ? x : (key(x) > key(y)) == is_max ? x : y;
            },
            a, b);
    }
    expect_elementwise<u64>(
        "copysign.f64 %d, %a, %b;", [](u64 x, u64 y) { return (x & 1ull << 63) | (y & ~0ull >> 1); }, a, b);
}

TEST(EmulatedFloat, SignsAndExtremes) {
    const auto [a, b, c] = operands_of<u32, 3>(edges(), 2000);
    const auto canon = [](u32 x) { return is_nan(x) ? kNan : x; };
    expect_elementwise<u32>(
        "abs.f32 %d, %a;", [&](u32 x) { return canon(x & 0x7fffffffu); }, a);
    expect_elementwise<u32>(
        "neg.f32 %d, %a;", [&](u32 x) { return canon(x ^ 0x80000000u); }, a);
    expect_elementwise<u32>(
        "abs.ftz.f32 %d, %a;", [&](u32 x) { return canon(flushed(x) & 0x7fffffffu); }, a);
    expect_elementwise<u32>(
        "neg.ftz.f32 %d, %a;", [&](u32 x) { return canon(flushed(x) ^ 0x80000000u); }, a);
    expect_elementwise<u32>(
        "copysign.f32 %d, %a, %b;", [](u32 x, u32 y) { return (x & 0x80000000u) | (y & 0x7fffffffu); }, a, b);
    // Numbers in their order, -0 below +0.
    const auto key = [](u32 x) {
        return (x >> 31) != 0 ? -1 - static_cast<i64>(x & 0x7fffffffu) : static_cast<i64>(x);
    };
    for (const bool is_max : {false, true}) {
        for (const bool ftz : {false, true}) {
            for (const bool nan : {false, true}) {
                const auto pick = [&](u32 x, u32 y) {
                    if (is_nan(x) && is_nan(y)) return kNan;
                    if (is_nan(x) || is_nan(y)) return nan ? kNan : is_nan(x) ? y : x;
                    return (key(x) > key(y)) == is_max ? x : y;
                };
                const auto in = [&](u32 x) { return ftz ? flushed(x) : x; };
                const std::string opcode =
                    std::string(is_max ? "max" : "min") + (ftz ? ".ftz" : "") + (nan ? ".NaN" : "");
                expect_elementwise<u32>(
                    opcode + ".f32 %d, %a, %b;", [&](u32 x, u32 y) { return pick(in(x), in(y)); }, a, b);
                expect_elementwise<u32>(
                    opcode + ".xorsign.abs.f32 %d, %a, %b;",
                    [&](u32 x, u32 y) {
                        const u32 d = pick(in(x)&0x7fffffffu, in(y)&0x7fffffffu);
                        return is_nan(d) ? d : d | ((x ^ y) & 0x80000000u);
                    },
                    a, b);
                for (const bool is_abs : {false, true}) {
                    const u32 mask = is_abs ? 0x7fffffffu : ~0u;
                    const std::string text = opcode + (is_abs ? ".abs" : "") + ".f32 %d, %a, %b, %c;";
                    const std::vector<u32> got = elementwise_on<u32>(kBlackwell, text, a, b, c);
                    for (std::size_t i = 0; i < got.size(); ++i)
                        ASSERT_EQ(got[i], pick(pick(in(a[i]) & mask, in(b[i]) & mask), in(c[i]) & mask))
                            << text;
                }
            }
        }
    }
}

TEST(EmulatedFloat, PairsOfSinglePrecision) {
    const auto [a, b, c] = operands_of<u32, 3>(edges(), 1000);
    const auto pairs = [](const std::vector<u32>& values) {
        std::vector<u64> result(values.size());
        for (std::size_t i = 0; i < values.size(); ++i)
            result[i] = values[i] | u64{values[values.size() - 1 - i]} << 32;
        return result;
    };
    for (const bool ftz : {false, true}) {
        const std::string modifiers = std::string(".rn") + (ftz ? ".ftz" : "") + ".f32x2 %d, %a, %b";
        const auto check = [&](const std::string& text, auto f) {
            const std::vector<u64> x = pairs(a), y = pairs(b), z = pairs(c);
            const std::vector<u64> got = elementwise_on<u64>(kBlackwell, text, x, y, z);
            for (std::size_t i = 0; i < got.size(); ++i) {
                const auto half = [&](int shift) {
                    return u64{f(static_cast<u32>(x[i] >> shift), static_cast<u32>(y[i] >> shift),
                                 static_cast<u32>(z[i] >> shift))}
                           << shift;
                };
                ASSERT_EQ(got[i], half(0) | half(32)) << text;
            }
        };
        const auto fma = [&](u32 x, u32 y, u32 z) { return fma_of(x, y, z, Rounding::nearest_even, ftz); };
        check("add" + modifiers + ";", [&](u32 x, u32 y, u32) { return fma(x, kOne, y); });
        check("sub" + modifiers + ";",
              [&](u32 x, u32 y, u32) { return fma(x, kOne, is_nan(y) ? y : y ^ 0x80000000u); });
        check("mul" + modifiers + ";", [&](u32 x, u32 y, u32) { return fma(x, y, neutral(x, y)); });
        check("fma" + modifiers + ", %c;", fma);
    }
}

TEST(EmulatedFloat, NarrowSources) {
    const auto [a, b] = operands_of<u16, 2>(
        {0, 0x8000, 1, 0x03ff, 0x3c00, 0xbc01, 0x7bff, 0x7c00, 0xfc00, 0x7e01, 0x7f7f, 0x7f80});
    std::vector<u32> c(a.size());
    for (std::size_t i = 0; i < c.size(); ++i) c[i] = edges()[i % edges().size()];
    for (const auto& [type, format] : {std::pair("f16", kF16), std::pair("bf16", kBf16)}) {
        const auto wide = [&, f = format](u16 x) {
            return bits_of(static_cast<float>(value_of_pattern(f, x)));
        };
        const auto fma = [](u32 x, u32 y, u32 z) { return fma_of(x, y, z, Rounding::nearest_even, false); };
        const std::string end = fmt::format(".f32.{} %d, %a, ", type);
        expect_elementwise_on<u32>(
            kBlackwell, "add" + end + "%c;", [&](u16 x, u16, u32 z) { return fma(wide(x), kOne, z); }, a, b,
            c);
        expect_elementwise_on<u32>(
            kBlackwell, "sub.rn" + end + "%c;",
            [&](u16 x, u16, u32 z) { return fma(wide(x), kOne, is_nan(z) ? z : z ^ 0x80000000u); }, a, b, c);
        expect_elementwise_on<u32>(
            kBlackwell, "fma.rn" + end + "%b, %c;",
            [&](u16 x, u16 y, u32 z) { return fma(wide(x), wide(y), z); }, a, b, c);
        expect_elementwise_on<u32>(
            kBlackwell, "fma.rn.sat" + end + "%b, %c;",
            [&](u16 x, u16 y, u32 z) { return saturated(fma(wide(x), wide(y), z)); }, a, b, c);
    }
}

TEST(EmulatedFloat, Properties) {
    const auto [a] = operands_of<u32, 1>(edges(), 500);
    const auto [b] = operands_of<u64, 1>(wide_edges(), 500);
    const auto check = [&](const std::string& property, auto f) {
        expect_elementwise<u32>(
            "testp." + property + ".f32 %p, %a; selp.u32 %d, 1, 0, %p;",
            [&](u32 x) { return u32{f(std::fpclassify(f32(x)))}; }, a);
        expect_elementwise<u32>(
            "testp." + property + ".f64 %p, %a; selp.u32 %d, 1, 0, %p;",
            [&](u64 x) { return u32{f(std::fpclassify(f64(x)))}; }, b);
    };
    check("finite", [](int c) { return c != FP_NAN && c != FP_INFINITE; });
    check("infinite", [](int c) { return c == FP_INFINITE; });
    check("number", [](int c) { return c != FP_NAN; });
    check("notanumber", [](int c) { return c == FP_NAN; });
    check("normal", [](int c) { return c == FP_NORMAL || c == FP_ZERO; });
    check("subnormal", [](int c) { return c == FP_SUBNORMAL; });
}

TEST(EmulatedFloat, FormsThatPtxHasNotAreRefused) {
    for (const std::string_view statement :
         {"fma.f32 %f0, %f1, %f2, %f3;", "add.ftz.f64 %d0, %d1, %d2;", "add.rn.rz.f32 %f0, %f1, %f2;",
          "div.f32 %f0, %f1, %f2;", "add.sat.f64 %d0, %d1, %d2;", "div.rn.sat.f32 %f0, %f1, %f2;",
          "sqrt.f32 %f0, %f1;", "max.rn.f32 %f0, %f1, %f2;", "min.NaN.f64 %d0, %d1, %d2;",
          "add.rna.f32 %f0, %f1, %f2;", "testp.f32 %p0, %f0;", "copysign.ftz.f32 %f0, %f1, %f2;"}) {
        RunPtx run(
            ptx_kernel("", ".reg .pred %p<2>; .reg .f32 %f<4>; .reg .f64 %d<4>;\n" + std::string(statement)));
        EXPECT_FALSE(run.load_error().empty()) << statement;
    }
}

}  // namespace
}  // namespace warpwright::emulator
