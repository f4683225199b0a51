// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic against C++ in 128 bits.
#include <limits>
#include <type_traits>

#include "tests/emulator/elementwise.h"

namespace warpwright::emulator {
namespace {

using i128 = __int128;

template <class T>
const char* suffix() {
    constexpr bool is_signed = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 2) return is_signed ? "s16" : "u16";
    if constexpr (sizeof(T) == 4) return is_signed ? "s32" : "u32";
    return is_signed ? "s64" : "u64";
}
template <class T>
std::vector<std::make_unsigned_t<T>> edges() {
    using U = std::make_unsigned_t<T>;
    const auto top = static_cast<U>(U{1} << (sizeof(T) * 8 - 1));
    return {0,
            1,
            2,
            7,
            static_cast<U>(top - 1),
            top,
            static_cast<U>(top + 1),
            static_cast<U>(~U{0} - 1),
            static_cast<U>(~U{0}),
            static_cast<U>(0x123456789abcdef1ull)};
}

// f(a, b), or f(a, b, c), in 128 bits, cut to the result's type R.
template <class T, class R, class F>
void expect2(const std::string& opcode, F f) {
    using U = std::make_unsigned_t<T>;
    using V = std::make_unsigned_t<R>;
    const auto [a, b] = operands_of<U, 2>(edges<T>());
    expect_elementwise<V>(
        opcode + "." + suffix<T>() + " %d, %a, %b;",
        [&](U x, U y) { return static_cast<V>(f(i128{static_cast<T>(x)}, i128{static_cast<T>(y)})); }, a, b);
}
template <class T, class R, class F>
void expect3(const std::string& opcode, F f) {
    using U = std::make_unsigned_t<T>;
    using V = std::make_unsigned_t<R>;
    const auto [a, b, c] = operands_of<U, 3>(edges<T>());
    std::vector<V> addend(c.begin(), c.end());
    if (sizeof(R) > sizeof(T))
        for (std::size_t i = 0; i < addend.size(); ++i)
            addend[i] = static_cast<V>(addend[i] * 0x9e3779b97f4a7c15ull);
    expect_elementwise<V>(
        opcode + "." + suffix<T>() + " %d, %a, %b, %c;",
        [&](U x, U y, V z) {
            return static_cast<V>(
                f(i128{static_cast<T>(x)}, i128{static_cast<T>(y)}, i128{static_cast<R>(z)}));
        },
        a, b, addend);
}
template <class T, class F>
void expect1(const std::string& opcode, F f) {
    using U = std::make_unsigned_t<T>;
    const auto [a] = operands_of<U, 1>(edges<T>());
    expect_elementwise<U>(
        opcode + "." + suffix<T>() + " %d, %a;",
        [&](U x) { return static_cast<U>(f(i128{static_cast<T>(x)})); }, a);
}

template <class T>
class IntegerType : public testing::Test {};
using AllTypes = testing::Types<u16, i16, u32, i32, u64, i64>;
TYPED_TEST_SUITE(IntegerType, AllTypes);

TYPED_TEST(IntegerType, Arithmetic) {
    using T = TypeParam;
    constexpr int kBits = sizeof(T) * 8;
    expect2<T, T>("add", [](i128 a, i128 b) { return a + b; });
    expect2<T, T>("sub", [](i128 a, i128 b) { return a - b; });
    expect2<T, T>("mul.lo", [](i128 a, i128 b) { return a * b; });
    // A product of two u64 wraps in i128, but not its bits.
    const auto product = [](i128 a, i128 b) {
        return static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b);
    };
    expect2<T, T>("mul.hi", [&](i128 a, i128 b) { return product(a, b) >> kBits; });
    expect3<T, T>("mad.lo",
                  [&](i128 a, i128 b, i128 c) { return product(a, b) + static_cast<unsigned __int128>(c); });
    expect3<T, T>("mad.hi", [&](i128 a, i128 b, i128 c) {
        return (product(a, b) >> kBits) + static_cast<unsigned __int128>(c);
    });
    expect2<T, T>("min", [](i128 a, i128 b) { return a < b ? a : b; });
    expect2<T, T>("max", [](i128 a, i128 b) { return a > b ? a : b; });
    expect3<T, T>("sad", [](i128 a, i128 b, i128 c) { return c + (a < b ? b - a : a - b); });
    if constexpr (sizeof(T) < 8) {
        using Wide = std::conditional_t<std::is_signed_v<T>, std::conditional_t<sizeof(T) == 2, i32, i64>,
                                        std::conditional_t<sizeof(T) == 2, u32, u64>>;
        expect2<T, Wide>("mul.wide", [](i128 a, i128 b) { return a * b; });
        expect3<T, Wide>("mad.wide", [](i128 a, i128 b, i128 c) { return a * b + c; });
    }
    if constexpr (std::is_signed_v<T>) {
        expect1<T>("abs", [](i128 a) { return a < 0 ? -a : a; });
        expect1<T>("neg", [](i128 a) { return -a; });
    }
}

TYPED_TEST(IntegerType, Division) {
    using T = TypeParam;
    using U = std::make_unsigned_t<T>;
    auto [a, b] = operands_of<U, 2>(edges<T>());
    for (U& divisor : b) divisor = divisor == 0 ? 3 : divisor;
    const std::string types = suffix<T>();
    // INT_MIN / -1 wraps, and the remainder is 0.
    expect_elementwise<U>(
        "div." + types + " %d, %a, %b;",
        [](U x, U y) { return static_cast<U>(i128{static_cast<T>(x)} / i128{static_cast<T>(y)}); }, a, b);
    expect_elementwise<U>(
        "rem." + types + " %d, %a, %b;",
        [](U x, U y) { return static_cast<U>(i128{static_cast<T>(x)} % i128{static_cast<T>(y)}); }, a, b);
}

TEST(EmulatedInteger, DivisionByZeroIsAFinding) {
    const std::string text = ptx_kernel(".param .u64 out", R"(
        .reg .b32 %r<4>;  .reg .b64 %rd<4>;
        ld.param.u64 %rd0, [out];
        mov.u32 %r0, %tid.x;
        and.b32 %r1, %r0, 3;
        div.u32 %r2, 100, %r1;
        mul.wide.u32 %rd1, %r0, 4;
        add.s64 %rd1, %rd0, %rd1;
        st.global.u32 [%rd1], %r2;
    )");
    LaunchConfig config;
    config.block.x = 32;
    for (const CheckLevel level : {CheckLevel::bounds, CheckLevel::off}) {
        RunPtx run(text);
        run.options.level = level;
        const u64 out = run.put(std::vector<u32>(32));
        const LaunchReport report = run.launch(config, out);
        if (level == CheckLevel::off) {
            EXPECT_FALSE(report.finding);
            EXPECT_EQ(run.get<u32>(out, 4), (std::vector<u32>{0xffffffffu, 100, 50, 33}));
            continue;
        }
        ASSERT_TRUE(report.finding);
        EXPECT_EQ(report.finding->kind, FindingKind::division_by_zero);
        EXPECT_EQ(report.finding->lanes, 0x11111111u);
        EXPECT_EQ(report.finding->instruction, "div.u32");
    }
}
TEST(EmulatedInteger, LanesThatDoNotDivideMayHoldZero) {
    const auto [a, b] = operands_of<u32, 2>(edges<u32>());
    expect_elementwise<u32>(
        "mov.b32 %d, 0; setp.ne.u32 %p, %b, 0; @%p div.u32 %d, %a, %b;",
        [](u32 x, u32 y) { return y == 0 ? 0 : x / y; }, a, b);
}

TEST(EmulatedInteger, Saturation) {
    const auto clamp = [](i128 x) {
        return x < -0x80000000ll ? i128{-0x80000000ll} : x > 0x7fffffff ? i128{0x7fffffff} : x;
    };
    expect2<i32, i32>("add.sat", [&](i128 a, i128 b) { return clamp(a + b); });
    expect2<i32, i32>("sub.sat", [&](i128 a, i128 b) { return clamp(a - b); });
    expect3<i32, i32>("mad.hi.sat", [&](i128 a, i128 b, i128 c) { return clamp((a * b >> 32) + c); });
    expect2<i32, i32>("max.relu", [](i128 a, i128 b) { return std::max<i128>(std::max(a, b), 0); });
    expect2<i32, i32>("min.relu", [](i128 a, i128 b) { return std::max<i128>(std::min(a, b), 0); });
}

TEST(EmulatedInteger, ProductsOf24Bits) {
    const auto low24 = [](i128 a, bool is_signed) {
        a &= 0xffffff;
        return is_signed && a >= 0x800000 ? a - 0x1000000 : a;
    };
    const auto check = [&]<class T>(T) {
        constexpr bool is_signed = std::is_signed_v<T>;
        const auto product = [=](i128 a, i128 b) { return low24(a, is_signed) * low24(b, is_signed); };
        expect2<T, T>("mul24.lo", product);
        expect2<T, T>("mul24.hi", [=](i128 a, i128 b) { return product(a, b) >> 16; });
        expect3<T, T>("mad24.lo", [=](i128 a, i128 b, i128 c) { return product(a, b) + c; });
        expect3<T, T>("mad24.hi", [=](i128 a, i128 b, i128 c) { return (product(a, b) >> 16) + c; });
    };
    check(u32{});
    check(i32{});
    expect3<i32, i32>("mad24.hi.sat", [&](i128 a, i128 b, i128 c) {
        // The high part is 32 bits of the 48, as a number with a sign.
        const i128 sum = i128{static_cast<i32>(low24(a, true) * low24(b, true) >> 16)} + c;
        return std::clamp<i128>(sum, -0x80000000ll, 0x7fffffff);
    });
}

TEST(EmulatedInteger, PairsOf16Bits) {
    const auto [a, b] =
        operands_of<u32, 2>({0, 0x7fff8000u, 0x80007fffu, 0xffff0001u, 0x00018001u, 0xfffeffffu});
    const auto both = [](auto f) {
        return [f](u32 x, u32 y) {
            const auto low = static_cast<u16>(f(static_cast<u16>(x), static_cast<u16>(y)));
            const auto high = static_cast<u16>(f(static_cast<u16>(x >> 16), static_cast<u16>(y >> 16)));
            return static_cast<u32>(low) | static_cast<u32>(high) << 16;
        };
    };
    const auto as_signed = [](auto f) {
        return [f](u16 x, u16 y) { return f(static_cast<i16>(x), static_cast<i16>(y)); };
    };
    expect_elementwise<u32>("add.u16x2 %d, %a, %b;", both([](u16 x, u16 y) { return x + y; }), a, b);
    expect_elementwise<u32>("add.s16x2 %d, %a, %b;", both([](u16 x, u16 y) { return x + y; }), a, b);
    expect_elementwise<u32>("min.u16x2 %d, %a, %b;", both([](u16 x, u16 y) { return std::min(x, y); }), a, b);
    expect_elementwise<u32>("max.u16x2 %d, %a, %b;", both([](u16 x, u16 y) { return std::max(x, y); }), a, b);
    expect_elementwise<u32>("min.s16x2 %d, %a, %b;",
                            both(as_signed([](i16 x, i16 y) { return std::min(x, y); })), a, b);
    expect_elementwise<u32>("max.s16x2 %d, %a, %b;",
                            both(as_signed([](i16 x, i16 y) { return std::max(x, y); })), a, b);
    expect_elementwise<u32>("max.relu.s16x2 %d, %a, %b;",
                            both(as_signed([](i16 x, i16 y) { return std::max<i16>(std::max(x, y), 0); })), a,
                            b);
}

TEST(EmulatedInteger, DotProducts) {
    const auto [a, b, c] =
        operands_of<u32, 3>({0, 0x80ff7f01u, 0xffffffffu, 0x7f7f7f7fu, 0x80808080u, 0x01020304u});
    const auto byte = [](u32 x, int k, bool is_signed) {
        const u32 value = x >> 8 * k & 0xffu;
        return is_signed ? static_cast<i64>(static_cast<i8>(value)) : i64{value};
    };
    const auto half = [](u32 x, int k, bool is_signed) {
        const u32 value = x >> 16 * k & 0xffffu;
        return is_signed ? static_cast<i64>(static_cast<i16>(value)) : i64{value};
    };
    for (const bool a_signed : {false, true}) {
        for (const bool b_signed : {false, true}) {
            const std::string types = std::string(a_signed ? ".s32" : ".u32") + (b_signed ? ".s32" : ".u32");
            expect_elementwise<u32>(
                "dp4a" + types + " %d, %a, %b, %c;",
                [&](u32 x, u32 y, u32 z) {
                    i64 sum = z;
                    for (int k = 0; k < 4; ++k) sum += byte(x, k, a_signed) * byte(y, k, b_signed);
                    return static_cast<u32>(sum);
                },
                a, b, c);
            for (const int first : {0, 2}) {
                expect_elementwise<u32>(
                    std::string("dp2a.") + (first == 0 ? "lo" : "hi") + types + " %d, %a, %b, %c;",
                    [&](u32 x, u32 y, u32 z) {
                        i64 sum = z;
                        for (int k = 0; k < 2; ++k)
                            sum += half(x, k, a_signed) * byte(y, first + k, b_signed);
                        return static_cast<u32>(sum);
                    },
                    a, b, c);
            }
        }
    }
}

// 128-bit arithmetic in 32-bit steps, as compilers write it.
TEST(EmulatedInteger, CarriesGoFromInstructionToInstruction) {
    const auto [a, b, c] = operands_of<u64, 3>(edges<u64>());
    const std::string split = "mov.b64 {%x0, %x1}, %a; mov.b64 {%x2, %x3}, %b;";
    expect_elementwise<u64>(
        split + "add.cc.u32 %x0, %x0, %x2; addc.u32 %x1, %x1, %x3; mov.b64 %d, {%x0, %x1};",
        [](u64 x, u64 y) { return x + y; }, a, b);
    expect_elementwise<u64>(
        split + "sub.cc.u32 %x0, %x0, %x2; subc.u32 %x1, %x1, %x3; mov.b64 %d, {%x0, %x1};",
        [](u64 x, u64 y) { return x - y; }, a, b);
    // The carry of a 64-bit sum, and the borrow of a difference.
    expect_elementwise<u64>(
        "add.cc.u64 %d, %a, %b; addc.cc.u64 %d, 0, 0;", [](u64 x, u64 y) { return u64{x + y < x}; }, a, b);
    expect_elementwise<u64>(
        "sub.cc.u64 %d, %a, %b; subc.cc.u64 %d, 0, 0;", [](u64 x, u64 y) { return x < y ? ~u64{0} : 0; }, a,
        b);
    expect_elementwise<u64>(
        "sub.cc.u64 %y0, %a, %b; subc.cc.u64 %d, %c, %a; subc.u64 %d, 0, 0;",
        [](u64 x, u64 y, u64 z) { return z < x || (z == x && x < y) ? ~u64{0} : 0; }, a, b, c);
    // The upper half of a * b + c.
    expect_elementwise<u64>(
        "mad.lo.cc.u64 %d, %a, %b, %c; madc.hi.u64 %d, %a, %b, 0;",
        [](u64 x, u64 y, u64 z) {
            return static_cast<u64>((static_cast<unsigned __int128>(x) * y + z) >> 64);
        },
        a, b, c);
    expect_elementwise<u64>(
        split +
            "mad.hi.cc.s32 %x0, %x0, %x2, %x1; madc.lo.cc.s32 %x1, %x1, %x3, 7; addc.u32 %x2, 0, 0;"
            "shl.b32 %x2, %x2, 31; xor.b32 %x1, %x1, %x2; mov.b64 %d, {%x0, %x1};",
        [](u64 x, u64 y) {
            const auto lo = [](u64 w) { return static_cast<u32>(w); };
            const auto hi = [](u64 w) { return static_cast<u32>(w >> 32); };
            const u32 product =
                hi(static_cast<u64>(static_cast<i64>(static_cast<i32>(lo(x))) * static_cast<i32>(lo(y))));
            const u64 first = u64{product} + hi(x);
            const u64 second = u64{hi(x) * hi(y)} + 7 + hi(first);
            return u64{lo(first)} | u64{lo(second) ^ hi(second) << 31} << 32;
        },
        a, b);
}

TEST(EmulatedInteger, FormsThatPtxHasNotAreRefused) {
    for (const std::string_view statement :
         {"add.sat.u32 %r0, %r1, %r2;", "mul.u32 %r0, %r1, %r2;", "mul.wide.u64 %rd0, %rd1, %rd2;",
          "add.u32 %r0, %r1;", "abs.u32 %r0, %r1;", "min.relu.s64 %rd0, %rd1, %rd2;",
          "add.cc.u16 %rs0, %rs1, %rs2;", "mad.cc.u32 %r0, %r1, %r2, %r0;", "add.u32.u32 %r0, %r1, %r2;",
          "add.u32 %r0, %r1, %rd1;", "div.rn.u32 %r0, %r1, %r2;", "dp4a.u32 %r0, %r1, %r2, %r0;"}) {
        RunPtx run(ptx_kernel(
            "", ".reg .b16 %rs<4>; .reg .b32 %r<4>; .reg .b64 %rd<4>;\n" + std::string(statement)));
        EXPECT_FALSE(run.load_error().empty()) << statement;
    }
}

}  // namespace
}  // namespace warpwright::emulator
