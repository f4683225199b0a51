// SPDX-License-Identifier: Apache-2.0
// Logic, shifts and bit fields, bit by bit.
#include <type_traits>

#include "tests/emulator/elementwise.h"

namespace warpwright::emulator {
namespace {

template <class T>
std::vector<T> patterns() {
    const auto top = static_cast<T>(T{1} << (sizeof(T) * 8 - 1));
    return {0,
            1,
            top,
            static_cast<T>(~T{0}),
            static_cast<T>(top - 1),
            static_cast<T>(0x8000000180018001ull),
            static_cast<T>(0x00ff00ff00ff00ffull),
            static_cast<T>(0x123456789abcdef0ull)};
}
// Counts around every boundary, beyond the width, and with bits above the low eight.
const std::vector<u32> kCounts = {0,  1,  7,  8,   15,  16,  17,  31,      32,         33,
                                  63, 64, 65, 127, 255, 256, 257, 0x10000, 0xffffffffu};

template <class T>
std::pair<std::vector<T>, std::vector<u32>> with_counts() {
    std::pair<std::vector<T>, std::vector<u32>> lists;
    for (const T value : patterns<T>()) {
        for (const u32 count : kCounts) {
            lists.first.push_back(value);
            lists.second.push_back(count);
        }
    }
    return lists;
}
template <class T>
bool bit(T value, u64 position) {
    return position < sizeof(T) * 8 && (value >> position & 1u) != 0;
}
// The value whose bit i is f(i).
template <class T, class F>
T from_bits(F f) {
    T value = 0;
    for (u32 i = 0; i < sizeof(T) * 8; ++i) value = static_cast<T>(value | T{f(i)} << i);
    return value;
}
template <class T>
std::string bits_suffix() {
    return fmt::format("{}", sizeof(T) * 8);
}

template <class T>
class BitType : public testing::Test {};
using AllTypes = testing::Types<u16, u32, u64>;
TYPED_TEST_SUITE(BitType, AllTypes);

TYPED_TEST(BitType, Logic) {
    using T = TypeParam;
    const std::string type = ".b" + bits_suffix<T>();
    const auto [a, b] = operands_of<T, 2>(patterns<T>());
    expect_elementwise<T>(
        "and" + type + " %d, %a, %b;", [](T x, T y) { return static_cast<T>(x & y); }, a, b);
    expect_elementwise<T>(
        "or" + type + " %d, %a, %b;", [](T x, T y) { return static_cast<T>(x | y); }, a, b);
    expect_elementwise<T>(
        "xor" + type + " %d, %a, %b;", [](T x, T y) { return static_cast<T>(x ^ y); }, a, b);
    expect_elementwise<T>(
        "not" + type + " %d, %a;", [](T x) { return static_cast<T>(~x); }, a);
    expect_elementwise<T>(
        "cnot" + type + " %d, %a;", [](T x) { return T{x == 0}; }, a);
}

TYPED_TEST(BitType, ShiftsClampTheirCount) {
    using T = TypeParam;
    constexpr u32 kBits = sizeof(T) * 8;
    const auto [a, b] = with_counts<T>();
    expect_elementwise<T>(
        "shl.b" + bits_suffix<T>() + " %d, %a, %b;",
        [](T x, u32 n) { return from_bits<T>([&](u32 i) { return i >= n && bit(x, i - n); }); }, a, b);
    const auto logical = [](T x, u32 n) { return from_bits<T>([&](u32 i) { return bit(x, u64{i} + n); }); };
    expect_elementwise<T>("shr.u" + bits_suffix<T>() + " %d, %a, %b;", logical, a, b);
    expect_elementwise<T>("shr.b" + bits_suffix<T>() + " %d, %a, %b;", logical, a, b);
    expect_elementwise<T>(
        "shr.s" + bits_suffix<T>() + " %d, %a, %b;",
        [](T x, u32 n) {
            return from_bits<T>([&](u32 i) { return bit(x, std::min<u64>(u64{i} + n, kBits - 1)); });
        },
        a, b);
}

TEST(EmulatedBits, FunnelShifts) {
    const auto [a, b] = operands_of<u32, 2>(patterns<u32>(), 0);
    for (const u32 count : kCounts) {
        const std::vector<u32> c(a.size(), count);
        for (const bool wraps : {false, true}) {
            const u32 n = wraps ? count & 31u : std::min(count, 32u);
            const auto of = [](u32 x, u32 y) { return u64{y} << 32 | x; };
            const std::string mode = wraps ? "wrap" : "clamp";
            expect_elementwise<u32>(
                "shf.l." + mode + ".b32 %d, %a, %b, %c;",
                [&](u32 x, u32 y, u32) {
                    return from_bits<u32>([&](u32 i) { return bit(of(x, y), 32 + i - n); });
                },
                a, b, c);
            expect_elementwise<u32>(
                "shf.r." + mode + ".b32 %d, %a, %b, %c;",
                [&](u32 x, u32 y, u32) {
                    return from_bits<u32>([&](u32 i) { return bit(of(x, y), i + n); });
                },
                a, b, c);
        }
    }
}

template <class T>
u32 top_bit(T value) {  // all ones where there is none
    for (u32 i = sizeof(T) * 8; i-- > 0;)
        if (bit(value, i)) return i;
    return ~0u;
}
TEST(EmulatedBits, CountsAndPositions) {
    const auto check = [&]<class T>(T) {
        constexpr u32 kBits = sizeof(T) * 8;
        const std::string bits = bits_suffix<T>();
        const auto [a] = operands_of<T, 1>(patterns<T>());
        expect_elementwise<u32>(
            "popc.b" + bits + " %d, %a;",
            [](T x) {
                u32 count = 0;
                for (u32 i = 0; i < kBits; ++i) count += bit(x, i);
                return count;
            },
            a);
        expect_elementwise<u32>(
            "clz.b" + bits + " %d, %a;", [](T x) { return kBits - 1 - top_bit(x); }, a);
        expect_elementwise<T>(
            "brev.b" + bits + " %d, %a;",
            [](T x) { return from_bits<T>([&](u32 i) { return bit(x, kBits - 1 - i); }); }, a);
        const auto with_sign = [](T x) { return bit(x, kBits - 1) ? static_cast<T>(~x) : x; };
        const auto amount = [](u32 position) { return position == ~0u ? position : kBits - 1 - position; };
        expect_elementwise<u32>(
            "bfind.u" + bits + " %d, %a;", [&](T x) { return top_bit(x); }, a);
        expect_elementwise<u32>(
            "bfind.s" + bits + " %d, %a;", [&](T x) { return top_bit(with_sign(x)); }, a);
        expect_elementwise<u32>(
            "bfind.shiftamt.u" + bits + " %d, %a;", [&](T x) { return amount(top_bit(x)); }, a);
        expect_elementwise<u32>(
            "bfind.shiftamt.s" + bits + " %d, %a;", [&](T x) { return amount(top_bit(with_sign(x))); }, a);
    };
    check(u32{});
    check(u64{});
}

TEST(EmulatedBits, Fields) {
    const auto check = [&]<class T>(T) {
        constexpr u32 kBits = sizeof(T) * 8;
        const std::string bits = bits_suffix<T>();
        std::vector<T> a;
        std::vector<u32> b, c;
        for (const T value : patterns<T>()) {
            for (const u32 position : kCounts) {
                for (const u32 length : kCounts) {
                    a.push_back(value);
                    b.push_back(position);
                    c.push_back(length);
                }
            }
        }
        // The pseudo-code of PTX ISA 9.7.1.19. Lengths are below 256 there; of 64 bits Hopper takes them
        // whole.
        const auto whole = [](u32 length) { return kBits == 64 ? std::min(length, 255u) : length & 0xffu; };
        const auto bfe = [&](T x, u32 position, u32 length, bool is_signed) {
            position &= 0xffu;
            length = whole(length);
            const bool sign = is_signed && length != 0 && bit(x, std::min(position + length - 1, kBits - 1));
            return from_bits<T>(
                [&](u32 i) { return i < length && i + position < kBits ? bit(x, i + position) : sign; });
        };
        expect_elementwise<T>(
            "bfe.u" + bits + " %d, %a, %b, %c;", [&](T x, u32 p, u32 n) { return bfe(x, p, n, false); }, a, b,
            c);
        expect_elementwise<T>(
            "bfe.s" + bits + " %d, %a, %b, %c;", [&](T x, u32 p, u32 n) { return bfe(x, p, n, true); }, a, b,
            c);
        const T into = static_cast<T>(0xa5a5f00f12345678ull);
        expect_elementwise<T>(
            fmt::format("mov.b{0} %d, {1}; bfi.b{0} %d, %a, %d, %b, %c;", bits, into),
            [&](T x, u32 position, u32 length) {
                position &= 0xffu;
                length = whole(length);
                return from_bits<T>([&](u32 i) {
                    const bool is_inside = i >= position && i < position + length;
                    return is_inside ? bit(x, i - position) : bit(into, i);
                });
            },
            a, b, c);
    };
    check(u32{});
    check(u64{});
}

TEST(EmulatedBits, MasksAndSignExtension) {
    const auto [a, b] = with_counts<u32>();
    for (const bool wraps : {false, true}) {
        const std::string mode = wraps ? ".wrap" : ".clamp";
        const auto clamp = [=](u32 x) { return wraps ? x & 31u : std::min(x, 32u); };
        expect_elementwise<u32>(
            "bmsk" + mode + ".b32 %d, %b, %a;",
            [&](u32 length, u32 position) {
                const u64 first = clamp(position), end = first + clamp(length);
                return from_bits<u32>([&](u32 i) { return i >= first && i < end; });
            },
            a, b);
        for (const bool is_signed : {false, true}) {
            expect_elementwise<u32>(
                "szext" + mode + (is_signed ? ".s32" : ".u32") + " %d, %a, %b;",
                [&](u32 x, u32 n) {
                    const u32 length = clamp(n);
                    const bool sign = is_signed && length != 0 && bit(x, length - 1);
                    return from_bits<u32>([&](u32 i) { return i < length ? bit(x, i) : sign; });
                },
                a, b);
        }
    }
}

TEST(EmulatedBits, NthSetBit) {
    std::vector<u32> a, b, c;
    for (const u32 mask : {0u, 1u, 0x80000000u, 0xaaaaaaaau, 0xffffffffu, 0x00f0f00fu}) {
        for (const u32 base : {0u, 1u, 15u, 31u}) {
            for (const u32 offset :
                 {0u, 1u, 2u, 5u, 33u, 0xffffffffu, 0xfffffffeu, 0xffffffe0u, 0x80000000u}) {
                a.push_back(mask);
                b.push_back(base);
                c.push_back(offset);
            }
        }
    }
    // The pseudo-code of PTX ISA 9.7.1.17.
    expect_elementwise<u32>(
        "fns.b32 %d, %a, %b, %c;",
        [](u32 mask, u32 base, u32 word) {
            const i64 offset = static_cast<i32>(word);
            i64 position = base, count = offset == 0 ? 0 : std::abs(offset) - 1;
            const i64 step = offset < 0 ? -1 : 1;
            if (offset == 0) return bit(mask, base) ? base : ~0u;
            for (; position >= 0 && position < 32; position += step) {
                if (!bit(mask, static_cast<u64>(position))) continue;
                if (count-- == 0) return static_cast<u32>(position);
            }
            return ~0u;
        },
        a, b, c);
}

TEST(EmulatedBits, TablesOfThreeInputs) {
    const auto [a, b, c] = operands_of<u32, 3>({0xf0f0f0f0u, 0xccccccccu, 0xaaaaaaaau, 0x12345678u}, 32);
    for (const u32 table : {0u, 0xffu, 0x96u, 0xe8u, 0x80u, 0xfeu, 0x01u, 0x3fu, 0xd8u, 0x6au}) {
        const auto lut = [=](u32 x, u32 y, u32 z) {
            return from_bits<u32>(
                [&](u32 i) { return bit(table, bit(x, i) * 4u + bit(y, i) * 2u + bit(z, i)); });
        };
        expect_elementwise<u32>(fmt::format("lop3.b32 %d, %a, %b, %c, {};", table), lut, a, b, c);
        // The predicate is (d != 0) with q.
        const std::string with_predicate =
            "setp.lt.u32 %q, %a, %b; lop3.{}.b32 {}|%p, %a, %b, %c, {}, {}%q; {}";
        const std::string select = "selp.u32 %d, 1, 0, %p;";
        const std::string keep = "selp.u32 %x0, 1, 0, %p; xor.b32 %d, %x1, %x0;";
        expect_elementwise<u32>(
            fmt::format(fmt::runtime(with_predicate), "or", "_", table, "", select),
            [&](u32 x, u32 y, u32 z) { return u32{lut(x, y, z) != 0 || x < y}; }, a, b, c);
        expect_elementwise<u32>(
            fmt::format(fmt::runtime(with_predicate), "and", "%x1", table, "!", keep),
            [&](u32 x, u32 y, u32 z) {
                const u32 d = lut(x, y, z);
                return d ^ u32 { d != 0 && !(x < y) };
            },
            a, b, c);
    }
}

TEST(EmulatedBits, PermutedBytes) {
    const u32 x = 0x83020100u, y = 0x87868504u;
    std::vector<u32> selectors = {0x3210u, 0x7654u, 0x0123u, 0xba98u,
                                  0xfedcu, 0x8888u, 0x0f0fu, 0xffff0000u | 0x4567u};
    for (u32 k = 0; k < 4; ++k) selectors.push_back(0xabcd0000u | k);
    const std::vector<u32> a(selectors.size(), x), b(selectors.size(), y);
    const auto byte = [=](u32 index) { return (index < 4 ? x >> 8 * index : y >> 8 * (index - 4)) & 0xffu; };
    const auto four = [&](auto index) {
        u32 result = 0;
        for (u32 k = 0; k < 4; ++k) result |= byte(index(k)) << 8 * k;
        return result;
    };
    expect_elementwise<u32>(
        "prmt.b32 %d, %a, %b, %c;",
        [&](u32, u32, u32 s) {
            u32 result = 0;
            for (u32 k = 0; k < 4; ++k) {
                const u32 value = byte(s >> 4 * k & 7u);
                const bool wants_sign = bit(s, 4 * k + 3);
                result |= (wants_sign ? (bit(value, 7) ? 0xffu : 0u) : value) << 8 * k;
            }
            return result;
        },
        a, b, selectors);
    // The tables of PTX ISA 9.7.9.7: source bytes from the lowest up, for each of the four selectors.
    struct Mode {
        const char* name;
        u32 bytes[4];  // four nibbles, the lowest byte's last
    };
    for (const Mode& mode :
         {Mode{"f4e", {0x3210, 0x4321, 0x5432, 0x6543}}, Mode{"b4e", {0x5670, 0x6701, 0x7012, 0x0123}},
          Mode{"rc8", {0x0000, 0x1111, 0x2222, 0x3333}}, Mode{"ecl", {0x3210, 0x3211, 0x3222, 0x3333}},
          Mode{"ecr", {0x0000, 0x1110, 0x2210, 0x3210}}, Mode{"rc16", {0x1010, 0x3232, 0x1010, 0x3232}}}) {
        expect_elementwise<u32>(
            fmt::format("prmt.b32.{} %d, %a, %b, %c;", mode.name),
            [&](u32, u32, u32 s) { return four([&](u32 k) { return mode.bytes[s & 3u] >> 4 * k & 7u; }); }, a,
            b, selectors);
    }
}

}  // namespace
}  // namespace warpwright::emulator
