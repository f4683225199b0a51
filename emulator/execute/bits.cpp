// SPDX-License-Identifier: Apache-2.0
// Logic, shifts and bit fields, PTX ISA 9.7.1.14 to 9.7.1.22 and 9.7.8.
#include <array>

#include "emulator/decode/binding.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

#define WW_SIMD_FILE "emulator/execute/bits.inl"
#include "emulator/execute/each_simd_level.inl"

// What no inner loop has, for every CPU alike.
namespace rare {
#include "emulator/execute/lanewise.inl"

// The highest bit that is not the sign; all ones when there is none.
template <class T, bool is_shift_amount>
u32 bfind(T a) {
    using U = std::make_unsigned_t<T>;
    constexpr int kBits = sizeof(T) * 8;
    const U bits = static_cast<U>(a < 0 ? ~a : a);
    if (bits == 0) return ~0u;
    const int position = kBits - 1 - std::countl_zero(bits);
    return static_cast<u32>(is_shift_amount ? kBits - 1 - position : position);
}

// The |offset|-th set bit of the mask counted from `base`, upwards or downwards; with offset 0 the bit at
// base itself.
u32 fns(u32 mask, u32 base, i32 offset) {
    u32 left = offset < 0 ? 0u - static_cast<u32>(offset) : offset == 0 ? 1u : static_cast<u32>(offset);
    if (base > 31) return ~0u;
    if (offset == 0) return (mask >> base & 1u) != 0 ? base : ~0u;
    for (int position = static_cast<int>(base); position >= 0 && position < 32;
         position += offset < 0 ? -1 : 1) {
        if ((mask >> position & 1u) != 0 && --left == 0) return static_cast<u32>(position);
    }
    return ~0u;
}

template <class T, bool wraps>
T szext(T a, u32 b) {
    const u32 length = wraps ? b & 31u : b;
    const u32 low = static_cast<u32>(a) & baseline::low_mask<u32>(length);
    if (length == 0) return 0;
    if (length >= 32) return a;
    if constexpr (std::is_signed_v<T>) return static_cast<i32>(low << (32 - length)) >> (32 - length);
    return static_cast<T>(low);
}
template <bool wraps>
u32 bmsk(u32 a, u32 b) {
    const u32 position = wraps ? a & 31u : a, length = wraps ? b & 31u : b;
    return baseline::shl(baseline::low_mask<u32>(length), position);
}

// The modes of prmt: bytes of {b, a} by the two low bits of the selector.
u32 byte_of(u32 a, u32 b, u32 index) {
    return static_cast<u32>((static_cast<u64>(b) << 32 | a) >> 8 * (index & 7u)) & 0xffu;
}
template <class F>
u32 four_bytes(u32 a, u32 b, F index) {
    u32 result = 0;
    for (u32 k = 0; k < 4; ++k) result |= byte_of(a, b, index(k)) << 8 * k;
    return result;
}
u32 prmt_f4e(u32 a, u32 b, u32 c) {  // forward four extract
    return four_bytes(a, b, [&](u32 k) { return (c & 3u) + k; });
}
u32 prmt_b4e(u32 a, u32 b, u32 c) {  // backward
    return four_bytes(a, b, [&](u32 k) { return (c & 3u) + 8u - k; });
}
u32 prmt_rc8(u32 a, u32 b, u32 c) {  // replicate 8
    return four_bytes(a, b, [&](u32) { return c & 3u; });
}
u32 prmt_ecl(u32 a, u32 b, u32 c) {  // edge clamp left
    return four_bytes(a, b, [&](u32 k) { return k > (c & 3u) ? k : c & 3u; });
}
u32 prmt_ecr(u32 a, u32 b, u32 c) {  // edge clamp right
    return four_bytes(a, b, [&](u32 k) { return k < (c & 3u) ? k : c & 3u; });
}
u32 prmt_rc16(u32 a, u32 b, u32 c) {  // replicate 16
    return four_bytes(a, b, [&](u32 k) { return 2u * (c & 1u) + (k & 1u); });
}

#define WW_FORM(opcode, modifiers, ...) Lanewise<__VA_ARGS__, LaneLoop::each>::form(opcode, modifiers)
constexpr Form kForms[] = {
    WW_FORM("bfind", ".u32", bfind<u32, false>),
    WW_FORM("bfind", ".s32", bfind<i32, false>),
    WW_FORM("bfind", ".u64", bfind<u64, false>),
    WW_FORM("bfind", ".s64", bfind<i64, false>),
    WW_FORM("bfind", ".shiftamt.u32", bfind<u32, true>),
    WW_FORM("bfind", ".shiftamt.s32", bfind<i32, true>),
    WW_FORM("bfind", ".shiftamt.u64", bfind<u64, true>),
    WW_FORM("bfind", ".shiftamt.s64", bfind<i64, true>),
    WW_FORM("fns", ".b32", fns),
    WW_FORM("szext", ".clamp.u32", szext<u32, false>),
    WW_FORM("szext", ".clamp.s32", szext<i32, false>),
    WW_FORM("szext", ".wrap.u32", szext<u32, true>),
    WW_FORM("szext", ".wrap.s32", szext<i32, true>),
    WW_FORM("bmsk", ".clamp.b32", bmsk<false>),
    WW_FORM("bmsk", ".wrap.b32", bmsk<true>),
    WW_FORM("prmt", ".b32.f4e", prmt_f4e),
    WW_FORM("prmt", ".b32.b4e", prmt_b4e),
    WW_FORM("prmt", ".b32.rc8", prmt_rc8),
    WW_FORM("prmt", ".b32.ecl", prmt_ecl),
    WW_FORM("prmt", ".b32.ecr", prmt_ecr),
    WW_FORM("prmt", ".b32.rc16", prmt_rc16),
};
#undef WW_FORM

// lop3.BoolOp d|p, a, b, c, table, q: the predicate is (d != 0) BoolOp q. detail[1]: .and instead of .or.
// detail[2]: the handler of lop3, by level; flag[0]: q is negated.
template <Handler lop3>
Flow lop3_with_predicate(Warp& warp, const Instruction& i, u32 active) {
    lop3(warp, i, active);
    const u32* const d = warp.lanes<u32>(i.slot[0]);
    const u32 is_set = mask_lanes([&](int l) { return d[l] != 0; });
    const u32 q = warp.predicate(i.predicate[1]) ^ (i.flag[0] ? kAllLanes : 0u);
    u32& p = warp.predicate(i.predicate[0]);
    p = merge_lanes(p, i.detail[1] != 0 ? is_set & q : is_set | q, active);
    return Flow::next;
}
}  // namespace rare

Status bind_bits(Binding& b) {
    return bind_form(
        b, {at_level<std::span<const Form>>(baseline::kForms, avx2::kForms, avx512::kForms), rare::kForms});
}

Status bind_lop3(Binding& b) {
    const std::string_view combine = b.take_one_of({"or", "and"});
    if (!b.take("b32")) b.error("expected .b32");
    Instruction& i = b.instruction();
    const Operand& d = b.operand(0);
    if (combine.empty()) {
        b.dest(d, Type::b32);
        b.handler(at_level<Handler>(baseline::lop3, avx2::lop3, avx512::lop3));
    } else {
        if (d.kind != Operand::Kind::pair || d.elements.size() != 2)
            return caller_error("expected two destinations, d|p");
        b.dest(d.elements[0], Type::b32);
        b.dest_predicate(d.elements[1]);
        b.source_predicate(b.operand(5), &i.flag[0]);
        i.detail[1] = combine == "and" ? 1 : 0;
        b.handler(at_level<Handler>(rare::lop3_with_predicate<baseline::lop3>,
                                    rare::lop3_with_predicate<avx2::lop3>,
                                    rare::lop3_with_predicate<avx512::lop3>));
    }
    for (int k = 1; k <= 3; ++k) b.source(k, Type::b32);
    const i64 table = b.immediate(b.operand(4));
    if (table < 0 || table > 255) b.error("expected a table of 8 bits");
    i.detail[0] = static_cast<i32>(table & 0xff);
    return {};
}

}  // namespace

std::span<const Opcode> bit_opcodes() {
    const auto forms = [](std::string_view opcode) {
        return forms_text(opcode, {baseline::kForms, rare::kForms});
    };
    static const std::array list = {
        Opcode{"popc", bind_bits, "9.7.1.14", forms("popc")},
        Opcode{"clz", bind_bits, "9.7.1.15", forms("clz")},
        Opcode{"bfind", bind_bits, "9.7.1.16", forms("bfind")},
        Opcode{"fns", bind_bits, "9.7.1.17", forms("fns")},
        Opcode{"brev", bind_bits, "9.7.1.18", forms("brev")},
        Opcode{"bfe", bind_bits, "9.7.1.19", forms("bfe")},
        Opcode{"bfi", bind_bits, "9.7.1.20", forms("bfi")},
        Opcode{"szext", bind_bits, "9.7.1.21", forms("szext")},
        Opcode{"bmsk", bind_bits, "9.7.1.22", forms("bmsk")},
        Opcode{"and", bind_bits, "9.7.8.1", forms("and")},
        Opcode{"or", bind_bits, "9.7.8.2", forms("or")},
        Opcode{"xor", bind_bits, "9.7.8.3", forms("xor")},
        Opcode{"not", bind_bits, "9.7.8.4", forms("not")},
        Opcode{"cnot", bind_bits, "9.7.8.5", forms("cnot")},
        Opcode{"lop3", bind_lop3, "9.7.8.6", ".b32 .{or,and}.b32"},
        Opcode{"shf", bind_bits, "9.7.8.7", forms("shf")},
        Opcode{"shl", bind_bits, "9.7.8.8", forms("shl")},
        Opcode{"shr", bind_bits, "9.7.8.9", forms("shr")},
        Opcode{"prmt", bind_bits, "9.7.9.7", forms("prmt")},
    };
    return list;
}

}  // namespace warpwright::emulator
