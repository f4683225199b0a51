// SPDX-License-Identifier: Apache-2.0
// Comparisons, selections and the logic of predicates.
#include <bit>
#include <limits>

#include "tests/emulator/elementwise.h"

namespace warpwright::emulator {
namespace {

// How two values stand to each other.
enum class Order { less, equal, greater, unordered };
bool holds(std::string_view op, Order order) {
    const bool is_unordered_too = op.size() == 3 && op.back() == 'u';
    if (op == "num") return order != Order::unordered;
    if (op == "nan") return order == Order::unordered;
    if (order == Order::unordered) return is_unordered_too;
    const std::string_view base = is_unordered_too ? op.substr(0, 2) : op;
    if (base == "eq") return order == Order::equal;
    if (base == "ne") return order != Order::equal;
    if (base == "lt" || base == "lo") return order == Order::less;
    if (base == "le" || base == "ls") return order != Order::greater;
    if (base == "gt" || base == "hi") return order == Order::greater;
    return order != Order::less;
}
template <class T>
Order order_of(T a, T b) {
    return a < b ? Order::less : a > b ? Order::greater : a == b ? Order::equal : Order::unordered;
}
const std::vector<std::string> kSigned = {"eq", "ne", "lt", "le", "gt", "ge"};
const std::vector<std::string> kUnsigned = {"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"};
const std::vector<std::string> kFloat = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                         "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

// Every operator of a type: setp alone, with both destinations, and with a third predicate; and set.
template <class T, class F>
void check_type(const std::string& type, const std::vector<std::string>& operators,
                const std::vector<T>& edges, F order, const std::string& flush = "") {
    const auto [a, b] = operands_of<T, 2>(edges, 256);
    for (const std::string& op : operators) {
        const auto expected = [&](T x, T y) { return holds(op, order(x, y)); };
        expect_elementwise<u32>(
            "setp." + op + flush + "." + type + " %p, %a, %b; selp.u32 %d, 5, 3, %p;",
            [&](T x, T y) { return expected(x, y) ? 5u : 3u; }, a, b);
        for (const std::string logic : {"and", "or", "xor"}) {
            for (const bool is_negated : {false, true}) {
                // The third predicate varies by lane.
                const std::string text =
                    "and.b32 %x0, %i, 3; setp.eq.u32 %q, %x0, 1; setp." + op + "." + logic + flush + "." +
                    type + " %p|%q, %a, %b, " + (is_negated ? "!" : "") +
                    "%q; selp.u32 %d, 1, 0, %p; selp.u32 %x1, 2, 0, %q; or.b32 %d, %d, %x1;";
                const std::vector<u32> got = elementwise<u32>(text, a, b);
                for (std::size_t i = 0; i < got.size(); ++i) {
                    const bool c = (i % 4 == 1) != is_negated, t = expected(a[i], b[i]);
                    const auto combined = [&](bool x) {
                        return logic == "and" ? x && c : logic == "or" ? x || c : x != c;
                    };
                    ASSERT_EQ(got[i], combined(t) + 2u * combined(!t))
                        << text << " of " << a[i] << ' ' << b[i];
                }
            }
        }
        expect_elementwise<u32>(
            "set." + op + flush + ".u32." + type + " %d, %a, %b;",
            [&](T x, T y) { return expected(x, y) ? ~0u : 0u; }, a, b);
        expect_elementwise<u32>(
            "set." + op + flush + ".f32." + type + " %d, %a, %b;",
            [&](T x, T y) { return expected(x, y) ? 0x3f800000u : 0u; }, a, b);
    }
}

TEST(EmulatedCompare, Integers) {
    check_type<u16>("u16", kUnsigned, {0, 1, 0x7fff, 0x8000, 0xffff},
                    [](u16 x, u16 y) { return order_of(x, y); });
    check_type<u16>("s16", kSigned, {0, 1, 0x7fff, 0x8000, 0xffff},
                    [](u16 x, u16 y) { return order_of(static_cast<i16>(x), static_cast<i16>(y)); });
    check_type<u16>("b16", {"eq", "ne"}, {0, 1, 0x7fff, 0x8000}, [](u16 x, u16 y) { return order_of(x, y); });
    check_type<u32>("u32", kUnsigned, {0, 1, 0x7fffffff, 0x80000000, 0xffffffff},
                    [](u32 x, u32 y) { return order_of(x, y); });
    check_type<u32>("s32", kSigned, {0, 1, 0x7fffffff, 0x80000000, 0xffffffff},
                    [](u32 x, u32 y) { return order_of(static_cast<i32>(x), static_cast<i32>(y)); });
    check_type<u32>("b32", {"eq", "ne"}, {0, 1, 0x80000000}, [](u32 x, u32 y) { return order_of(x, y); });
    check_type<u64>("u64", kUnsigned, {0, 1, ~0ull >> 1, 1ull << 63, ~0ull, 1ull << 32},
                    [](u64 x, u64 y) { return order_of(x, y); });
    check_type<u64>("s64", kSigned, {0, 1, ~0ull >> 1, 1ull << 63, ~0ull, 1ull << 32},
                    [](u64 x, u64 y) { return order_of(static_cast<i64>(x), static_cast<i64>(y)); });
    check_type<u64>("b64", {"eq", "ne"}, {0, 1, 1ull << 32}, [](u64 x, u64 y) { return order_of(x, y); });
}

// Zeros, subnormal numbers, infinities, NaNs.
const std::vector<u32> kFloats = {0,          0x80000000, 1,          0x80000001, 0x007fffff,
                                  0x00800000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                  0x7fc00000, 0xffc00001, 0x7f800001};
float flushed(u32 bits) {
    return std::bit_cast<float>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}
TEST(EmulatedCompare, Floats) {
    check_type<u32>("f32", kFloat, kFloats,
                    [](u32 x, u32 y) { return order_of(std::bit_cast<float>(x), std::bit_cast<float>(y)); });
    check_type<u32>(
        "f32", kFloat, kFloats, [](u32 x, u32 y) { return order_of(flushed(x), flushed(y)); }, ".ftz");
    check_type<u64>(
        "f64", kFloat,
        {0, 1ull << 63, 1, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000,
         0xfff0000000000001},
        [](u64 x, u64 y) { return order_of(std::bit_cast<double>(x), std::bit_cast<double>(y)); });
}

// The value of 16 bits with so many mantissa bits; both formats have their NaNs above the exponent's ones.
double value_of(u16 bits, int mantissa_bits, int bias, bool flushes) {
    const int exponent = (bits & 0x7fff) >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
    const int top = (1 << (15 - mantissa_bits)) - 1;
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    if (exponent == top)
        return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                             : sign * std::numeric_limits<double>::infinity();
    if (exponent == 0) return flushes ? sign * 0.0 : sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}
TEST(EmulatedCompare, HalvesAndPairs) {
    struct Format {
        std::string type, flush;
        int mantissa_bits, bias;
    };
    for (const Format& format :
         {Format{"f16", "", 10, 15}, Format{"f16", ".ftz", 10, 15}, Format{"bf16", "", 7, 127}}) {
        const auto order = [&](u16 x, u16 y) {
            return order_of(value_of(x, format.mantissa_bits, format.bias, !format.flush.empty()),
                            value_of(y, format.mantissa_bits, format.bias, !format.flush.empty()));
        };
        const std::vector<u16> edges = {0,      0x8000, 1,      0x8001, 0x007f, 0x0400, 0x3c00,
                                        0xbc00, 0x7c00, 0x7f80, 0xff80, 0x7e00, 0xffff};
        check_type<u16>(format.type, kFloat, edges, order, format.flush);
        const auto [a, b] =
            operands_of<u32, 2>({0x3c008000u, 0x00010000u, 0x7fff3c00u, 0xbc000001u, 0x80013f80u});
        for (const std::string& op : kFloat) {
            const std::string opcode = op + format.flush;
            const auto low = [&](u32 x, u32 y) {
                return holds(op, order(static_cast<u16>(x), static_cast<u16>(y)));
            };
            const auto high = [&](u32 x, u32 y) { return low(x >> 16, y >> 16); };
            expect_elementwise<u32>(
                "setp." + opcode + "." + format.type +
                    "x2 %p|%q, %a, %b; selp.u32 %d, 1, 0, %p;"
                    "selp.u32 %x0, 2, 0, %q; or.b32 %d, %d, %x0;",
                [&](u32 x, u32 y) { return low(x, y) + 2u * high(x, y); }, a, b);
            expect_elementwise<u32>(
                "set." + opcode + ".u32." + format.type + "x2 %d, %a, %b;",
                [&](u32 x, u32 y) { return (low(x, y) ? 0xffffu : 0) | (high(x, y) ? 0xffff0000u : 0); }, a,
                b);
            const u32 one = format.type == "f16" ? 0x3c00 : 0x3f80;
            expect_elementwise<u32>(
                "set." + opcode + "." + format.type + "x2." + format.type + "x2 %d, %a, %b;",
                [&](u32 x, u32 y) { return (low(x, y) ? one : 0) | (high(x, y) ? one << 16 : 0); }, a, b);
        }
    }
}

TEST(EmulatedCompare, Selections) {
    const auto [a, b] = operands_of<u64, 2>({0, ~0ull, 0x123456789abcdef0ull});
    const std::string odd = "and.b32 %x0, %i, 1; setp.eq.u32 %p, %x0, 1;";
    for (const std::string type : {"b64", "u64", "s64", "f64"}) {
        const std::vector<u64> got = elementwise<u64>(odd + "selp." + type + " %d, %a, %b, %p;", a, b);
        const std::vector<u64> not_got = elementwise<u64>(odd + "selp." + type + " %d, %a, %b, !%p;", a, b);
        for (std::size_t i = 0; i < got.size(); ++i) {
            ASSERT_EQ(got[i], i % 2 == 1 ? a[i] : b[i]);
            ASSERT_EQ(not_got[i], i % 2 == 1 ? b[i] : a[i]);
        }
    }
    const auto [x, y] = operands_of<u32, 2>(kFloats);
    std::vector<u32> z = x;
    std::reverse(z.begin(), z.end());
    expect_elementwise<u32>(
        "slct.b32.s32 %d, %a, %b, %c;", [](u32 p, u32 q, u32 c) { return static_cast<i32>(c) >= 0 ? p : q; },
        x, y, z);
    expect_elementwise<u32>(
        "slct.f32.f32 %d, %a, %b, %c;",
        [](u32 p, u32 q, u32 c) { return std::bit_cast<float>(c) >= 0 ? p : q; }, x, y, z);
    expect_elementwise<u32>(
        "slct.ftz.u32.f32 %d, %a, %b, %c;", [](u32 p, u32 q, u32 c) { return flushed(c) >= 0 ? p : q; }, x, y,
        z);
    std::vector<u32> c(a.size());
    for (std::size_t i = 0; i < c.size(); ++i) c[i] = kFloats[i % kFloats.size()];
    expect_elementwise<u64>(
        "slct.b64.f32 %d, %a, %b, %c;",
        [](u64 p, u64 q, u32 k) { return std::bit_cast<float>(k) >= 0 ? p : q; }, a, b, c);
}

TEST(EmulatedCompare, LogicOfPredicates) {
    const std::string two =
        "and.b32 %x0, %a, 1; setp.eq.u32 %p, %x0, 1; and.b32 %x0, %a, 2; setp.ne.u32 %q, %x0, 0;";
    const std::string result = " selp.u32 %d, 1, 0, %p;";
    std::vector<u32> a(64);
    for (u32 i = 0; i < 64; ++i) a[i] = i * 7 % 4;
    const auto check = [&](const std::string& statement, auto f) {
        expect_elementwise<u32>(
            two + statement + result, [&](u32 x) { return u32{f((x & 1) != 0, (x & 2) != 0)}; }, a);
    };
    check("and.pred %p, %p, %q;", [](bool p, bool q) { return p && q; });
    check("or.pred %p, %p, %q;", [](bool p, bool q) { return p || q; });
    check("xor.pred %p, %p, %q;", [](bool p, bool q) { return p != q; });
    check("and.pred %p, !%p, !%q;", [](bool p, bool q) { return !p && !q; });
    check("not.pred %p, %q;", [](bool, bool q) { return !q; });
    check("mov.pred %p, %q;", [](bool, bool q) { return q; });
    check("mov.pred %p, !%q;", [](bool, bool q) { return !q; });
    check("mov.pred %p, -1;", [](bool, bool) { return true; });
    check("mov.pred %p, 0;", [](bool, bool) { return false; });
}

TEST(EmulatedCompare, FormsThatPtxHasNotAreRefused) {
    for (const std::string_view statement :
         {"setp.lt.b32 %p0, %r0, %r1;", "setp.lo.s32 %p0, %r0, %r1;", "setp.ltu.u32 %p0, %r0, %r1;",
          "setp.eq.ftz.u32 %p0, %r0, %r1;", "setp.eq.and.u32 %p0, %r0, %r1;", "setp.u32 %p0, %r0, %r1;",
          "setp.eq.lt.u32 %p0, %r0, %r1;", "setp.eq.u32 %r0, %r0, %r1;", "setp.eq.u32 %p0, %r0, %r1, %p1;",
          "selp.b8 %r0, %r0, %r1, %p0;", "set.eq.f64.u32 %rd0, %r0, %r1;",
          "slct.b32.u32 %r0, %r0, %r1, %r2;"}) {
        RunPtx run(ptx_kernel(
            "", ".reg .pred %p<4>; .reg .b32 %r<4>; .reg .b64 %rd<4>;\n" + std::string(statement)));
        EXPECT_FALSE(run.load_error().empty()) << statement;
    }
}

}  // namespace
}  // namespace warpwright::emulator
