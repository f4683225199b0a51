// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic, PTX ISA 9.7.1, for each SIMD level. Signed values wrap as unsigned ones do.
#include "emulator/execute/lanewise.inl"

template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T>
WW_LANE T add(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b));
}
template <class T>
WW_LANE T sub(T a, T b) {
    return static_cast<T>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b));
}
WW_LANE i32 saturated(i64 value) {
    constexpr i64 kMin = -0x80000000ll, kMax = 0x7fffffffll;
    return static_cast<i32>(value < kMin ? kMin : value > kMax ? kMax : value);
}
WW_LANE i32 add_saturated(i32 a, i32 b) {
    return saturated(i64{a} + b);
}
WW_LANE i32 sub_saturated(i32 a, i32 b) {
    return saturated(i64{a} - b);
}

// The product in twice the bits.
template <class T>
struct Twice;
template <>
struct Twice<u16> {
    using type = u32;
};
template <>
struct Twice<i16> {
    using type = i32;
};
template <>
struct Twice<u32> {
    using type = u64;
};
template <>
struct Twice<i32> {
    using type = i64;
};
template <>
struct Twice<u64> {
    using type = unsigned __int128;
};
template <>
struct Twice<i64> {
    using type = __int128;
};
template <class T>
WW_LANE typename Twice<T>::type mul_wide(T a, T b) {
    using Wide = typename Twice<T>::type;
    return static_cast<Wide>(a) * static_cast<Wide>(b);
}
template <class T>
WW_LANE T mul_lo(T a, T b) {
    // Types below int would be multiplied as int, and 0xffff squared is beyond it.
    using Wide = std::conditional_t<sizeof(T) == 2, u32, Unsigned<T>>;
    return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b));
}
template <class T>
WW_LANE T mul_hi(T a, T b) {
    return static_cast<T>(mul_wide(a, b) >> (sizeof(T) * 8));
}
template <class T>
WW_LANE T mad_lo(T a, T b, T c) {
    return add(mul_lo(a, b), c);
}
template <class T>
WW_LANE T mad_hi(T a, T b, T c) {
    return add(mul_hi(a, b), c);
}
template <class T>
WW_LANE typename Twice<T>::type mad_wide(T a, T b, typename Twice<T>::type c) {
    return add(mul_wide(a, b), c);
}

template <class T>
WW_LANE T abs(T a) {
    return a < 0 ? static_cast<T>(Unsigned<T>{0} - static_cast<Unsigned<T>>(a)) : a;
}
template <class T>
WW_LANE T neg(T a) {
    return static_cast<T>(Unsigned<T>{0} - static_cast<Unsigned<T>>(a));
}
template <class T>
WW_LANE T min(T a, T b) {
    return a < b ? a : b;
}
template <class T>
WW_LANE T max(T a, T b) {
    return a > b ? a : b;
}
template <class T>
WW_LANE T min_relu(T a, T b) {
    return max<T>(min(a, b), 0);
}
template <class T>
WW_LANE T max_relu(T a, T b) {
    return max<T>(max(a, b), 0);
}

#define WW_FORM(opcode, modifiers, ...) Lanewise<__VA_ARGS__>::form(opcode, modifiers)
// An operation on all types, and on those for which the sign does not matter.
#define WW_ALL(opcode, prefix, f)                                                       \
    WW_FORM(opcode, prefix ".u32", f<u32>), WW_FORM(opcode, prefix ".s32", f<i32>),     \
        WW_FORM(opcode, prefix ".u64", f<u64>), WW_FORM(opcode, prefix ".s64", f<i64>), \
        WW_FORM(opcode, prefix ".u16", f<u16>), WW_FORM(opcode, prefix ".s16", f<i16>)
#define WW_UNSIGNED(opcode, prefix, f)                                                          \
    WW_FORM(opcode, prefix ".{u32,s32}", f<u32>), WW_FORM(opcode, prefix ".{u64,s64}", f<u64>), \
        WW_FORM(opcode, prefix ".{u16,s16}", f<u16>)
#define WW_SIGNED(opcode, prefix, f)                                                \
    WW_FORM(opcode, prefix ".s32", f<i32>), WW_FORM(opcode, prefix ".s64", f<i64>), \
        WW_FORM(opcode, prefix ".s16", f<i16>)
#define WW_NARROW(opcode, prefix, f)                                                \
    WW_FORM(opcode, prefix ".u32", f<u32>), WW_FORM(opcode, prefix ".s32", f<i32>), \
        WW_FORM(opcode, prefix ".u16", f<u16>), WW_FORM(opcode, prefix ".s16", f<i16>)

constexpr Form kForms[] = {
    WW_UNSIGNED("add", "", add),
    WW_FORM("add", ".sat.s32", add_saturated),
    PairLanewise<add<u16>>::form("add", ".{u16x2,s16x2}"),
    WW_UNSIGNED("sub", "", sub),
    WW_FORM("sub", ".sat.s32", sub_saturated),
    WW_UNSIGNED("mul", ".lo", mul_lo),
    WW_ALL("mul", ".hi", mul_hi),
    WW_NARROW("mul", ".wide", mul_wide),
    WW_UNSIGNED("mad", ".lo", mad_lo),
    WW_ALL("mad", ".hi", mad_hi),
    WW_NARROW("mad", ".wide", mad_wide),
    WW_SIGNED("abs", "", abs),
    WW_SIGNED("neg", "", neg),
    WW_ALL("min", "", min),
    WW_FORM("min", ".relu.s32", min_relu<i32>),
    PairLanewise<min<u16>>::form("min", ".u16x2"),
    PairLanewise<min<i16>>::form("min", ".s16x2"),
    PairLanewise<min_relu<i16>>::form("min", ".relu.s16x2"),
    WW_ALL("max", "", max),
    WW_FORM("max", ".relu.s32", max_relu<i32>),
    PairLanewise<max<u16>>::form("max", ".u16x2"),
    PairLanewise<max<i16>>::form("max", ".s16x2"),
    PairLanewise<max_relu<i16>>::form("max", ".relu.s16x2"),
};

// Quotient and remainder. What a lane divides by zero is all ones, as on hardware; above CheckLevel::off it
// is a finding instead.
template <class T, bool wants_rest>
Flow divide(Warp& warp, const Instruction& i, u32 active) {
    const auto* const a = warp.lanes<WordOf<T>>(i.slot[1]);
    const auto* const b = warp.lanes<WordOf<T>>(i.slot[2]);
    const u32 zero = mask_lanes([&](int l) { return LaneType<T>::from(b[l]) == 0; }) & active;
    if (zero != 0 && warp.level() != CheckLevel::off) return divided_by_zero(warp, i, zero);
    auto* const out = warp.lanes<WordOf<T>>(i.slot[0]);
    const auto lane = [&](int l) {
        const T x = LaneType<T>::from(a[l]), y = LaneType<T>::from(b[l]);
        const T divisor = y == 0 ? T{1} : y;
        T quotient;
        if constexpr (sizeof(T) == 8) {
            // INT64_MIN / -1 wraps.
            quotient = std::is_signed_v<T> && divisor == static_cast<T>(-1) ? neg(static_cast<i64>(x))
                                                                            : static_cast<T>(x / divisor);
        } else {
            // Exact: the quotient of two numbers below 2^32 is no nearer to the next integer than 2^-32.
            quotient =
                static_cast<T>(static_cast<i64>(static_cast<double>(x) / static_cast<double>(divisor)));
        }
        const T result = wants_rest ? sub(x, mul_lo(quotient, divisor)) : quotient;
        return LaneType<T>::to(y == 0 ? static_cast<T>(-1) : result);
    };
    if constexpr (sizeof(T) == 8)
        store_each_lane(out, active, lane);
    else
        store_lanes_long(out, active, lane);
    return Flow::next;
}
#define WW_DIVIDE(opcode, type, T, wants_rest)                         \
    Form {                                                             \
        opcode, type, &divide<T, wants_rest>, LaneType<T>::kType, 2, { \
            LaneType<T>::kType, LaneType<T>::kType                     \
        }                                                              \
    }
#define WW_DIVIDE_ALL(opcode, wants_rest)                                                       \
    WW_DIVIDE(opcode, ".u32", u32, wants_rest), WW_DIVIDE(opcode, ".s32", i32, wants_rest),     \
        WW_DIVIDE(opcode, ".u64", u64, wants_rest), WW_DIVIDE(opcode, ".s64", i64, wants_rest), \
        WW_DIVIDE(opcode, ".u16", u16, wants_rest), WW_DIVIDE(opcode, ".s16", i16, wants_rest)
constexpr Form kDivisions[] = {WW_DIVIDE_ALL("div", false), WW_DIVIDE_ALL("rem", true)};

#undef WW_FORM
#undef WW_ALL
#undef WW_UNSIGNED
#undef WW_SIGNED
#undef WW_NARROW
#undef WW_DIVIDE
#undef WW_DIVIDE_ALL
