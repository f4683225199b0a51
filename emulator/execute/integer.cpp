// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic, PTX ISA 9.7.1 and 9.7.2.
#include <algorithm>
#include <array>

#include "emulator/decode/binding.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

[[gnu::noinline]] Flow divided_by_zero(Warp& warp, const Instruction& instruction, u32 lanes) {
    return warp.report(FindingKind::division_by_zero, instruction, lanes, 0,
                       "expected a divisor that is not 0");
}

#define WW_SIMD_FILE "emulator/execute/integer.inl"
#include "emulator/execute/each_simd_level.inl"

// What no inner loop has, for every CPU alike.
namespace rare {
#include "emulator/execute/lanewise.inl"

u32 low24(u32 a) {
    return a & 0xffffffu;
}
i32 low24(i32 a) {
    return static_cast<i32>(static_cast<u32>(a) << 8) >> 8;
}
template <class T>
T mul24_lo(T a, T b) {
    return static_cast<T>(static_cast<u64>(static_cast<i64>(low24(a)) * low24(b)));
}
template <class T>
T mul24_hi(T a, T b) {  // bits 16 to 47 of the 48
    return static_cast<T>(static_cast<u64>(static_cast<i64>(low24(a)) * low24(b)) >> 16);
}
template <class T>
T mad24_lo(T a, T b, T c) {
    return baseline::add(mul24_lo(a, b), c);
}
template <class T>
T mad24_hi(T a, T b, T c) {
    return baseline::add(mul24_hi(a, b), c);
}
i32 mad24_hi_saturated(i32 a, i32 b, i32 c) {
    return baseline::add_saturated(mul24_hi(a, b), c);
}
i32 mad_hi_saturated(i32 a, i32 b, i32 c) {
    return baseline::add_saturated(baseline::mul_hi(a, b), c);
}
template <class T>
T sad(T a, T b, T c) {
    return baseline::add(c, a < b ? baseline::sub(b, a) : baseline::sub(a, b));
}

// Four bytes of a with four of b; with two halves of a for dp2a.
template <class A, class B>
u32 dot4(u32 a, u32 b, u32 c) {
    for (int k = 0; k < 4; ++k)
        c += static_cast<u32>(static_cast<A>(a >> 8 * k) * static_cast<B>(b >> 8 * k));
    return c;
}
template <class A, class B, int first>
u32 dot2(u32 a, u32 b, u32 c) {
    for (int k = 0; k < 2; ++k)
        c += static_cast<u32>(static_cast<A>(a >> 16 * k)) *
             static_cast<u32>(static_cast<B>(b >> 8 * (first + k)));
    return c;
}

#define WW_FORM(opcode, modifiers, ...) Lanewise<__VA_ARGS__, LaneLoop::each>::form(opcode, modifiers)
constexpr Form kForms[] = {
    WW_FORM("mul24", ".lo.u32", mul24_lo<u32>),
    WW_FORM("mul24", ".lo.s32", mul24_lo<i32>),
    WW_FORM("mul24", ".hi.u32", mul24_hi<u32>),
    WW_FORM("mul24", ".hi.s32", mul24_hi<i32>),
    WW_FORM("mad24", ".lo.u32", mad24_lo<u32>),
    WW_FORM("mad24", ".lo.s32", mad24_lo<i32>),
    WW_FORM("mad24", ".hi.u32", mad24_hi<u32>),
    WW_FORM("mad24", ".hi.s32", mad24_hi<i32>),
    WW_FORM("mad24", ".hi.sat.s32", mad24_hi_saturated),
    WW_FORM("mad", ".hi.sat.s32", mad_hi_saturated),
    WW_FORM("sad", ".u16", sad<u16>),
    WW_FORM("sad", ".s16", sad<i16>),
    WW_FORM("sad", ".u32", sad<u32>),
    WW_FORM("sad", ".s32", sad<i32>),
    WW_FORM("sad", ".u64", sad<u64>),
    WW_FORM("sad", ".s64", sad<i64>),
    WW_FORM("dp4a", ".u32.u32", dot4<u8, u8>),
    WW_FORM("dp4a", ".u32.s32", dot4<u8, i8>),
    WW_FORM("dp4a", ".s32.u32", dot4<i8, u8>),
    WW_FORM("dp4a", ".s32.s32", dot4<i8, i8>),
    WW_FORM("dp2a", ".lo.u32.u32", dot2<u16, u8, 0>),
    WW_FORM("dp2a", ".lo.u32.s32", dot2<u16, i8, 0>),
    WW_FORM("dp2a", ".lo.s32.u32", dot2<i16, u8, 0>),
    WW_FORM("dp2a", ".lo.s32.s32", dot2<i16, i8, 0>),
    WW_FORM("dp2a", ".hi.u32.u32", dot2<u16, u8, 2>),
    WW_FORM("dp2a", ".hi.u32.s32", dot2<u16, i8, 2>),
    WW_FORM("dp2a", ".hi.s32.u32", dot2<i16, u8, 2>),
    WW_FORM("dp2a", ".hi.s32.s32", dot2<i16, i8, 2>),
};
#undef WW_FORM

// --- extended precision: CC.CF in and out ---

enum class Carry : u8 { add, sub, mad_lo, mad_hi };

// detail[0]: carry comes in; detail[1]: and goes out. Of a subtraction the flag is the borrow.
template <class T, Carry operation>
Flow with_carry(Warp& warp, const Instruction& i, u32 active) {
    using Wide = unsigned __int128;
    constexpr int kBits = sizeof(T) * 8;
    constexpr bool is_mad = operation == Carry::mad_lo || operation == Carry::mad_hi;
    using U = std::make_unsigned_t<T>;
    const U* const a = warp.lanes<U>(i.slot[1]);
    const U* const b = warp.lanes<U>(i.slot[2]);
    const U* const c = is_mad ? warp.lanes<U>(i.slot[3]) : nullptr;
    u32 carry_out = 0;
    const u32 carry_in = i.detail[0] != 0 ? warp.carry : 0;
    store_each_lane(warp.lanes<U>(i.slot[0]), active, [&](int l) {
        Wide left = a[l], right = b[l];
        if constexpr (is_mad) {
            const auto x = static_cast<T>(a[l]), y = static_cast<T>(b[l]);
            left =
                static_cast<U>(operation == Carry::mad_lo ? baseline::mul_lo(x, y) : baseline::mul_hi(x, y));
            right = c[l];
        }
        const Wide in = carry_in >> l & 1u;
        const Wide result = operation == Carry::sub ? left - right - in : left + right + in;
        carry_out |= static_cast<u32>(result >> kBits & 1u) << l;
        return static_cast<U>(result);
    });
    if (i.detail[1] != 0) warp.carry = merge_lanes(warp.carry, carry_out, active);
    return Flow::next;
}
}  // namespace rare

Status bind_integer(Binding& b) {
    return bind_form(
        b, {at_level<std::span<const Form>>(baseline::kForms, avx2::kForms, avx512::kForms),
            at_level<std::span<const Form>>(baseline::kDivisions, avx2::kDivisions, avx512::kDivisions),
            rare::kForms});
}

// add.cc addc{.cc} sub.cc subc{.cc} mad{.lo,.hi}.cc madc{.lo,.hi}{.cc}
Status bind_carry(Binding& b) {
    using rare::Carry;
    const std::string_view opcode = b.statement().opcode;
    const auto& modifiers = b.statement().modifiers;
    const bool takes_carry = opcode.ends_with('c');
    const bool gives_carry = std::find(modifiers.begin(), modifiers.end(), "cc") != modifiers.end();
    if (!takes_carry && !gives_carry) return not_mine();
    b.take("cc");
    b.instruction().detail[0] = takes_carry ? 1 : 0;
    b.instruction().detail[1] = gives_carry ? 1 : 0;
    auto operation = opcode.starts_with("sub") ? Carry::sub : Carry::add;
    if (opcode.starts_with("mad")) {
        const std::string_view part = b.take_one_of({"lo", "hi"});
        if (part.empty()) b.error("expected .lo or .hi");
        operation = part == "hi" ? Carry::mad_hi : Carry::mad_lo;
    }
    WW_ASSIGN(const Type type, b.type());
    const auto pick = [&]<class T>(T) -> Handler {
        switch (operation) {
            case Carry::add: return &rare::with_carry<T, Carry::add>;
            case Carry::sub: return &rare::with_carry<T, Carry::sub>;
            case Carry::mad_lo: return &rare::with_carry<T, Carry::mad_lo>;
            case Carry::mad_hi: return &rare::with_carry<T, Carry::mad_hi>;
        }
        return nullptr;
    };
    switch (type) {
        case Type::u32: b.handler(pick(u32{})); break;
        case Type::s32: b.handler(pick(i32{})); break;
        case Type::u64: b.handler(pick(u64{})); break;
        case Type::s64: b.handler(pick(i64{})); break;
        default: return caller_error("expected .u32, .s32, .u64 or .s64");
    }
    b.dest(0, type);
    b.source(1, type);
    b.source(2, type);
    if (opcode.starts_with("mad")) b.source(3, type);
    return {};
}

}  // namespace

std::span<const Opcode> integer_opcodes() {
    const auto forms = [](std::string_view opcode) {
        return forms_text(opcode, {baseline::kForms, baseline::kDivisions, rare::kForms});
    };
    static const std::array list = {
        Opcode{"add", bind_integer, "9.7.1.1", forms("add")},
        Opcode{"sub", bind_integer, "9.7.1.2", forms("sub")},
        Opcode{"mul", bind_integer, "9.7.1.3", forms("mul")},
        Opcode{"mad", bind_integer, "9.7.1.4", forms("mad")},
        Opcode{"mul24", bind_integer, "9.7.1.5", forms("mul24")},
        Opcode{"mad24", bind_integer, "9.7.1.6", forms("mad24")},
        Opcode{"sad", bind_integer, "9.7.1.7", forms("sad")},
        Opcode{"div", bind_integer, "9.7.1.8", forms("div")},
        Opcode{"rem", bind_integer, "9.7.1.9", forms("rem")},
        Opcode{"abs", bind_integer, "9.7.1.10", forms("abs")},
        Opcode{"neg", bind_integer, "9.7.1.11", forms("neg")},
        Opcode{"min", bind_integer, "9.7.1.12", forms("min")},
        Opcode{"max", bind_integer, "9.7.1.13", forms("max")},
        Opcode{"dp4a", bind_integer, "9.7.1.23", forms("dp4a")},
        Opcode{"dp2a", bind_integer, "9.7.1.24", forms("dp2a")},
        Opcode{"add", bind_carry, "9.7.2.1", ".cc.{u32,s32,u64,s64}"},
        Opcode{"addc", bind_carry, "9.7.2.2", "{.cc}.{u32,s32,u64,s64}"},
        Opcode{"sub", bind_carry, "9.7.2.3", ".cc.{u32,s32,u64,s64}"},
        Opcode{"subc", bind_carry, "9.7.2.4", "{.cc}.{u32,s32,u64,s64}"},
        Opcode{"mad", bind_carry, "9.7.2.5", ".{lo,hi}.cc.{u32,s32,u64,s64}"},
        Opcode{"madc", bind_carry, "9.7.2.6", ".{lo,hi}{.cc}.{u32,s32,u64,s64}"},
    };
    return list;
}

}  // namespace warpwright::emulator
