// SPDX-License-Identifier: Apache-2.0
// atom and red, against their definitions on single values.
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <thread>

#include "one_instruction.h"

namespace warpwright::emulator {
namespace {

using Function = std::function<u64(u64 old, u64 b, u64 c)>;

struct Operation {
    const char* name;  // "add.u32"
    int bytes;
    Function function;
};

// --- the definitions of half-precision arithmetic: by exact values, and by trying every result ---

double value_of(u32 bits, int mantissa_bits, int bias) {
    const int exponent = static_cast<int>(bits & 0x7fff) >> mantissa_bits;
    const int mantissa = static_cast<int>(bits) & ((1 << mantissa_bits) - 1);
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    if (exponent == 0x7fff >> mantissa_bits) return mantissa != 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

u32 nearest(double x, int mantissa_bits, int bias) {
    if (x != x) return 0x7fff;
    const u32 sign = std::signbit(x) ? 0x8000 : 0;
    const u32 infinity = 0x7fffu >> mantissa_bits << mantissa_bits;
    // Infinity stands for the number that would come next.
    u32 best = infinity;
    double distance = std::fabs(std::fabs(x) - std::ldexp(1, (0x7fff >> mantissa_bits) - bias));
    if (std::isinf(x)) return sign | infinity;
    for (u32 bits = infinity; bits-- > 0;) {
        const double d = std::fabs(std::fabs(x) - value_of(bits, mantissa_bits, bias));
        if (d < distance || (d == distance && bits % 2 == 0)) {
            best = bits;
            distance = d;
        }
    }
    return sign | best;
}

u64 add_half(u64 a, u64 b, int mantissa_bits, int bias) {
    const double x = value_of(static_cast<u32>(a), mantissa_bits, bias);
    const double y = value_of(static_cast<u32>(b), mantissa_bits, bias);
    return nearest(x + y, mantissa_bits, bias);
}
u64 extreme_half(u64 a, u64 b, int mantissa_bits, int bias, bool is_max) {
    const double x = value_of(static_cast<u32>(a), mantissa_bits, bias);
    const double y = value_of(static_cast<u32>(b), mantissa_bits, bias);
    if (x != x && y != y) return 0x7fff;
    if (x != x) return b;
    if (y != y) return a;
    if (x == y) return is_max == std::signbit(x) ? b : a;
    return (x < y) == is_max ? b : a;
}
u64 pairs(u64 a, u64 b, const std::function<u64(u64, u64)>& f) {
    return f(a & 0xffff, b & 0xffff) | f(a >> 16 & 0xffff, b >> 16 & 0xffff) << 16;
}

u64 add_f32(u64 a, u64 b, bool flushes) {
    const auto flush = [&](float x) {
        return flushes && std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x;
    };
    float x, y;
    std::memcpy(&x, &a, 4);
    std::memcpy(&y, &b, 4);
    const float sum = flush(flush(x) + flush(y));
    u32 bits;
    std::memcpy(&bits, &sum, 4);
    return sum != sum ? 0x7fffffffu : bits;
}
// Of NaNs global memory keeps the operand's and its own as they are; shared memory its own first, made quiet.
u64 add_f64(u64 a, u64 b, bool is_global) {
    double x, y;
    std::memcpy(&x, &a, 8);
    std::memcpy(&y, &b, 8);
    const u64 quiet = is_global ? 0 : u64{1} << 51;
    if (x != x && !(is_global && y != y)) return a | quiet;
    if (y != y) return b | quiet;
    const double sum = x + y;
    if (sum != sum) return 0xfff8'0000'0000'0000;
    u64 bits;
    std::memcpy(&bits, &sum, 8);
    return bits;
}

std::vector<Operation> operations(bool is_global) {
    const auto s32 = [](u64 x) { return static_cast<i64>(static_cast<i32>(x)); };
    const auto s64 = [](u64 x) { return static_cast<i64>(x); };
    std::vector<Operation> list = {
        {"and.b32", 4, [](u64 o, u64 b, u64) { return o & b; }},
        {"or.b32", 4, [](u64 o, u64 b, u64) { return o | b; }},
        {"xor.b32", 4, [](u64 o, u64 b, u64) { return o ^ b; }},
        {"and.b64", 8, [](u64 o, u64 b, u64) { return o & b; }},
        {"or.b64", 8, [](u64 o, u64 b, u64) { return o | b; }},
        {"xor.b64", 8, [](u64 o, u64 b, u64) { return o ^ b; }},
        {"exch.b32", 4, [](u64, u64 b, u64) { return b; }},
        {"exch.b64", 8, [](u64, u64 b, u64) { return b; }},
        {"cas.b16", 2, [](u64 o, u64 b, u64 c) { return o == b ? c : o; }},
        {"cas.b32", 4, [](u64 o, u64 b, u64 c) { return o == b ? c : o; }},
        {"cas.b64", 8, [](u64 o, u64 b, u64 c) { return o == b ? c : o; }},
        {"add.u32", 4, [](u64 o, u64 b, u64) { return o + b; }},
        {"add.s32", 4, [](u64 o, u64 b, u64) { return o + b; }},
        {"add.u64", 8, [](u64 o, u64 b, u64) { return o + b; }},
        {"inc.u32", 4, [](u64 o, u64 b, u64) { return o >= b ? 0 : o + 1; }},
        {"dec.u32", 4, [](u64 o, u64 b, u64) { return o == 0 || o > b ? b : o - 1; }},
        {"min.u32", 4, [](u64 o, u64 b, u64) { return std::min(o, b); }},
        {"max.u32", 4, [](u64 o, u64 b, u64) { return std::max(o, b); }},
        {"min.s32", 4, [=](u64 o, u64 b, u64) { return s32(o) < s32(b) ? o : b; }},
        {"max.s32", 4, [=](u64 o, u64 b, u64) { return s32(o) > s32(b) ? o : b; }},
        {"min.u64", 8, [](u64 o, u64 b, u64) { return std::min(o, b); }},
        {"max.u64", 8, [](u64 o, u64 b, u64) { return std::max(o, b); }},
        {"min.s64", 8, [=](u64 o, u64 b, u64) { return s64(o) < s64(b) ? o : b; }},
        {"max.s64", 8, [=](u64 o, u64 b, u64) { return s64(o) > s64(b) ? o : b; }},
        {"add.f32", 4, [=](u64 o, u64 b, u64) { return add_f32(o, b, is_global); }},
        {"add.f64", 8, [=](u64 o, u64 b, u64) { return add_f64(o, b, is_global); }},
        {"add.noftz.f16", 2, [](u64 o, u64 b, u64) { return add_half(o, b, 10, 15); }},
        {"add.noftz.bf16", 2, [](u64 o, u64 b, u64) { return add_half(o, b, 7, 127); }},
        {"add.noftz.f16x2", 4,
         [](u64 o, u64 b, u64) { return pairs(o, b, [](u64 x, u64 y) { return add_half(x, y, 10, 15); }); }},
        {"add.noftz.bf16x2", 4,
         [](u64 o, u64 b, u64) { return pairs(o, b, [](u64 x, u64 y) { return add_half(x, y, 7, 127); }); }},
    };
    return list;
}

u64 cut(u64 value, int bytes) {
    return bytes == 8 ? value : value & ((u64{1} << 8 * bytes) - 1);
}

// Values that meet often, and the edges of integers and of floats.
u64 operand(std::mt19937& random, const Operation& operation) {
    static const u64 kEdges[] = {0,
                                 1,
                                 2,
                                 0x7fff,
                                 0x8000,
                                 0xffff,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 0x7fffffffffffffff,
                                 0x8000000000000000,
                                 ~0ull};
    const std::string_view name = operation.name;
    if (name.ends_with("f32")) {
        static const float kFloats[] = {0.f,      -0.f,     1.f,        -1.f,       1e-39f,
                                        -3e-39f,  1.5e-38f, -1.2e-38f,  3e38f,      -3e38f,
                                        INFINITY, NAN,      1.0000001f, 16777216.f, 0.1f};
        u32 bits;
        std::memcpy(&bits, &kFloats[random() % std::size(kFloats)], 4);
        return bits;
    }
    if (name.ends_with("f64")) {
        static const double kDoubles[] = {0.,     -0.,   1.,  -1.,      1e-310,    1e308,
                                          -1e308, 1e308, 0.1, INFINITY, -INFINITY, 9007199254740992.};
        static constexpr u64 kNans[] = {0x7ff0'0000'0000'0001, 0xfff7'ffff'ffff'ffff, 0x7ff8'0000'0000'0002};
        if (random() % 16 == 0) return kNans[random() % std::size(kNans)];
        u64 bits;
        std::memcpy(&bits, &kDoubles[random() % std::size(kDoubles)], 8);
        return bits;
    }
    // Sums of bf16 are exact in a double where the exponents are not far apart.
    if (name.find("bf16") != std::string_view::npos) {
        const auto half = [&] { return (random() & 0x8fff) | 0x3000 | (random() % 8 == 0 ? 0x7f80 : 0); };
        return half() | half() << 16;
    }
    if (name.find("f16") != std::string_view::npos) return random();
    return random() % 2 == 0 ? random() % 4 : kEdges[random() % std::size(kEdges)];
}

// On `kPlaces` places that the lanes meet at.
void check(const Operation& operation, const char* space, bool returns, std::mt19937& random) {
    constexpr u64 kPlaces = 9;
    const bool is_cas = std::string_view(operation.name).starts_with("cas");
    const auto bytes = static_cast<u64>(operation.bytes);
    const char* registers = bytes == 8 ? "d" : bytes == 4 ? "r" : "h";
    GlobalMemory memory(0, 1 << 20);
    const u64 global = memory.allocate(kPlaces * bytes).value();
    const std::string text = fmt::format("{}{}.{} {}[%d9+8], %{}1{};", returns ? "atom" : "red", space,
                                         operation.name, returns ? fmt::format("%{}0, ", registers) : "",
                                         registers, is_cas ? fmt::format(", %{}2", registers) : "");
    OneInstruction one(text, {.memory = &memory, .shared_bytes = kPlaces * 8});
    ASSERT_EQ(one.load_error(), "") << text;
    const bool is_shared = std::string_view(space) == ".shared";
    const int address = returns ? 1 : 0;
    for (const u32 mask : {kAllLanes, 0x00f0'f00fu}) {
        std::vector<u64> model(kPlaces);
        for (u64 i = 0; i < kPlaces; ++i) {
            model[i] = cut(operand(random, operation), operation.bytes);
            ASSERT_TRUE(memory.write(global + i * bytes, &model[i], bytes).ok());
            std::memcpy(one.shared().data.get() + i * bytes, &model[i], bytes);
        }
        std::memset(one.shared().shadow.get(), kShadowWritten, kPlaces * 8);
        std::vector<u64> expected(32);
        // Operands may share a register with the result: all are set before any is looked at again.
        std::vector<u64> place(32);
        for (u64 l = 0; l < 32; ++l) {
            place[l] = random() % kPlaces;
            one.lanes<u64>(address)[l] = (is_shared ? kSharedStart : global) + place[l] * bytes - 8;
            u64 operands[2];
            for (int i = 0; i < 1 + is_cas; ++i) {
                operands[i] = cut(operand(random, operation), operation.bytes);
                if (bytes == 8)
                    one.lanes<u64>(address + 1 + i)[l] = operands[i];
                else  // what is above the type's bits does not count
                    one.lanes<u32>(address + 1 + i)[l] =
                        static_cast<u32>(operands[i]) | (bytes == 2 ? 0xabcd0000u : 0u);
            }
            if ((mask >> l & 1u) == 0) continue;
            expected[l] = model[place[l]];
            model[place[l]] = cut(operation.function(model[place[l]], operands[0], is_cas ? operands[1] : 0),
                                  operation.bytes);
        }
        const Flow flow = one.run(mask);
        ASSERT_TRUE(flow == Flow::next || flow == Flow::yield) << text;
        for (u64 i = 0; i < kPlaces; ++i) {
            u64 got = 0;
            ASSERT_TRUE(memory.read(global + i * bytes, &got, bytes).ok());
            if (is_shared) std::memcpy(&got, one.shared().data.get() + i * bytes, bytes);
            ASSERT_EQ(got, model[i]) << text << " place " << i;
        }
        if (!returns) continue;
        for (u64 l = 0; l < 32; ++l) {
            if ((mask >> l & 1u) == 0) continue;
            const u64 got = bytes == 8 ? one.lanes<u64>(0)[l] : one.lanes<u32>(0)[l];
            ASSERT_EQ(cut(got, operation.bytes), expected[l]) << text << " lane " << l;
        }
    }
}

TEST(Atomics, EveryOperationWithLanesThatMeet) {
    std::mt19937 random(3);
    for (const char* space : {".global", ".shared", ""}) {
        for (const Operation& operation : operations(std::string_view(space) != ".shared")) {
            const std::string_view name = operation.name;
            const int rounds = name.find("f16") != std::string_view::npos ? 1 : 6;
            for (int i = 0; i < rounds; ++i) {
                check(operation, space, true, random);
                if (!name.starts_with("cas") && !name.starts_with("exch"))
                    check(operation, space, false, random);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST(Atomics, VectorsAreUpdatedElementByElement) {
    std::mt19937 random(4);
    struct Form {
        const char* text;  // of the operation
        int count, bytes;
        std::function<u64(u64, u64)> function;
    };
    const auto pairs_of = [](int mantissa, int bias, int what) {
        return [=](u64 o, u64 b) {
            return pairs(o, b, [=](u64 x, u64 y) {
                return what == 0 ? add_half(x, y, mantissa, bias)
                                 : extreme_half(x, y, mantissa, bias, what == 2);
            });
        };
    };
    const Form kForms[] = {
        {"add.v2.f32", 2, 4, [](u64 o, u64 b) { return add_f32(o, b, true); }},
        {"add.v4.f32", 4, 4, [](u64 o, u64 b) { return add_f32(o, b, true); }},
        {"add.noftz.v2.f16", 2, 2, [](u64 o, u64 b) { return add_half(o, b, 10, 15); }},
        {"min.noftz.v4.f16", 4, 2, [](u64 o, u64 b) { return extreme_half(o, b, 10, 15, false); }},
        {"max.noftz.v8.f16", 8, 2, [](u64 o, u64 b) { return extreme_half(o, b, 10, 15, true); }},
        {"min.noftz.v8.bf16", 8, 2, [](u64 o, u64 b) { return extreme_half(o, b, 7, 127, false); }},
        {"max.noftz.v2.bf16", 2, 2, [](u64 o, u64 b) { return extreme_half(o, b, 7, 127, true); }},
        {"add.noftz.v4.f16x2", 4, 4, pairs_of(10, 15, 0)},
        {"min.noftz.v2.f16x2", 2, 4, pairs_of(10, 15, 1)},
        {"max.noftz.v4.bf16x2", 4, 4, pairs_of(7, 127, 2)},
    };
    for (const Form& form : kForms) {
        for (const bool returns : {true, false}) {
            const char* registers = form.bytes == 2 ? "h" : "r";
            std::string to, from;
            for (int e = 0; e < form.count; ++e) {
                to += fmt::format("{}%{}{}", e == 0 ? "" : ", ", registers, e);
                from += fmt::format("{}%{}{}", e == 0 ? "" : ", ", registers, 8 + e);
            }
            GlobalMemory memory(0, 1 << 20);
            const u64 size = static_cast<u64>(form.count) * static_cast<u64>(form.bytes);
            const u64 base = memory.allocate(4 * size).value();
            std::vector<u8> bytes(4 * size);
            for (u8& byte : bytes) byte = static_cast<u8>(random());
            ASSERT_TRUE(memory.write(base, bytes.data(), bytes.size()).ok());
            const std::string text =
                returns ? fmt::format("atom.global.{} {{{}}}, [%d0], {{{}}};", form.text, to, from)
                        : fmt::format("red.relaxed.gpu.global.{} [%d0], {{{}}};", form.text, from);
            OneInstruction one(text, {.memory = &memory});
            ASSERT_EQ(one.load_error(), "") << text;
            const int address = returns ? form.count : 0;
            std::vector<u64> expected(32 * 8);
            for (u64 l = 0; l < 32; ++l) {
                const u64 at = l % 4 * size;
                one.lanes<u64>(address)[l] = base + at;
                for (int e = 0; e < form.count; ++e) {
                    const u64 b = cut(random(), form.bytes);
                    one.lanes<u32>(address + 1 + e)[l] = static_cast<u32>(b);
                    u64 old = 0;
                    u8* place = bytes.data() + at + static_cast<u64>(e * form.bytes);
                    std::memcpy(&old, place, static_cast<u64>(form.bytes));
                    expected[l * 8 + static_cast<u64>(e)] = old;
                    const u64 now = form.function(old, b);
                    std::memcpy(place, &now, static_cast<u64>(form.bytes));
                }
            }
            ASSERT_EQ(one.run(), Flow::next) << text;
            std::vector<u8> got(bytes.size());
            ASSERT_TRUE(memory.read(base, got.data(), got.size()).ok());
            EXPECT_EQ(got, bytes) << text;
            for (u64 l = 0; returns && l < 32; ++l) {
                for (int e = 0; e < form.count; ++e)
                    ASSERT_EQ(cut(one.lanes<u32>(e)[l], form.bytes), expected[l * 8 + static_cast<u64>(e)])
                        << text << " lane " << l << " element " << e;
            }
        }
    }
}

TEST(Atomics, SixteenBytes) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(32).value();
    ASSERT_TRUE(memory.fill(base, 0x11, 32).ok());
    const u64 ones = 0x1111'1111'1111'1111ull;
    struct Value {
        u64 low, high;
    };
    OneInstruction cas("atom.cas.b128 %q0, [%d0], %q1, %q2;", {.memory = &memory});
    ASSERT_EQ(cas.load_error(), "");
    for (u64 l = 0; l < 32; ++l) {
        cas.lanes<u64>(1)[l] = base + 16;
        cas.lanes<Value>(2)[l] = l == 0 ? Value{ones, ones + 1} : Value{ones, ones};
        cas.lanes<Value>(3)[l] = {l, 100 + l};
    }
    ASSERT_EQ(cas.run(1), Flow::yield);  // it changed nothing: let others run
    EXPECT_EQ(cas.lanes<Value>(0)[0].high, ones);
    ASSERT_EQ(cas.run(6), Flow::next);
    EXPECT_EQ(cas.lanes<Value>(0)[1].low, ones);
    EXPECT_EQ(cas.lanes<Value>(0)[2].low, 1u);
    EXPECT_EQ(cas.lanes<Value>(0)[2].high, 101u);
    OneInstruction exchange("atom.exch.global.b128 %q0, [%d0], %q1;", {.memory = &memory});
    exchange.lanes<u64>(1)[5] = base + 16;
    exchange.lanes<Value>(2)[5] = {7, 8};
    ASSERT_EQ(exchange.run(1u << 5), Flow::next);
    EXPECT_EQ(exchange.lanes<Value>(0)[5].high, 101u);
    Value got[2];
    ASSERT_TRUE(memory.read(base, got, 32).ok());
    EXPECT_EQ(got[0].low, ones);
    EXPECT_EQ(got[1].low, 7u);
    EXPECT_EQ(got[1].high, 8u);
}

TEST(Atomics, ThreadsLoseNothing) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(64).value();
    ASSERT_TRUE(memory.fill(base, 0, 64).ok());
    constexpr int kRounds = 2000;
    const auto work = [&] {
        OneInstruction add("red.global.add.u32 [%d0], %r0;", {.memory = &memory});
        OneInstruction add_float("atom.global.add.f32 %r1, [%d0], %r0;", {.memory = &memory});
        OneInstruction add_half("red.global.add.noftz.f16 [%d0], %h0;", {.memory = &memory});
        for (u64 l = 0; l < 32; ++l) {
            add.lanes<u64>(0)[l] = base;
            add.lanes<u32>(1)[l] = 1;
            add_half.lanes<u64>(0)[l] = base + 8 + l % 2 * 2;  // two in one word
            add_half.lanes<u32>(1)[l] = 0x3c00;
        }
        const u16 operand = add_float.instruction().slot[2];
        for (int i = 0; i < kRounds; ++i) {
            for (u64 l = 0; l < 32; ++l) {
                add_float.lanes<u64>(1)[l] = base + 4;
                add_float.warp().lanes<float>(operand)[l] = 1.f;
            }
            add.run();
            add_float.run();
            if (i < 16) add_half.run();
        }
    };
    std::thread one(work), two(work);
    one.join();
    two.join();
    struct {
        u32 count;
        float sum;
        u16 half[2];
    } got;
    ASSERT_TRUE(memory.read(base, &got, sizeof got).ok());
    EXPECT_EQ(got.count, 2u * 32 * kRounds);
    EXPECT_EQ(got.sum, 2.f * 32 * kRounds);
    EXPECT_EQ(got.half[0], 0x6000);  // 512
    EXPECT_EQ(got.half[1], 0x6000);
}

TEST(Atomics, Findings) {
    GlobalMemory memory(0, 1 << 20);
    const u64 base = memory.allocate(64).value();
    u32 array[4] = {};
    const u64 read_only = memory.import(array, sizeof array, true).value();
    const auto find = [&](u64 address, CheckLevel level) {
        OneInstruction one("atom.add.u32 %r0, [%d0], %r1;",
                           {.memory = &memory, .level = level, .local_bytes = 64, .param_bytes = 64});
        one.lanes<u64>(1)[3] = address;
        return one.find(8);
    };
    for (const CheckLevel level : {CheckLevel::off, CheckLevel::bounds, CheckLevel::all}) {
        EXPECT_EQ(find(base + 64, level).kind, FindingKind::out_of_bounds);
        EXPECT_EQ(find(base + 2, level).kind, FindingKind::misaligned);
        EXPECT_EQ(find(read_only, level).kind, FindingKind::read_only_written);
        EXPECT_EQ(find(kParamWindow, level).kind, FindingKind::read_only_written);
        EXPECT_EQ(find(kLocalWindow + kLocalStart, level).text,
                  "expected an address of global or shared memory");
    }
    EXPECT_EQ(find(base, CheckLevel::all).text,
              "4 of 4 bytes were never written, the first is byte 0 of allocation 1 of 64 bytes");
}

TEST(Atomics, FormsThatPtxHasNotAreErrors) {
    const std::string eight = "{%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}";
    const std::string wide = fmt::format("atom.global.add.v8.f32 {0}, [%d0], {0};", eight);
    for (const char* text :
         {"atom.global.add.b32 %r0, [%d0], %r1;", "atom.global.and.u32 %r0, [%d0], %r1;",
          "red.global.exch.b32 [%d0], %r1;", "red.global.cas.b32 [%d0], %r1, %r2;",
          "atom.global.add.f16 %h0, [%d0], %h1;", "atom.global.min.noftz.f16 %h0, [%d0], %h1;",
          "atom.shared.add.v2.f32 {%r0, %r1}, [%d0], {%r2, %r3};", "atom.local.add.u32 %r0, [%d0], %r1;",
          "atom.global.add.v2.u32 {%r0, %r1}, [%d0], {%r2, %r3};", wide.c_str(),
          "red.async.relaxed.cluster.global.add.u32 [%d0], %r0;"}) {
        OneInstruction one(text, {});
        EXPECT_NE(one.load_error(), "") << text;
    }
}

}  // namespace
}  // namespace warpwright::emulator
