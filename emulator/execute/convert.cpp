// SPDX-License-Identifier: Apache-2.0
// Conversions of single values, PTX ISA 9.7.9.21. Packed ones are in convert_packed.cpp.
#include <array>
#include <cmath>

#include "emulator/decode/binding.h"
#include "emulator/execute/convert.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

struct IntegerHandlers {
    Handler any[2][2];                          // by the registers' slots: destination 1 or 2, source 1 or 2
    Handler zero_extended, sign_extended, cut;  // 32 bits to 64 and back
    Handler copy32, copy64;
};

#define WW_SIMD_FILE "emulator/execute/convert.inl"
#include "emulator/execute/each_simd_level.inl"

// --- every form, one lane at a time ---

// The rounding modifiers; those of the second row give integers.
enum class Round : u8 { none, rn, rz, rm, rp, rna, rni, rzi, rmi, rpi };
constexpr std::string_view kRoundNames[] = {"", "rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi"};
bool gives_integers(Round round) {
    return round >= Round::rni;
}
Rounding rounding_of(Round round) {
    switch (round) {
        case Round::rz:
        case Round::rzi: return Rounding::toward_zero;
        case Round::rm:
        case Round::rmi: return Rounding::down;
        case Round::rp:
        case Round::rpi: return Rounding::up;
        case Round::rna: return Rounding::nearest_away;
        default: return Rounding::nearest_even;
    }
}

struct Conversion {
    Type to, from;
    Round round;
    bool ftz, sat, relu, satfinite;
};
// As it stands in an Instruction.
void put(Instruction& i, const Conversion& c) {
    i.detail[0] = static_cast<i32>(c.to);
    i.detail[1] = static_cast<i32>(c.from);
    i.detail[2] = static_cast<i32>(c.round);
    i.detail[3] = c.satfinite ? 1 : 0;
    i.flag[0] = c.ftz;
    i.flag[1] = c.sat;
    i.flag[2] = c.relu;
}
Conversion get(const Instruction& i) {
    return {static_cast<Type>(i.detail[0]),
            static_cast<Type>(i.detail[1]),
            static_cast<Round>(i.detail[2]),
            i.flag[0],
            i.flag[1],
            i.flag[2],
            i.detail[3] != 0};
}

bool is_float(Type type) {
    return facts_of(type).is_float;
}
bool is_signed(Type type) {
    return facts_of(type).is_signed;
}
int bits_of(Type type) {
    return facts_of(type).bits;
}
const FloatFormat& format_of(Type type) {  // of the floats below f64
    return type == Type::f16 ? kF16 : type == Type::bf16 ? kBf16 : type == Type::tf32 ? kTf32 : kF32;
}

// An integer in 64 bits: sign and magnitude.
struct Integer {
    bool negative;
    u64 magnitude;
};
Integer read_integer(Type type, u64 bits) {
    const int unused = 64 - bits_of(type);
    if (!is_signed(type)) return {false, bits << unused >> unused};
    const i64 value = static_cast<i64>(bits << unused) >> unused;
    return {value < 0, value < 0 ? 0 - static_cast<u64>(value) : static_cast<u64>(value)};
}
// The pattern of `bits` bits for an integer beyond the type's range at that end.
u64 end_of_range(Type type, bool negative) {
    const int bits = bits_of(type);
    const u64 all = ~u64{0} >> (64 - bits);
    if (!is_signed(type)) return negative ? 0 : all;
    return negative ? all ^ (all >> 1) : all >> 1;
}
u64 write_integer(Type type, Integer value, bool saturates) {
    const u64 limit = is_signed(type)  ? (~u64{0} >> (65 - bits_of(type))) + (value.negative ? 1 : 0)
                      : value.negative ? 0
                                       : ~u64{0} >> (64 - bits_of(type));
    if (saturates && value.magnitude > limit) return end_of_range(type, value.negative);
    return value.negative ? 0 - value.magnitude : value.magnitude;
}

// Every float is a double.
double read_float(Type type, u64 bits, bool ftz) {
    const auto low = static_cast<u32>(bits);
    switch (type) {
        case Type::f16: return static_cast<double>(decode_f16(low));
        case Type::bf16: return static_cast<double>(decode_bf16(low));
        case Type::f32: return static_cast<double>(ftz ? flush(float_of(low)) : float_of(low));
        default: return std::bit_cast<double>(bits);
    }
}
double to_integral(double x, Round round) {
    switch (round) {
        case Round::rzi: return std::trunc(x);
        case Round::rmi: return std::floor(x);
        case Round::rpi: return std::ceil(x);
        default: return std::nearbyint(x);
    }
}
u64 float_to_integer(const Conversion& c, double x) {
    if (x != x) {
        const bool is_wide = c.from == Type::f64 || bits_of(c.to) == 64;
        return is_wide ? u64{1} << (bits_of(c.to) - 1) : 0;
    }
    x = to_integral(x, c.round);
    const bool negative = x < 0;
    const double magnitude = negative ? -x : x;
    if (magnitude >= 0x1p64) return end_of_range(c.to, negative);
    return write_integer(c.to, {negative, static_cast<u64>(magnitude)}, true);
}

u64 write_double(double x) {
    return std::bit_cast<u64>(x);
}
u64 write_float(const Conversion& c, double x) {
    if (c.sat) x = x > 0 ? (x < 1 ? x : 1) : 0;
    if (c.relu) x = x <= 0 ? 0 : x;
    if (c.to == Type::f64) return write_double(x);
    const FloatFormat& format = format_of(c.to);
    if (x != x) return c.to == Type::tf32 ? kNanTf32 : format.nan();
    u32 bits = encode(format, x, rounding_of(c.round), c.satfinite ? Overflow::saturates : Overflow::ieee);
    if (c.to == Type::tf32) bits <<= 13;
    if (c.to == Type::f32 && c.ftz) bits = float_bits(flush(float_of(bits)));
    return bits;
}
u64 integer_to_float(const Conversion& c, Integer value) {
    if (c.sat) return write_float(c, value.negative || value.magnitude == 0 ? 0.0 : 1.0);
    const Rounding rounding = rounding_of(c.round);
    if (c.to != Type::f64)
        return encode_scaled(format_of(c.to), value.negative, value.magnitude, 0, rounding, Overflow::ieee);
    // Rounded to 53 bits, an integer is a double.
    const int extra = value.magnitude == 0 ? 0 : 11 - std::countl_zero(value.magnitude);
    const int shift = extra < 0 ? 0 : extra;
    const u64 kept = shift_rounded(value.magnitude, shift, false, value.negative, rounding);
    const double magnitude = static_cast<double>(kept) * static_cast<double>(u64{1} << shift);
    return write_double(value.negative ? -magnitude : magnitude);
}

// To and from f64 a NaN keeps its sign and the first bits of its payload, and is made quiet. .ftz first makes
// it f32's own. This and the next are what Hopper does; PTX ISA does not say.
u64 convert_long_nan(const Conversion& c, u64 bits) {
    if (c.ftz && c.from == Type::f32) bits = kNanF32;
    const auto mantissa_bits = [](Type type) {
        return type == Type::f64 ? 52 : format_of(type).mantissa_bits;
    };
    const u64 sign = bits >> (bits_of(c.from) - 1) & 1;
    const u64 payload = bits << (64 - mantissa_bits(c.from)) | u64{1} << 63;
    const int to_mantissa = mantissa_bits(c.to);
    const int to_bits = bits_of(c.to);
    const u64 exponent = ((u64{1} << (to_bits - 1)) - 1) >> to_mantissa << to_mantissa;
    return sign << (to_bits - 1) | exponent | payload >> (64 - to_mantissa);
}
// .rna to tf32 cuts a NaN's last bits off; .satfinite then takes what is beyond the largest number one back.
u64 convert_nan_away(const Conversion& c, u64 bits) {
    const u32 cut = static_cast<u32>(bits) & 0xffffe000u;
    return c.satfinite ? cut - 0x2000u : cut;
}

u64 convert(const Conversion& c, u64 bits) {
    if (is_float(c.from)) {
        double x = read_float(c.from, bits, c.ftz);
        if (!is_float(c.to)) return float_to_integer(c, x);
        const bool is_copy = c.to == c.from && !gives_integers(c.round);
        const bool is_long = c.to == Type::f64 || c.from == Type::f64;
        if (x != x && is_long && !is_copy && !c.sat) return convert_long_nan(c, bits);
        if (x != x && c.round == Round::rna) return convert_nan_away(c, bits);
        if (gives_integers(c.round)) x = to_integral(x, c.round);
        return write_float(c, x);
    }
    const Integer value = read_integer(c.from, bits);
    return is_float(c.to) ? integer_to_float(c, value) : write_integer(c.to, value, c.sat);
}

// Registers may be wider than the types: the result is extended to its register as its type says.
Flow convert_any(Warp& warp, const Instruction& i, u32 active) {
    const Conversion c = get(i);
    const int unused = 64 - bits_of(c.to == Type::tf32 ? Type::b32 : c.to);
    for (u32 left = active; left != 0; left &= left - 1) {
        const int l = __builtin_ctz(left);
        const u64 from = i.slot_width[1] == 2 ? warp.lanes<u64>(i.slot[1])[l] : warp.lanes<u32>(i.slot[1])[l];
        u64 to = convert(c, from) << unused;
        to = is_signed(c.to) ? static_cast<u64>(static_cast<i64>(to) >> unused) : to >> unused;
        if (i.slot_width[0] == 2)
            warp.lanes<u64>(i.slot[0])[l] = to;
        else
            warp.lanes<u32>(i.slot[0])[l] = static_cast<u32>(to);
    }
    return Flow::next;
}

// --- binding ---

bool is_integer(Type type) {
    return type >= Type::u8 && type <= Type::s64;
}
// Larger ones hold every value of smaller ones; f16 and bf16 are of one size.
int size_of_float(Type type) {
    return type == Type::f64 ? 3 : type == Type::f32 ? 2 : 1;
}

// What PTX allows, so that no modifier is taken that means nothing.
bool is_legal(const Conversion& c) {
    const bool halves = c.to == Type::f16 || c.to == Type::bf16;
    const bool has_f32 = c.to == Type::f32 || c.from == Type::f32;
    const bool is_single = c.round == Round::none || (c.round >= Round::rn && c.round <= Round::rp);
    if (c.ftz && (!has_f32 || c.to == Type::tf32 || c.to == Type::bf16)) return false;
    if (c.sat && (c.to == Type::bf16 || c.to == Type::tf32)) return false;
    if ((c.relu || c.satfinite) && (c.from != Type::f32 || !(halves || c.to == Type::tf32) || c.sat))
        return false;
    if ((c.relu || c.satfinite) && c.to != Type::tf32 && c.round != Round::rn && c.round != Round::rz)
        return false;
    if (!is_float(c.to)) return is_float(c.from) ? gives_integers(c.round) : c.round == Round::none;
    if (!is_float(c.from)) return is_single && c.round != Round::none;
    if (c.to == Type::tf32) {
        return c.from == Type::f32 &&
               (c.round == Round::rn || c.round == Round::rz || (c.round == Round::rna && !c.relu));
    }
    if (c.to == c.from) return c.round == Round::none || gives_integers(c.round);
    if (size_of_float(c.to) > size_of_float(c.from)) return c.round == Round::none;
    return is_single && c.round != Round::none;
}

// Integers of any two types. flag[0], detail[0]: the source's sign and bits, flag[1], detail[1] the
// destination's.
void bind_integers(Instruction& i, const Conversion& c) {
    const IntegerHandlers& handlers = *at_level(&baseline::kIntegers, &avx2::kIntegers, &avx512::kIntegers);
    const int from = bits_of(c.from), to = bits_of(c.to);
    const bool to_is_wide = i.slot_width[0] == 2, from_is_wide = i.slot_width[1] == 2;
    i.flag[0] = is_signed(c.from);
    i.flag[1] = is_signed(c.to);
    i.detail[0] = from;
    i.detail[1] = to;
    i.handler = handlers.any[to_is_wide][from_is_wide];
    if (to_is_wide && !from_is_wide && from == 32 && to == 64)
        i.handler = is_signed(c.from) ? handlers.sign_extended : handlers.zero_extended;
    if (from >= to && to == 64) i.handler = handlers.copy64;
    if (from >= to && to == 32 && !to_is_wide) i.handler = from_is_wide ? handlers.cut : handlers.copy32;
}

Status bind_single(Binding& b) {
    std::size_t round = std::size(kRoundNames) - 1;
    while (round > 0 && !b.take(kRoundNames[round])) --round;
    Conversion c{};
    c.round = static_cast<Round>(round);
    c.ftz = b.take("ftz");
    c.sat = b.take("sat");
    c.relu = b.take("relu");
    c.satfinite = b.take("satfinite");
    const std::vector<Type> types = b.take_types();
    if (types.size() != 2) return caller_error("expected two types");
    c.to = types[0];
    c.from = types[1];
    const auto is_covered = [](Type type) {
        return is_integer(type) || type == Type::f16 || type == Type::bf16 || type == Type::f32 ||
               type == Type::f64;
    };
    if (!is_covered(c.from) || !(is_covered(c.to) || c.to == Type::tf32) || !is_legal(c))
        return caller_error("this form is not covered yet");

    Instruction& i = b.instruction();
    b.dest(0, c.to == Type::tf32 ? Type::b32 : c.to);
    b.source(1, c.from);
    put(i, c);
    b.handler(&convert_any);
    const bool are_natural = i.slot_width[0] == (bits_of(c.to) == 64 ? 2 : 1) &&
                             i.slot_width[1] == (bits_of(c.from) == 64 ? 2 : 1);
    if (is_integer(c.to) && is_integer(c.from)) {
        if (!c.sat) bind_integers(i, c);
    } else if (are_natural) {
        const auto forms = at_level<std::span<const Form>>(baseline::kForms, avx2::kForms, avx512::kForms);
        for (const Form& form : forms) {
            if (matches(form, b.statement())) b.handler(form.handler);
        }
    }
    return {};
}

Status bind_cvt(Binding& b) {
    const Status packed = bind_packed_conversion(b);
    return is_not_mine(packed) ? bind_single(b) : packed;
}

}  // namespace

std::span<const Opcode> convert_opcodes() {
    static const std::string forms =
        std::string(
            "{.sat}.int.int .{rni,rzi,rmi,rpi}{.ftz}{.sat}.int.{f16,bf16,f32,f64} "
            ".{rn,rz,rm,rp}{.sat}.{f16,bf16,f32,f64}.int, int: u8 u16 u32 u64 s8 s16 s32 s64; "
            "{.ftz}{.sat}.{f32,f64}.{f16,bf16,f32} {.rni,.rzi,.rmi,.rpi}{.ftz}{.sat}.t.t, t: f16 bf16 f32 "
            "f64; "
            ".{rn,rz,rm,rp}{.ftz}{.sat}{.relu}{.satfinite}.{f16,bf16}.f32 "
            ".{rn,rz,rm,rp}{.sat}.{f16,bf16,f32}.f64 "
            ".{rn,rz,rm,rp}.f16.bf16 .{rn,rz,rm,rp}.bf16.f16 .{rn,rz,rna}{.relu}{.satfinite}.tf32.f32; ") +
        std::string(packed_conversion_forms());
    static const std::array list = {Opcode{"cvt", bind_cvt, "9.7.9.21", forms}};
    return list;
}

}  // namespace warpwright::emulator
