// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f16 and bf16 against exact numbers, rounded once.
#include "tests/emulator/elementwise.h"
#include "tests/emulator/exact.h"

namespace warpwright::emulator {
namespace {

struct Half {
    FloatFormat format;
    std::string type;
    u32 smallest_normal() const { return 1u << format.mantissa_bits; }
    u16 flushed(u16 x) const { return (x & 0x7fff) < smallest_normal() ? x & 0x8000 : x; }
    bool is_nan(u16 x) const { return (x & 0x7fffu) > format.infinity(); }
    bool is_infinite(u16 x) const { return (x & 0x7fffu) == format.infinity(); }
    double value(u16 x) const { return value_of_pattern(format, x); }
};
const Half kHalves[] = {{kF16, "f16"}, {kBf16, "bf16"}};
constexpr u16 kNan = 0x7fff;  // of both

std::vector<u16> edges(const Half& half) {
    const auto infinity = static_cast<u16>(half.format.infinity()),
               one = static_cast<u16>(half.format.bias << half.format.mantissa_bits);
    const auto normal = static_cast<u16>(half.smallest_normal());
    std::vector<u16> values = {0,
                               1,
                               static_cast<u16>(normal - 1),
                               normal,
                               static_cast<u16>(normal + 1),
                               one,
                               static_cast<u16>(one + 1),
                               static_cast<u16>(one - 1),
                               static_cast<u16>(infinity - 1),
                               infinity,
                               static_cast<u16>(infinity + 1),
                               0x7fff,
                               0x0c00,  // of f16 2^-12: times the smallest normal number the last tie
                               0x0c01};
    const std::size_t count = values.size();
    for (std::size_t i = 0; i < count; ++i) values.push_back(values[i] | 0x8000u);
    return values;
}

// a * b + c, rounded; add and mul are cases of it.
u16 fma_of(const Half& half, u16 a, u16 b, u16 c, bool ftz) {
    if (ftz) {
        a = half.flushed(a);
        b = half.flushed(b);
        c = half.flushed(c);
    }
    const bool product_sign = ((a ^ b) & 0x8000) != 0, sum_sign = (c & 0x8000) != 0;
    const bool product_is_infinite = half.is_infinite(a) || half.is_infinite(b);
    const bool has_nan = half.is_nan(a) || half.is_nan(b) || half.is_nan(c);
    const bool has_zero = (a & 0x7fff) == 0 || (b & 0x7fff) == 0;
    if (has_nan || (product_is_infinite && has_zero)) return kNan;
    if (product_is_infinite && half.is_infinite(c) && product_sign != sum_sign) return kNan;
    const auto infinity = static_cast<u16>(half.format.infinity());
    if (product_is_infinite) return infinity | (product_sign ? 0x8000 : 0);
    if (half.is_infinite(c)) return c;
    const double product = half.value(a) * half.value(b);  // exact in f64
    const Exact sum = Exact(product) + Exact(half.value(c));
    const auto result =
        static_cast<u16>(rounded(half.format, sum, Rounding::nearest_even, false, product_sign && sum_sign));
    return ftz && is_tiny(half.format, sum, Rounding::nearest_even) ? result & 0x8000 : result;
}
u16 one_of(const Half& half) {
    return static_cast<u16>(half.format.bias << half.format.mantissa_bits);
}
u16 negative_zero_of_product(u16 a, u16 b) {  // the addend that leaves a product alone
    return (a ^ b) & 0x8000;
}
u16 saturated(const Half& half, u16 x) {
    if (half.is_nan(x) || (x & 0x8000) != 0) return 0;
    return std::min(x, one_of(half));
}
u16 positive(u16 x) {
    return x != kNan && (x & 0x8000) != 0 ? 0 : x;
}

// The instruction on single values, and on pairs: the same values above others.
template <class F, class... Sources>
void check(const std::string& opcode, const std::string& type, F expected, const Sources&... sources) {
    const char* const operands[] = {"", " %d, %a;", " %d, %a, %b;", " %d, %a, %b, %c;"};
    const char* const list = operands[sizeof...(Sources)];
    expect_elementwise<u16>(opcode + "." + type + list, expected, sources...);
    const auto pairs = [](const std::vector<u16>& values) {
        std::vector<u32> result(values.size());
        for (std::size_t i = 0; i < values.size(); ++i)
            result[i] = values[i] | static_cast<u32>(values[values.size() - 1 - i]) << 16;
        return result;
    };
    expect_elementwise<u32>(
        opcode + "." + type + "x2" + list,
        [&](auto... words) {
            const u32 low = expected(static_cast<u16>(words)...),
                      high = expected(static_cast<u16>(words >> 16)...);
            return low | high << 16;
        },
        pairs(sources)...);
}

TEST(EmulatedHalf, Arithmetic) {
    for (const Half& half : kHalves) {
        const auto [a, b, c] = operands_of<u16, 3>(edges(half), 6000);
        const auto add = [&](u16 x, u16 y) { return fma_of(half, x, one_of(half), y, false); };
        const auto sub = [&](u16 x, u16 y) { return add(x, half.is_nan(y) ? y : y ^ 0x8000); };
        const auto mul = [&](u16 x, u16 y) {
            return fma_of(half, x, y, negative_zero_of_product(x, y), false);
        };
        const auto fma = [&](u16 x, u16 y, u16 z) { return fma_of(half, x, y, z, false); };
        check("add", half.type, add, a, b);
        check("add.rn", half.type, add, a, b);
        check("sub", half.type, sub, a, b);
        check("mul.rn", half.type, mul, a, b);
        check("fma.rn", half.type, fma, a, b, c);
        check(
            "fma.rn.relu", half.type, [&](u16 x, u16 y, u16 z) { return positive(fma(x, y, z)); }, a, b, c);
        if (half.type != "f16") continue;
        const auto fma_ftz = [&](u16 x, u16 y, u16 z) { return fma_of(half, x, y, z, true); };
        check(
            "add.ftz", half.type, [&](u16 x, u16 y) { return fma_ftz(x, one_of(half), y); }, a, b);
        check(
            "mul.ftz", half.type, [&](u16 x, u16 y) { return fma_ftz(x, y, negative_zero_of_product(x, y)); },
            a, b);
        check("fma.rn.ftz", half.type, fma_ftz, a, b, c);
        check(
            "add.sat", half.type, [&](u16 x, u16 y) { return saturated(half, add(x, y)); }, a, b);
        check(
            "sub.ftz.sat", half.type,
            [&](u16 x, u16 y) { return saturated(half, fma_ftz(x, one_of(half), y ^ 0x8000)); }, a, b);
        check(
            "mul.sat", half.type, [&](u16 x, u16 y) { return saturated(half, mul(x, y)); }, a, b);
        check(
            "fma.rn.sat", half.type, [&](u16 x, u16 y, u16 z) { return saturated(half, fma(x, y, z)); }, a, b,
            c);
        check(
            "fma.rn.ftz.relu", half.type, [&](u16 x, u16 y, u16 z) { return positive(fma_ftz(x, y, z)); }, a,
            b, c);
    }
}

// Sums where rounding twice, through f32 or f64, is wrong.
TEST(EmulatedHalf, TiesBrokenFarBelow) {
    // 2^8 * (1 + 2^-7) is a tie between bf16 of 2^16 ... plus or minus the smallest number there is.
    const Half& bf16 = kHalves[1];
    std::vector<u16> a, b, c;
    for (u32 x = 0x3f80; x < 0x3fff; ++x) {
        for (u32 y : {0x3f81u, 0x3fc0u, 0x4341u, 0x3f01u}) {
            for (u32 z : {0x0001u, 0x8001u, 0x0080u, 0x8080u, 0x2000u, 0xa000u}) {
                a.push_back(static_cast<u16>(x));
                b.push_back(static_cast<u16>(y));
                c.push_back(static_cast<u16>(z));
            }
        }
    }
    check(
        "fma.rn", "bf16", [&](u16 x, u16 y, u16 z) { return fma_of(bf16, x, y, z, false); }, a, b, c);
    // Products below f32's normal numbers.
    for (u16& x : a) x = static_cast<u16>((x & 0x7f) | 0x1f80);
    for (u16& y : b) y = static_cast<u16>((y & 0x7f) | 0x1f00);
    check(
        "mul", "bf16",
        [&](u16 x, u16 y) { return fma_of(bf16, x, y, negative_zero_of_product(x, y), false); }, a, b);
}

TEST(EmulatedHalf, EveryValueAloneAndExtremes) {
    std::vector<u16> all(0x10000);
    for (u32 i = 0; i < all.size(); ++i) all[i] = static_cast<u16>(i);
    for (const Half& half : kHalves) {
        const auto canonical = [&](u16 x) { return half.is_nan(x) ? kNan : x; };
        check(
            "abs", half.type, [&](u16 x) { return canonical(x & 0x7fff); }, all);
        check(
            "neg", half.type, [&](u16 x) { return canonical(x ^ 0x8000); }, all);
        if (half.type == "f16") {
            check(
                "abs.ftz", half.type, [&](u16 x) { return canonical(half.flushed(x) & 0x7fff); }, all);
            check(
                "neg.ftz", half.type, [&](u16 x) { return canonical(half.flushed(x) ^ 0x8000); }, all);
        }
        const auto [a, b] = operands_of<u16, 2>(edges(half), 4000);
        // Numbers in their order, -0 below +0.
        const auto key = [](u16 x) { return (x & 0x8000) != 0 ? -1 - (x & 0x7fff) : x & 0x7fff; };
        for (const bool is_max : {false, true}) {
            for (const bool ftz : {false, true}) {
                for (const bool nan : {false, true}) {
                    for (const bool xorsign : {false, true}) {
                        if (ftz && half.type != "f16") continue;
                        const std::string opcode = std::string(is_max ? "max" : "min") + (ftz ? ".ftz" : "") +
                                                   (nan ? ".NaN" : "") + (xorsign ? ".xorsign.abs" : "");
                        check(
                            opcode, half.type,
                            [&](u16 x, u16 y) {
                                if (ftz) x = half.flushed(x), y = half.flushed(y);
                                const u16 sign = xorsign ? (x ^ y) & 0x8000 : 0;
                                if (xorsign) x &= 0x7fff, y &= 0x7fff;
                                const bool x_is_nan = half.is_nan(x), y_is_nan = half.is_nan(y);
                                if ((x_is_nan && y_is_nan) || (nan && (x_is_nan || y_is_nan))) return kNan;
                                const u16 d = x_is_nan                      ? y
                                              : y_is_nan                    ? x
                                              : (key(x) > key(y)) == is_max ? x
                                                                            : y;
                                return static_cast<u16>(d | sign);
                            },
                            a, b);
                    }
                }
            }
        }
    }
}

TEST(EmulatedHalf, FormsThatPtxHasNotAreRefused) {
    for (const std::string_view statement :
         {"add.sat.bf16 %h0, %h1, %h2;", "add.rz.f16 %h0, %h1, %h2;", "fma.f16 %h0, %h1, %h2, %h3;",
          "add.relu.f16 %h0, %h1, %h2;", "mul.ftz.bf16x2 %r0, %r1, %r2;",
          "fma.rn.sat.relu.f16 %h0, %h1, %h2, %h3;", "max.xorsign.f16 %h0, %h1, %h2;",
          "add.f16x2 %h0, %h1, %h2;", "fma.rn.oob.f16 %h0, %h1, %h2, %h3;"}) {
        RunPtx run(ptx_kernel("", ".reg .b16 %h<4>; .reg .b32 %r<4>;\n" + std::string(statement)));
        EXPECT_FALSE(run.load_error().empty()) << statement;
    }
}

}  // namespace
}  // namespace warpwright::emulator
