// SPDX-License-Identifier: Apache-2.0
// Approximate functions: within the errors that PTX ISA 9.7.3 and 9.7.4 document, with the results it defines
// for zeros, infinities and NaN.
#include <bit>
#include <cmath>
#include <numbers>

#include "tests/emulator/elementwise.h"
#include "tests/emulator/exact.h"

namespace warpwright::emulator {
namespace {

constexpr u32 kNan = 0x7fffffffu, kInfinity = 0x7f800000u, kMinus = 0x80000000u, kOne = 0x3f800000u;
float f32(u32 bits) {
    return std::bit_cast<float>(bits);
}

// From low to high, dense around every power of two, as bits.
std::vector<u32> floats_between(double low, double high, std::size_t count = 60000) {
    std::mt19937_64 random(17);
    std::vector<u32> values = {std::bit_cast<u32>(static_cast<float>(low)),
                               std::bit_cast<u32>(static_cast<float>(high))};
    std::uniform_real_distribution<double> even(low, high);
    while (values.size() < count / 2) values.push_back(std::bit_cast<u32>(static_cast<float>(even(random))));
    while (values.size() < count) {
        const auto bits = static_cast<u32>(random());
        if (f32(bits) >= low && f32(bits) <= high) values.push_back(bits);
    }
    return values;
}
double ulp_of(double x) {  // of f32 around x
    const int exponent = std::max(std::ilogb(x), -126);
    return std::ldexp(1.0, exponent - 23);
}

enum class Error { relative, absolute, ulp };
// The largest error over the sources; the test fails above `bound`.
template <class F>
void expect_within(const std::string& text, Error error, double bound, F exact, const std::vector<u32>& a,
                   const std::vector<u32>& b) {
    const std::vector<u32> got = elementwise<u32>(text, a, b);
    double largest = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        const long double expected =
            exact(static_cast<long double>(f32(a[i])), static_cast<long double>(f32(b[i])));
        const double difference =
            static_cast<double>(std::fabs(static_cast<long double>(f32(got[i])) - expected));
        const double value = static_cast<double>(expected);
        const double measure = difference == 0            ? 0
                               : error == Error::absolute ? difference
                               : error == Error::relative ? difference / std::fabs(value)
                                                          : difference / ulp_of(value);
        if (!(measure <= largest)) largest = measure, at = i;
    }
    EXPECT_LE(largest, bound) << text << " of " << f32(a[at]) << ' ' << f32(b[at]) << " is " << f32(got[at]);
}
template <class F>
void expect_within(const std::string& text, Error error, double bound, F exact, const std::vector<u32>& a) {
    expect_within(
        text, error, bound, [&](long double x, long double) { return exact(x); }, a, a);
}
// Pairs of a source and what comes out.
void expect_values(const std::string& opcode, const std::vector<std::pair<u32, u32>>& values) {
    std::vector<u32> a;
    for (const auto& value : values) a.push_back(value.first);
    const std::vector<u32> got = elementwise<u32>(opcode + " %d, %a;", a);
    for (std::size_t i = 0; i < a.size(); ++i)
        EXPECT_EQ(got[i], values[i].second) << opcode << fmt::format(" of 0x{:x}: 0x{:x}", a[i], got[i]);
}

TEST(EmulatedApproximate, PowersOfTwo) {
    // Rounded nearly as well as can be: the documented error is 2 ulp.
    expect_within(
        "ex2.approx.f32 %d, %a;", Error::ulp, 0.55, [](long double x) { return std::exp2(x); },
        floats_between(-149, 127.99));
    expect_within(
        "ex2.approx.ftz.f32 %d, %a;", Error::ulp, 0.55, [](long double x) { return std::exp2(x); },
        floats_between(-126, 127.99));
    std::vector<u32> whole;
    for (int n = -149; n < 128; ++n) whole.push_back(std::bit_cast<u32>(static_cast<float>(n)));
    expect_elementwise<u32>(
        "ex2.approx.f32 %d, %a;",
        [](u32 x) {
            return std::bit_cast<u32>(static_cast<float>(std::ldexp(1.0, static_cast<int>(f32(x)))));
        },
        whole);
    const std::vector<std::pair<u32, u32>> both = {{0, kOne},
                                                   {kMinus, kOne},
                                                   {kInfinity, kInfinity},
                                                   {kInfinity | kMinus, 0},
                                                   {0x7fc00001, kNan},
                                                   {0xff800001, kNan},
                                                   {1, kOne},
                                                   {kMinus | 1, kOne},
                                                   {0x43000000, kInfinity},
                                                   {0x7f7fffff, kInfinity},
                                                   {0xff7fffff, 0},
                                                   {0xc3160001, 0}};
    expect_values("ex2.approx.f32", both);
    expect_values("ex2.approx.ftz.f32", both);
    expect_values("ex2.approx.f32", {{0xc2fe0000, 0x00400000}});  // 2^-127
    expect_values("ex2.approx.ftz.f32", {{0xc2fe0000, 0}});
}

TEST(EmulatedApproximate, Logarithms) {
    expect_within(
        "lg2.approx.f32 %d, %a;", Error::absolute, 0x1p-22, [](long double x) { return std::log2(x); },
        floats_between(0.5, 2));
    expect_within(
        "lg2.approx.f32 %d, %a;", Error::relative, 0x1p-22, [](long double x) { return std::log2(x); },
        floats_between(2, 1e38));
    expect_within(
        "lg2.approx.f32 %d, %a;", Error::relative, 0x1p-22, [](long double x) { return std::log2(x); },
        floats_between(1e-45, 0.5));
    expect_values("lg2.approx.f32", {{kOne, 0},
                                     {0, kInfinity | kMinus},
                                     {kMinus, kInfinity | kMinus},
                                     {kInfinity, kInfinity},
                                     {kInfinity | kMinus, kNan},
                                     {kOne | kMinus, kNan},
                                     {0x7fc00000, kNan},
                                     {0x40000000, kOne},
                                     {1, std::bit_cast<u32>(-149.0f)}});
    expect_values("lg2.approx.ftz.f32",
                  {{1, kInfinity | kMinus}, {kMinus | 1, kInfinity | kMinus}, {kOne, 0}});
}

TEST(EmulatedApproximate, SinesAndCosines) {
    const double pi = std::numbers::pi;
    expect_within(
        "sin.approx.f32 %d, %a;", Error::absolute, std::exp2(-20.5),
        [](long double x) { return std::sin(x); }, floats_between(-pi, pi));
    expect_within(
        "cos.approx.f32 %d, %a;", Error::absolute, std::exp2(-20.5),
        [](long double x) { return std::cos(x); }, floats_between(-pi, pi));
    expect_within(
        "sin.approx.f32 %d, %a;", Error::absolute, std::exp2(-14.7),
        [](long double x) { return std::sin(x); }, floats_between(-100 * pi, 100 * pi));
    expect_within(
        "cos.approx.ftz.f32 %d, %a;", Error::absolute, std::exp2(-14.7),
        [](long double x) { return std::cos(x); }, floats_between(-100 * pi, 100 * pi));
    for (const u32 x : {0x7f7fffffu, 0xff7fffffu, 0x60000000u}) {  // whatever they are, they are not beyond 1
        for (const std::string opcode : {"sin", "cos"}) {
            const std::vector<u32> got =
                elementwise<u32>(opcode + ".approx.f32 %d, %a;", std::vector<u32>{x});
            EXPECT_LE(std::fabs(f32(got[0])), 1.0f);
        }
    }
    expect_values(
        "sin.approx.f32",
        {{0, 0}, {kMinus, kMinus}, {kInfinity, kNan}, {kInfinity | kMinus, kNan}, {0x7f800001, kNan}});
    expect_values("sin.approx.ftz.f32", {{1, 0}, {kMinus | 1, kMinus}});
    expect_values("cos.approx.f32",
                  {{0, kOne}, {kMinus, kOne}, {1, kOne}, {kInfinity, kNan}, {0xffffffff, kNan}});
}

TEST(EmulatedApproximate, HyperbolicTangent) {
    expect_within(
        "tanh.approx.f32 %d, %a;", Error::relative, 0x1p-11, [](long double x) { return std::tanh(x); },
        floats_between(-20, 20));
    expect_within(
        "tanh.approx.f32 %d, %a;", Error::relative, 0x1p-11, [](long double x) { return std::tanh(x); },
        floats_between(-1e-3, 1e-3));
    expect_values("tanh.approx.f32", {{0, 0},
                                      {kMinus, kMinus},
                                      {kInfinity, kOne},
                                      {kInfinity | kMinus, kOne | kMinus},
                                      {0x7fc00000, kNan},
                                      {1, 1}});
}

TEST(EmulatedApproximate, ReciprocalsAndRoots) {
    const std::vector<u32> positive = floats_between(1.2e-38, 8e37), any = floats_between(-8e37, 8e37);
    expect_within(
        "rcp.approx.f32 %d, %a;", Error::ulp, 1, [](long double x) { return 1 / x; }, positive);
    expect_within(
        "rcp.approx.ftz.f32 %d, %a;", Error::ulp, 1, [](long double x) { return 1 / x; }, positive);
    expect_within(
        "sqrt.approx.f32 %d, %a;", Error::relative, 0x1p-23, [](long double x) { return std::sqrt(x); },
        positive);
    expect_within(
        "rsqrt.approx.f32 %d, %a;", Error::relative, std::exp2(-22.9),
        [](long double x) { return 1 / std::sqrt(x); }, positive);
    std::vector<u32> divisors = positive;
    std::reverse(divisors.begin(), divisors.end());
    std::vector<u32> dividends, in_range;
    for (std::size_t i = 0; i < any.size(); ++i) {
        const double quotient =
            std::fabs(static_cast<double>(f32(any[i])) / static_cast<double>(f32(divisors[i])));
        if (quotient < 0x1p-126 || quotient > 0x1p127) continue;
        dividends.push_back(any[i]);
        in_range.push_back(divisors[i]);
    }
    for (const std::string opcode :
         {"div.approx.f32", "div.full.f32", "div.approx.ftz.f32", "div.full.ftz.f32"})
        expect_within(
            opcode + " %d, %a, %b;", Error::ulp, 2, [](long double x, long double y) { return x / y; },
            dividends, in_range);

    const std::vector<std::pair<u32, u32>> rcp = {{0, kInfinity},     {kMinus, kInfinity | kMinus},
                                                  {kInfinity, 0},     {kInfinity | kMinus, kMinus},
                                                  {0x7fc00001, kNan}, {kOne, kOne}};
    expect_values("rcp.approx.f32", rcp);
    expect_values("rcp.approx.ftz.f32", rcp);
    expect_values("rcp.approx.ftz.f32",
                  {{1, kInfinity}, {kMinus | 1, kInfinity | kMinus}, {0x7f000000, 0}, {0xff000000, kMinus}});
    expect_values("rcp.approx.f32", {{0x7f000000, 0x00400000}});
    const std::vector<std::pair<u32, u32>> rsqrt = {{0, kInfinity},          {kMinus, kInfinity | kMinus},
                                                    {kInfinity, 0},          {kInfinity | kMinus, kNan},
                                                    {kOne | kMinus, kNan},   {0x7fc00001, kNan},
                                                    {0x40800000, 0x3f000000}};
    expect_values("rsqrt.approx.f32", rsqrt);
    expect_values("rsqrt.approx.ftz.f32", rsqrt);
    expect_values("rsqrt.approx.ftz.f32", {{1, kInfinity}, {kMinus | 1, kInfinity | kMinus}});
    expect_values(
        "sqrt.approx.f32",
        {{0, 0}, {kMinus, kMinus}, {kInfinity, kInfinity}, {kOne | kMinus, kNan}, {0x7fc00001, kNan}});
    expect_values("sqrt.approx.ftz.f32", {{1, 0}, {kMinus | 1, kMinus}});
    // PTX ISA 9.7.3.8: a divisor above 2^126 gives 0, and NaN for an infinity.
    const std::vector<u32> a = {kOne, kInfinity, kOne, kInfinity | kMinus, 0, 0x7f000000};
    const std::vector<u32> b = {0x7f000000, 0x7f000000, kInfinity, 0x7e800000, 0, 0x7e800000};
    for (const std::string opcode : {"div.approx.f32", "div.approx.ftz.f32"}) {
        EXPECT_EQ(elementwise<u32>(opcode + " %d, %a, %b;", a, b),
                  (std::vector<u32>{0, kNan, 0, kInfinity | kMinus, kNan, 0x40000000}));
    }
}

TEST(EmulatedApproximate, DoublePrecision) {
    std::vector<u64> a;
    std::mt19937_64 random(19);
    for (int i = 0; i < 20000; ++i)
        a.push_back((random() & 0x000fffffffffffffull) | (random() % 1000 + 500) << 52);
    const auto upper = [](u64 x) { return std::bit_cast<double>(x & 0xffffffff00000000ull); };
    const auto within = [&](const std::string& text, double bound, bool is_cut, auto f) {
        const std::vector<u64> got = elementwise<u64>(text, a);
        for (std::size_t i = 0; i < a.size(); ++i) {
            const double expected = f(is_cut ? upper(a[i]) : std::bit_cast<double>(a[i]));
            ASSERT_LE(std::fabs(std::bit_cast<double>(got[i]) - expected) / expected, bound) << text;
            ASSERT_TRUE(!is_cut || static_cast<u32>(got[i]) == 0) << text;
        }
    };
    within("rcp.approx.ftz.f64 %d, %a;", 0x1p-20, true, [](double x) { return 1 / x; });
    within("rsqrt.approx.ftz.f64 %d, %a;", 0x1p-20, true, [](double x) { return 1 / std::sqrt(x); });
    within("rsqrt.approx.f64 %d, %a;", 0x1p-50, false, [](double x) { return 1 / std::sqrt(x); });
    const u64 infinity = 0x7ff0000000000000ull, minus = 1ull << 63;
    EXPECT_EQ(
        elementwise<u64>("rcp.approx.ftz.f64 %d, %a;",
                         std::vector<u64>{0, minus, infinity, infinity | minus, 1, 0x7fe0000000000000ull}),
        (std::vector<u64>{infinity, infinity | minus, 0, minus, infinity, 0}));
}

// Of halves: every value, within an ulp of the type and the f32 function's error.
TEST(EmulatedApproximate, Halves) {
    std::vector<u16> all(0x10000);
    for (u32 i = 0; i < all.size(); ++i) all[i] = static_cast<u16>(i);
    std::vector<u32> pairs(all.size());
    for (u32 i = 0; i < pairs.size(); ++i) pairs[i] = i << 16 | (i ^ 0x3c5au);
    const auto check = [&](const std::string& opcode, const std::string& type, const FloatFormat& f, bool ftz,
                           auto function) {
        const std::vector<u16> got = elementwise<u16>(opcode + "." + type + " %d, %a;", all);
        for (u32 x = 0; x < all.size(); ++x) {
            double value = value_of_pattern(f, x);
            const bool is_subnormal = (x & 0x7fffu) < 1u << f.mantissa_bits;
            if (ftz && is_subnormal) value = std::copysign(0.0, value);
            if (value != value) {
                ASSERT_EQ(got[x], 0x7fff);
                continue;
            }
            const double expected = function(value), result = value_of_pattern(f, got[x]);
            if (std::fabs(expected) > value_of_magnitude(f, f.largest())) {
                ASSERT_GE(result, value_of_magnitude(f, f.largest()));
                continue;
            }
            const int exponent = expected == 0 ? 1 - f.bias : std::max(std::ilogb(expected), 1 - f.bias);
            if (ftz && std::fabs(expected) < std::ldexp(1.0, 1 - f.bias)) continue;
            ASSERT_LE(std::fabs(result - expected), std::ldexp(0.51, exponent - f.mantissa_bits))
                << opcode << type << ' ' << x;
        }
        const std::vector<u32> both = elementwise<u32>(opcode + "." + type + "x2 %d, %a;", pairs);
        for (u32 i = 0; i < pairs.size(); ++i)
            ASSERT_EQ(both[i], u32{got[pairs[i] >> 16]} << 16 | got[pairs[i] & 0xffffu]) << opcode << type;
    };
    check("ex2.approx", "f16", kF16, false, [](double x) { return std::exp2(x); });
    check("ex2.approx.ftz", "bf16", kBf16, true, [](double x) { return std::exp2(x); });
    check("tanh.approx", "f16", kF16, false, [](double x) { return std::tanh(x); });
    check("tanh.approx", "bf16", kBf16, false, [](double x) { return std::tanh(x); });
}

TEST(EmulatedApproximate, FormsThatPtxHasNotAreRefused) {
    for (const std::string_view statement :
         {"ex2.f32 %f0, %f1;", "ex2.rn.f32 %f0, %f1;", "tanh.approx.ftz.f32 %f0, %f1;",
          "sin.approx.f64 %d0, %d1;", "ex2.approx.bf16 %h0, %h1;", "ex2.approx.ftz.f16 %h0, %h1;",
          "rcp.approx.f64 %d0, %d1;", "div.full.f64 %d0, %d1, %d2;", "rsqrt.rn.f32 %f0, %f1;",
          "div.approx.full.f32 %f0, %f1, %f2;"}) {
        RunPtx run(
            ptx_kernel("", ".reg .b16 %h<4>; .reg .f32 %f<4>; .reg .f64 %d<4>;\n" + std::string(statement)));
        EXPECT_FALSE(run.load_error().empty()) << statement;
    }
}

}  // namespace
}  // namespace warpwright::emulator
