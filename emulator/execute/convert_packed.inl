// SPDX-License-Identifier: Apache-2.0
// Conversions of packed types, PTX ISA 9.7.9.21, for each SIMD level. The first source becomes the upper
// part.
#include "emulator/execute/lanewise.inl"

template <class T, bool relu, bool satfinite>
WW_LANE Pair<T> to_halves(float a, float b) {
    return {to_half<T, relu, satfinite>(b), to_half<T, relu, satfinite>(a)};
}

// The 8-, 6- and 4-bit formats. Two of 4 bits share a byte, others have one each.
template <FloatFormat F>
using TwoOf = std::conditional_t<F.bits() == 4, u8, u16>;
template <FloatFormat F>
constexpr int kUpper = F.bits() == 4 ? 4 : 8;
template <FloatFormat F, bool relu>
WW_LANE TwoOf<F> to_small(float a, float b) {
    const u32 upper = encode_nearest<F, true>(relu ? positive(a) : a);
    const u32 lower = encode_nearest<F, true>(relu ? positive(b) : b);
    return static_cast<TwoOf<F>>(upper << kUpper<F> | lower);
}
template <FloatFormat F, bool relu>
WW_LANE TwoOf<F> to_small_from_f16x2(F16x2 a) {
    return to_small<F, relu>(decode_f16(a.high.bits), decode_f16(a.low.bits));
}
template <FloatFormat F, bool relu>
WW_LANE F16x2 from_small(TwoOf<F> a) {
    return {to_half<F16, relu, false>(decode<F>(a)),
            to_half<F16, relu, false>(decode<F>(static_cast<u32>(a) >> kUpper<F>))};
}

#define WW_FORM(modifiers, ...) Lanewise<__VA_ARGS__, LaneLoop::vector_long>::form("cvt", modifiers)
#define WW_HALVES(type, T)                                                \
    WW_FORM(".rn." type ".f32", to_halves<T, false, false>),              \
        WW_FORM(".rn.relu." type ".f32", to_halves<T, true, false>),      \
        WW_FORM(".rn.satfinite." type ".f32", to_halves<T, false, true>), \
        WW_FORM(".rn.relu.satfinite." type ".f32", to_halves<T, true, true>)
#define WW_SMALL(type, F)                                                           \
    WW_FORM(".rn.satfinite." type ".f32", to_small<F, false>),                      \
        WW_FORM(".rn.satfinite.relu." type ".f32", to_small<F, true>),              \
        WW_FORM(".rn.satfinite." type ".f16x2", to_small_from_f16x2<F, false>),     \
        WW_FORM(".rn.satfinite.relu." type ".f16x2", to_small_from_f16x2<F, true>), \
        WW_FORM(".rn.f16x2." type, from_small<F, false>),                           \
        WW_FORM(".rn.relu.f16x2." type, from_small<F, true>)
constexpr Form kForms[] = {
    WW_HALVES("f16x2", F16),   WW_HALVES("bf16x2", Bf16), WW_SMALL("e4m3x2", kE4m3),
    WW_SMALL("e5m2x2", kE5m2), WW_SMALL("e3m2x2", kE3m2), WW_SMALL("e2m3x2", kE2m3),
    WW_SMALL("e2m1x2", kE2m1),
};
#undef WW_FORM
#undef WW_HALVES
#undef WW_SMALL
