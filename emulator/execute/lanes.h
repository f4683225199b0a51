// SPDX-License-Identifier: Apache-2.0
// C++ types of what stands in a lane, for elementwise handlers (lanes.inl): a function over them is all that
// an instruction needs, its operands' PTX types follow from its signature.
#pragma once

#include <bit>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "emulator/execute/formats.h"
#include "emulator/machine/warp.h"
#include "emulator/parse/module.h"

// Functions called from loops over lanes: a call left in the loop would keep it from being vectorised.
#define WW_LANE inline __attribute__((always_inline))

namespace warpwright::emulator {

// Values that have no C++ type of their own, as their bits; those above 16 are nobody's, as in a register.
struct F16 {
    u32 bits;
};
struct Bf16 {
    u32 bits;
};
template <class T>
struct Pair {  // packed: x2 types, `low` in the lower half
    T low, high;
};
using F16x2 = Pair<F16>;
using Bf16x2 = Pair<Bf16>;
using U16x2 = Pair<u16>;
using S16x2 = Pair<i16>;
using F32x2 = Pair<float>;

// How a T stands in the register file: Word is a lane's part of the register, `from` and `to` go between
// them.
template <class T>
struct LaneType;
template <class T, Type type>
struct IntegerLane {
    static constexpr Type kType = type;
    using Word = std::conditional_t<sizeof(T) == 8, u64, u32>;
    static constexpr WW_LANE T from(Word word) { return static_cast<T>(word); }
    static constexpr WW_LANE Word to(T value) { return static_cast<Word>(value); }
};
template <class T, class Bits, Type type>
struct FloatLane {
    static constexpr Type kType = type;
    using Word = Bits;
    static constexpr WW_LANE T from(Word word) { return std::bit_cast<T>(word); }
    static constexpr WW_LANE Word to(T value) { return std::bit_cast<Word>(value); }
};
template <class T, Type type>
struct HalfLane {
    static constexpr Type kType = type;
    using Word = u32;
    static constexpr WW_LANE T from(Word word) { return {word}; }
    static constexpr WW_LANE Word to(T value) { return value.bits; }
};
template <class T, int bits, Type type>
struct PairLane {
    static constexpr Type kType = type;
    using Half = LaneType<T>;
    using Word = std::conditional_t<bits == 32, u64, u32>;
    static constexpr WW_LANE Pair<T> from(Word word) {
        return {Half::from(static_cast<typename Half::Word>(word)),
                Half::from(static_cast<typename Half::Word>(word >> bits))};
    }
    static constexpr WW_LANE Word to(Pair<T> value) {
        constexpr Word kLow = (Word{1} << bits) - 1;
        const Word low = Half::to(value.low), high = Half::to(value.high);
        return (low & kLow) | high << bits;
    }
};

template <>
struct LaneType<u8> : IntegerLane<u8, Type::u8> {};
template <>
struct LaneType<u16> : IntegerLane<u16, Type::u16> {};
template <>
struct LaneType<i16> : IntegerLane<i16, Type::s16> {};
template <>
struct LaneType<u32> : IntegerLane<u32, Type::u32> {};
template <>
struct LaneType<i32> : IntegerLane<i32, Type::s32> {};
template <>
struct LaneType<u64> : IntegerLane<u64, Type::u64> {};
template <>
struct LaneType<i64> : IntegerLane<i64, Type::s64> {};
template <>
struct LaneType<float> : FloatLane<float, u32, Type::f32> {};
template <>
struct LaneType<double> : FloatLane<double, u64, Type::f64> {};
template <>
struct LaneType<F16> : HalfLane<F16, Type::f16> {};
template <>
struct LaneType<Bf16> : HalfLane<Bf16, Type::bf16> {};
template <>
struct LaneType<F16x2> : PairLane<F16, 16, Type::f16x2> {};
template <>
struct LaneType<Bf16x2> : PairLane<Bf16, 16, Type::bf16x2> {};
template <>
struct LaneType<U16x2> : PairLane<u16, 16, Type::u16x2> {};
template <>
struct LaneType<S16x2> : PairLane<i16, 16, Type::s16x2> {};
template <>
struct LaneType<F32x2> : PairLane<float, 32, Type::f32x2> {};

template <class T>
using WordOf = typename LaneType<T>::Word;

// The NaN that arithmetic of single precision returns, whatever NaN it was given.
constexpr WW_LANE float with_canonical_nan(float x) {
    return x == x ? x : float_of(kNanF32);
}
// .ftz: a subnormal number becomes a zero with its sign.
constexpr WW_LANE float flush(float x) {
    const u32 bits = float_bits(x);
    return float_of((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}
constexpr WW_LANE F16 flush(F16 x) {
    return {(x.bits & 0x7c00u) == 0 ? x.bits & 0x8000u : x.bits};
}
// A source that is flushed when it is read.
template <class T>
struct Flushed {
    T value;
};
template <class T>
struct LaneType<Flushed<T>> {
    using Word = WordOf<T>;
    static constexpr Type kType = LaneType<T>::kType;
    static constexpr WW_LANE Flushed<T> from(Word word) { return {flush(LaneType<T>::from(word))}; }
};

// A predicate register after an instruction of the lanes `active` computed `value`.
constexpr u32 merge_lanes(u32 old, u32 value, u32 active) {
    return (old & ~active) | (value & active);
}

}  // namespace warpwright::emulator
