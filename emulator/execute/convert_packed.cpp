// SPDX-License-Identifier: Apache-2.0
// Conversions to and from packed types and the small formats, PTX ISA 9.7.9.21, and cvt.pack, 9.7.9.22.
#include <array>

#include "emulator/execute/convert.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

#define WW_SIMD_FILE "emulator/execute/convert_packed.inl"
#include "emulator/execute/each_simd_level.inl"

namespace rare {
#include "emulator/execute/lanewise.inl"

template <class T, bool relu, bool satfinite>
T to_half_rz(float a) {
    constexpr FloatFormat kFormat = std::is_same_v<T, F16> ? kF16 : kBf16;
    return {
        static_cast<u16>(encode(kFormat, static_cast<double>(relu ? positive(a) : a), Rounding::toward_zero,
                                satfinite ? Overflow::saturates : Overflow::ieee))};
}
template <class T, bool relu, bool satfinite>
Pair<T> to_halves_rz(float a, float b) {
    return {to_half_rz<T, relu, satfinite>(b), to_half_rz<T, relu, satfinite>(a)};
}

template <bool rounds_up, bool saturates>
u16 to_scales(float a, float b) {
    return static_cast<u16>(encode_ue8m0(a, rounds_up, saturates) << 8 |
                            encode_ue8m0(b, rounds_up, saturates));
}
template <bool rounds_up, bool saturates>
u16 to_scales_from_bf16x2(Bf16x2 a) {
    return to_scales<rounds_up, saturates>(decode_bf16(a.high.bits), decode_bf16(a.low.bits));
}
Bf16x2 from_scales(u16 a) {
    const auto bf16 = [](u32 scale) { return Bf16{encode_bf16(decode_ue8m0(scale))}; };
    return {bf16(a), bf16(a >> 8u)};
}

// cvt.pack: an s32 clamped to `bits` bits.
template <int bits, bool is_signed>
u32 clamped(i32 a) {
    constexpr i32 kLow = is_signed ? -(1 << (bits - 1)) : 0,
                  kHigh = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    return static_cast<u32>(a < kLow ? kLow : a > kHigh ? kHigh : a) & ((1u << bits) - 1);
}
template <int bits, bool is_signed>
u32 pack2(i32 a, i32 b) {
    return clamped<bits, is_signed>(a) << bits | clamped<bits, is_signed>(b);
}
template <int bits, bool is_signed>
u32 pack3(i32 a, i32 b, u32 c) {  // c's lower part moves up
    return c << 2 * bits | pack2<bits, is_signed>(a, b);
}

#define WW_FORM(modifiers, ...) Lanewise<__VA_ARGS__, LaneLoop::each>::form("cvt", modifiers)
#define WW_HALVES(type, T)                                                   \
    WW_FORM(".rz." type ".f32", to_halves_rz<T, false, false>),              \
        WW_FORM(".rz.relu." type ".f32", to_halves_rz<T, true, false>),      \
        WW_FORM(".rz.satfinite." type ".f32", to_halves_rz<T, false, true>), \
        WW_FORM(".rz.relu.satfinite." type ".f32", to_halves_rz<T, true, true>)
constexpr Form kForms[] = {
    WW_HALVES("f16x2", F16),
    WW_HALVES("bf16x2", Bf16),
    WW_FORM(".rz.ue8m0x2.f32", to_scales<false, false>),
    WW_FORM(".rp.ue8m0x2.f32", to_scales<true, false>),
    WW_FORM(".rz.satfinite.ue8m0x2.f32", to_scales<false, true>),
    WW_FORM(".rp.satfinite.ue8m0x2.f32", to_scales<true, true>),
    WW_FORM(".rz.ue8m0x2.bf16x2", to_scales_from_bf16x2<false, false>),
    WW_FORM(".rp.ue8m0x2.bf16x2", to_scales_from_bf16x2<true, false>),
    WW_FORM(".rz.satfinite.ue8m0x2.bf16x2", to_scales_from_bf16x2<false, true>),
    WW_FORM(".rp.satfinite.ue8m0x2.bf16x2", to_scales_from_bf16x2<true, true>),
    WW_FORM(".rn.bf16x2.ue8m0x2", from_scales),
    WW_FORM(".pack.sat.u16.s32", pack2<16, false>),
    WW_FORM(".pack.sat.s16.s32", pack2<16, true>),
    WW_FORM(".pack.sat.u8.s32.b32", pack3<8, false>),
    WW_FORM(".pack.sat.s8.s32.b32", pack3<8, true>),
    WW_FORM(".pack.sat.u4.s32.b32", pack3<4, false>),
    WW_FORM(".pack.sat.s4.s32.b32", pack3<4, true>),
    WW_FORM(".pack.sat.u2.s32.b32", pack3<2, false>),
    WW_FORM(".pack.sat.s2.s32.b32", pack3<2, true>),
};
#undef WW_FORM
#undef WW_HALVES
}  // namespace rare

}  // namespace

Status bind_packed_conversion(Binding& b) {
    const Status status = bind_form(
        b, {at_level<std::span<const Form>>(baseline::kForms, avx2::kForms, avx512::kForms), rare::kForms});
    // None of these types needs a register of 64 bits.
    const Instruction& i = b.instruction();
    if (status.ok() && (i.slot_width[0] > 1 || i.slot_width[1] > 1))
        b.error("not covered yet: registers wider than the types");
    return status;
}

std::string_view packed_conversion_forms() {
    return forms_text("cvt", {baseline::kForms, rare::kForms});
}

}  // namespace warpwright::emulator
