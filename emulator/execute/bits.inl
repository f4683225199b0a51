// SPDX-License-Identifier: Apache-2.0
// Logic, shifts and bit fields, PTX ISA 9.7.1 and 9.7.8, for each SIMD level.
#include "emulator/execute/lanewise.inl"

template <class T>
WW_LANE T bit_and(T a, T b) {
    return a & b;
}
template <class T>
WW_LANE T bit_or(T a, T b) {
    return a | b;
}
template <class T>
WW_LANE T bit_xor(T a, T b) {
    return a ^ b;
}
template <class T>
WW_LANE T bit_not(T a) {
    return static_cast<T>(~a);
}
template <class T>
WW_LANE T logical_not(T a) {
    return a == 0 ? 1 : 0;
}

// Counts beyond the width act as the width.
template <class T>
WW_LANE T shl(T a, u32 count) {
    constexpr u32 kBits = sizeof(T) * 8;
    const T shifted = static_cast<T>(a << (count & (kBits - 1)));
    return count < kBits ? shifted : T{0};
}
template <class T>
WW_LANE T shr(T a, u32 count) {
    constexpr u32 kBits = sizeof(T) * 8;
    if constexpr (std::is_signed_v<T>) return static_cast<T>(a >> (count < kBits ? count : kBits - 1));
    const T shifted = static_cast<T>(a >> (count & (kBits - 1)));
    return count < kBits ? shifted : T{0};
}

// The funnel: b above a, shifted by c.
WW_LANE u32 funnel_left(u32 a, u32 b, u32 count) {  // 0 <= count <= 32
    const u64 value = static_cast<u64>(b) << 32 | a;
    return static_cast<u32>(value << (count & 63u) >> 32);
}
WW_LANE u32 funnel_right(u32 a, u32 b, u32 count) {
    const u64 value = static_cast<u64>(b) << 32 | a;
    return static_cast<u32>(value >> (count & 63u));
}
WW_LANE u32 shf_l_wrap(u32 a, u32 b, u32 c) {
    return funnel_left(a, b, c & 31u);
}
WW_LANE u32 shf_l_clamp(u32 a, u32 b, u32 c) {
    return funnel_left(a, b, c < 32 ? c : 32);
}
WW_LANE u32 shf_r_wrap(u32 a, u32 b, u32 c) {
    return funnel_right(a, b, c & 31u);
}
WW_LANE u32 shf_r_clamp(u32 a, u32 b, u32 c) {
    return funnel_right(a, b, c < 32 ? c : 32);
}

template <class T>
WW_LANE u32 popc(T a) {
    return static_cast<u32>(std::popcount(a));
}
template <class T>
WW_LANE u32 clz(T a) {
    return static_cast<u32>(std::countl_zero(a));
}
// Halves, quarters... change places; the bytes at the end are swapped by one instruction.
WW_LANE u32 brev32(u32 a) {
    a = (a >> 1 & 0x55555555u) | (a & 0x55555555u) << 1;
    a = (a >> 2 & 0x33333333u) | (a & 0x33333333u) << 2;
    a = (a >> 4 & 0x0f0f0f0fu) | (a & 0x0f0f0f0fu) << 4;
    a = (a >> 8 & 0x00ff00ffu) | (a & 0x00ff00ffu) << 8;
    return a >> 16 | a << 16;
}
WW_LANE u64 brev64(u64 a) {
    return static_cast<u64>(brev32(static_cast<u32>(a))) << 32 | brev32(static_cast<u32>(a >> 32));
}

// Position and length are their low 8 bits; but of 64-bit forms Hopper takes a whole length, of which PTX ISA
// says that it is below 256.
template <class T>
WW_LANE u32 field_length(u32 length) {
    return sizeof(T) == 8 ? length : length & 0xffu;
}
template <class T>
WW_LANE T low_mask(u32 length) {
    constexpr u32 kBits = sizeof(T) * 8;
    return length >= kBits ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << (length & (kBits - 1))) - 1);
}
template <class T>
WW_LANE T bfi(T a, T b, u32 c, u32 d) {
    constexpr u32 kBits = sizeof(T) * 8;
    const u32 position = c & 0xffu, length = field_length<T>(d);
    const T mask = shl(low_mask<T>(length), position);
    const T inserted = shl(a, position);
    return position < kBits ? static_cast<T>((b & ~mask) | (inserted & mask)) : b;
}
template <class T>
WW_LANE T bfe_unsigned(T a, u32 b, u32 c) {
    return shr(a, b & 0xffu) & low_mask<T>(field_length<T>(c));
}
// What lies above the operand's top bit is its sign, and so is the result's part above the field's top bit.
template <class T>
WW_LANE T bfe_signed(T a, u32 b, u32 c) {
    using U = std::make_unsigned_t<T>;
    constexpr u32 kBits = sizeof(T) * 8;
    const u32 position = b & 0xffu, length = field_length<T>(c);
    const T shifted = shr(a, position);
    const u32 unused = length < kBits ? kBits - length : 0;
    const T field = shr(static_cast<T>(shl(static_cast<U>(shifted), unused)), unused);
    return length == 0 ? T{0} : field;
}

// lop3: the table's bit (a, b, c) for each of the bits; detail[0] is the table.
static Flow lop3(Warp& warp, const Instruction& i, u32 active) {
    const u32* const a = warp.lanes<u32>(i.slot[1]);
    const u32* const b = warp.lanes<u32>(i.slot[2]);
    const u32* const c = warp.lanes<u32>(i.slot[3]);
    const auto table = static_cast<u32>(i.detail[0]);
    const auto all = [&](int bit) { return 0u - (table >> bit & 1u); };
    const u32 t0 = all(0), t1 = all(1), t2 = all(2), t3 = all(3), t4 = all(4), t5 = all(5), t6 = all(6),
              t7 = all(7);
    const auto choose = [](u32 which, u32 if_set, u32 if_clear) {
        return (which & if_set) | (~which & if_clear);
    };
    store_lanes_long(warp.lanes<u32>(i.slot[0]), active, [&](int l) {
        return choose(a[l], choose(b[l], choose(c[l], t7, t6), choose(c[l], t5, t4)),
                      choose(b[l], choose(c[l], t3, t2), choose(c[l], t1, t0)));
    });
    return Flow::next;
}

// prmt without a mode: detail[0] is not used, the selector is a source.
WW_LANE u32 prmt(u32 a, u32 b, u32 selector) {
    const u64 bytes = static_cast<u64>(b) << 32 | a;
    u32 result = 0;
    for (u32 k = 0; k < 4; ++k) {
        const u32 nibble = selector >> 4 * k & 0xfu;
        const u32 byte = static_cast<u32>(bytes >> 8 * (nibble & 7u)) & 0xffu;
        const u32 sign = 0u - (byte >> 7);  // a nibble's top bit asks for the sign instead
        result |= ((nibble & 8u) != 0 ? sign & 0xffu : byte) << 8 * k;
    }
    return result;
}

#define WW_FORM(opcode, modifiers, ...) Lanewise<__VA_ARGS__>::form(opcode, modifiers)
#define WW_BITS(opcode, f) \
    WW_FORM(opcode, ".b32", f<u32>), WW_FORM(opcode, ".b64", f<u64>), WW_FORM(opcode, ".b16", f<u16>)
constexpr Form kForms[] = {
    WW_BITS("and", bit_and),
    WW_BITS("or", bit_or),
    WW_BITS("xor", bit_xor),
    WW_BITS("not", bit_not),
    WW_BITS("cnot", logical_not),
    WW_BITS("shl", shl),
    WW_FORM("shr", ".{u32,b32}", shr<u32>),
    WW_FORM("shr", ".{u64,b64}", shr<u64>),
    WW_FORM("shr", ".{u16,b16}", shr<u16>),
    WW_FORM("shr", ".s32", shr<i32>),
    WW_FORM("shr", ".s64", shr<i64>),
    WW_FORM("shr", ".s16", shr<i16>),
    WW_FORM("shf", ".l.wrap.b32", shf_l_wrap),
    WW_FORM("shf", ".l.clamp.b32", shf_l_clamp),
    WW_FORM("shf", ".r.wrap.b32", shf_r_wrap),
    WW_FORM("shf", ".r.clamp.b32", shf_r_clamp),
    WW_FORM("popc", ".b32", popc<u32>),
    WW_FORM("popc", ".b64", popc<u64>),
    WW_FORM("clz", ".b32", clz<u32>),
    WW_FORM("clz", ".b64", clz<u64>),
    WW_FORM("brev", ".b32", brev32),
    WW_FORM("brev", ".b64", brev64),
    WW_FORM("bfi", ".b32", bfi<u32>),
    WW_FORM("bfi", ".b64", bfi<u64>),
    WW_FORM("bfe", ".u32", bfe_unsigned<u32>),
    WW_FORM("bfe", ".u64", bfe_unsigned<u64>),
    WW_FORM("bfe", ".s32", bfe_signed<i32>),
    WW_FORM("bfe", ".s64", bfe_signed<i64>),
    WW_FORM("prmt", ".b32", prmt),
};
#undef WW_FORM
#undef WW_BITS
