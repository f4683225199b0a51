// SPDX-License-Identifier: Apache-2.0
// Comparisons and selections, PTX ISA 9.7.6 and 9.7.7, for each SIMD level.
#include "emulator/execute/lanewise.inl"

template <Comparison comparison, class T>
WW_LANE bool holds(T a, T b) {
    switch (comparison) {
        case Comparison::equal: return a == b;
        case Comparison::less: return a < b;
        case Comparison::less_equal: return a <= b;
        case Comparison::not_equal: return (a < b) | (a > b);
        case Comparison::ordered: return (a <= b) | (a > b);
    }
    return false;
}

// The lanes where it holds for the sources at slots `first` and first + 1. half: of packed halves.
template <class T, Comparison comparison, int half>
[[gnu::noinline]] u32 compare(Warp& warp, const Instruction& i, int first) {
    const auto* const a = warp.lanes<WordOf<T>>(i.slot[first]);
    const auto* const b = warp.lanes<WordOf<T>>(i.slot[first + 1]);
    return mask_lanes([&](int l) {
        return holds<comparison>(comparable(LaneType<T>::from(a[l] >> 16 * half)),
                                 comparable(LaneType<T>::from(b[l] >> 16 * half)));
    });
}
template <class T, Comparison comparison>
Flow setp(Warp& warp, const Instruction& i, u32 active) {
    return finish_setp(warp, i, active, compare<T, comparison, 0>(warp, i, 0));
}

template <class T, Comparison... comparison>
constexpr std::array<Comparer, kNumComparisons> single(std::integer_sequence<Comparison, comparison...>) {
    return {Comparer{&setp<T, comparison>, &compare<T, comparison, 0>, nullptr}...};
}
template <class T, Comparison... comparison>
constexpr std::array<Comparer, kNumComparisons> packed(std::integer_sequence<Comparison, comparison...>) {
    return {Comparer{nullptr, &compare<T, comparison, 0>, &compare<T, comparison, 1>}...};
}
using OfIntegers = std::integer_sequence<Comparison, Comparison::equal, Comparison::less>;
using OfFloats = std::integer_sequence<Comparison, Comparison::equal, Comparison::less,
                                       Comparison::less_equal, Comparison::not_equal, Comparison::ordered>;
// By Compared, then by Comparison.
constexpr std::array<Comparer, kNumComparisons> kComparers[] = {
    single<u16>(OfIntegers{}), single<i16>(OfIntegers{}),          single<u32>(OfIntegers{}),
    single<i32>(OfIntegers{}), single<u64>(OfIntegers{}),          single<i64>(OfIntegers{}),
    single<float>(OfFloats{}), single<Flushed<float>>(OfFloats{}), single<double>(OfFloats{}),
    single<F16>(OfFloats{}),   single<Flushed<F16>>(OfFloats{}),   single<Bf16>(OfFloats{}),
    packed<F16>(OfFloats{}),   packed<Flushed<F16>>(OfFloats{}),   packed<Bf16>(OfFloats{}),
};

// selp: the predicate is predicate[0]; flag[0]: negated.
template <class Word>
Flow selp(Warp& warp, const Instruction& i, u32 active) {
    const u32 p = warp.predicate(i.predicate[0]) ^ (i.flag[0] ? kAllLanes : 0u);
    const Word* const a = warp.lanes<Word>(i.slot[1]);
    const Word* const b = warp.lanes<Word>(i.slot[2]);
    store_lanes(warp.lanes<Word>(i.slot[0]), active, [&](int l) {
        const Word x = a[l], y = b[l];
        return (p & kLaneBits.bit[l]) != 0 ? x : y;
    });
    return Flow::next;
}
constexpr Handler kSelp[2] = {&selp<u32>, &selp<u64>};
