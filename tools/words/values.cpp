// SPDX-License-Identifier: Apache-2.0
#include "tools/words/values.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace warpwright::words {
namespace {

// --- edges ---

constexpr u64 kInteger16[] = {0,      1,      2,      3,      0xffff, 0xfffe, 0x8000, 0x8001, 0x7fff,
                              0x7ffe, 0x5555, 0xaaaa, 0x00ff, 0x0100, 0x0080, 0x007f, 0x4000};
constexpr u64 kInteger32[] = {0,          1,          2,          3,          0xffffffff, 0xfffffffe,
                              0x80000000, 0x80000001, 0x7fffffff, 0x7ffffffe, 0x55555555, 0xaaaaaaaa,
                              0xffff,     0x10000,    0x8000,     0x7fff,     0xffff8000, 0xffff7fff,
                              0xff,       0x80,       0x7f,       0xffffff80, 0x40000000, 0xc0000000,
                              31,         32,         33};
constexpr u64 kInteger64[] = {0,
                              1,
                              2,
                              ~u64{0},
                              ~u64{1},
                              u64{1} << 63,
                              (u64{1} << 63) + 1,
                              (u64{1} << 63) - 1,
                              0x5555555555555555,
                              0xaaaaaaaaaaaaaaaa,
                              0xffffffff,
                              0x100000000,
                              0x80000000,
                              0x7fffffff,
                              0xffffffff80000000,
                              0xffffffff7fffffff,
                              0x0020000000000000,
                              0x0020000000000001,
                              0xffff,
                              0x8000,
                              63,
                              64,
                              65,
                              u64{1} << 62};
constexpr u64 kShift[] = {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 255, 256, 0x80000000, ~u32{0}};
constexpr u64 kBitField[] = {0, 1, 5, 8, 16, 31, 32, 33, 63, 64, 65, 128, 255};
// Zeros, subnormals, the ends of the normals, infinity, quiet and signalling NaNs; values at which narrower
// formats overflow, underflow or are half way between two neighbours; ends of the integers.
constexpr u64 kFloat32[] = {
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000,
    0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xffbfffff,
    0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x3f000000, 0x3fc00000, 0x40200000, 0xc0200000,
    0x4b000001, 0x4b7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x4f800000, 0x5f000000, 0x5f7fffff,
    0x43e00000, 0x43e80000, 0x43e80001, 0x43f00000, 0x47600000, 0x47680000, 0x47700000, 0x477fe000,
    0x477ff000, 0x38800000, 0x33800000, 0x33000000, 0x33000001, 0x3a800000, 0x3b000000, 0x36800000,
    0x3f808000, 0x3f818000, 0x42fe0000, 0x437f0000, 0x46fffe00, 0x7f7f8000};
constexpr u64 kFloat64[] = {
    0x0000000000000000, 0x8000000000000000, 0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000,
    0x8010000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
    0x7ff8000000000000, 0xfff8000000000001, 0x7ff0000000000001, 0xfff7ffffffffffff, 0x3ff0000000000000,
    0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff, 0x3fe0000000000000, 0x3ff8000000000000,
    0x4004000000000000, 0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000200000, 0x41f0000000000000,
    0x43e0000000000000, 0x43f0000000000000, 0xc3e0000000000000, 0x4330000000000001, 0x47efffffe0000000,
    0x47effffff0000000, 0x36a0000000000000, 0x3690000000000000, 0x3690000000000001, 0x380fffffc0000000,
    0x3810000000000000, 0x3ff0000010000000, 0x3ff0000030000000, 0x40efffffffffffff};
constexpr u64 kFloat16[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x83ff, 0x0400, 0x8400, 0x7bff, 0xfbff,
                            0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0xfdff, 0x7fff, 0x3c00, 0xbc00, 0x3c01,
                            0x3bff, 0x3800, 0x3e00, 0x4100, 0xc100, 0x6400, 0x6401, 0x67ff, 0x5bff, 0x5c80,
                            0x1400, 0x1000, 0x0200, 0x7b00, 0x7880, 0x5f00, 0x5f40, 0x7800};
constexpr u64 kBfloat16[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x007f, 0x807f, 0x0080, 0x8080, 0x7f7f,
                             0xff7f, 0x7f80, 0xff80, 0x7fc0, 0xffc1, 0x7f81, 0xffbf, 0x7fff, 0x3f80,
                             0xbf80, 0x3f81, 0x3f7f, 0x3f00, 0x3fc0, 0x4020, 0xc020, 0x4300, 0x4301,
                             0x437f, 0x4f00, 0xcf00, 0x5f00, 0x4780, 0x3380, 0x3300, 0x43e0, 0x43e8};
constexpr u64 kDivisor16[] = {1, 2, 3, 0xffff, 0xfffe, 0x8000, 0x8001, 0x7fff, 10, 0x00ff, 0x0100, 0x4000};
constexpr u64 kDivisor32[] = {1,          2,          3,  0xffffffff, 0xfffffffe, 0x80000000,
                              0x80000001, 0x7fffffff, 10, 0xffff,     0x10000,    0x40000000};
constexpr u64 kDivisor64[] = {
    1,  2,          3,          ~u64{0}, ~u64{1}, u64{1} << 63, (u64{1} << 63) + 1, (u64{1} << 63) - 1,
    10, 0xffffffff, 0x100000000};

u64 low_bits(u64 value, int bits) {
    return bits == 64 ? value : value & ((u64{1} << bits) - 1);
}

template <std::size_t N>
u64 any_of(Random& random, const u64 (&edges)[N]) {
    return edges[random.below(N)];
}

// --- scalars ---

// One of all widths, of either sign.
u64 any_width(Random& random, int bits) {
    const u64 value = low_bits(random.next(), bits) >> random.below(static_cast<u32>(bits));
    return low_bits(random.one_in(2) ? value : u64{0} - value, bits);
}

template <int kBits, const auto& kEdges>
u64 draw_integer(Draw& draw) {
    switch (draw.random.below(4)) {
        case 0: return any_of(draw.random, kEdges);
        case 1: return low_bits(draw.random.next(), kBits);
        default: return any_width(draw.random, kBits);
    }
}

// An integer that is not 0.
template <int kBits, const auto& kEdges>
u64 draw_divisor(Draw& draw) {
    return std::max<u64>(draw_integer<kBits, kEdges>(draw), 1);
}

// The low 8 bits count; what is above them in the register is random.
u64 draw_byte(Draw& draw) {
    const u64 value = draw.random.one_in(4) ? any_of(draw.random, kInteger16) & 0xff : draw.random.next();
    return low_bits((draw.random.next() << 8) | (value & 0xff), 32);
}

// A format of exponent and mantissa bits, as IEEE 754 lays them out.
struct Format {
    int exponent_bits, mantissa_bits;
    bool has_infinity = true;  // e4m3 uses its largest exponent for numbers
    int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    int largest_exponent() const { return (1 << exponent_bits) - (has_infinity ? 2 : 1); }
    u64 number(bool negative, int exponent, u64 mantissa) const {
        exponent = std::clamp(exponent, 0, largest_exponent());
        mantissa = low_bits(mantissa, mantissa_bits);
        if (!has_infinity && exponent == largest_exponent() && mantissa == low_bits(~u64{0}, mantissa_bits))
            --mantissa;
        return u64{negative} << (exponent_bits + mantissa_bits) |
               static_cast<u64>(exponent) << mantissa_bits | mantissa;
    }
};
constexpr Format kF16{5, 10}, kBf16{8, 7}, kF32{8, 23}, kF64{11, 52}, kE4m3{4, 3, false}, kE5m2{5, 2};

// Half of them have a mantissa of few bits, and half of those end half way between numbers of fewer bits:
// ties of every narrower format, halves between integers.
u64 any_number(Random& random, const Format& format) {
    const int wide = format.exponent_bits > 8 ? 160 : 30;
    int exponent = 0;
    switch (random.below(4)) {
        case 0:
        case 1: exponent = format.bias() - 12 + static_cast<int>(random.below(25)); break;
        case 2:
            exponent = format.bias() - wide + static_cast<int>(random.below(static_cast<u32>(2 * wide + 1)));
            break;
        default: exponent = static_cast<int>(random.below(static_cast<u32>(format.largest_exponent() + 1)));
    }
    u64 mantissa = low_bits(random.next(), format.mantissa_bits);
    if (random.one_in(2)) {
        const int bits = static_cast<int>(random.below(static_cast<u32>(format.mantissa_bits + 1)));
        const int rest = format.mantissa_bits - bits;
        mantissa = mantissa >> rest << rest;
        if (rest > 0 && random.one_in(2)) mantissa |= u64{1} << (rest - 1);
    }
    return format.number(random.one_in(2), exponent, mantissa);
}

template <const Format& kFormat, const auto& kEdges>
u64 draw_float(Draw& draw) {
    switch (draw.random.below(8)) {
        case 0:
        case 1: return any_of(draw.random, kEdges);
        case 2: return low_bits(draw.random.next(), 1 + kFormat.exponent_bits + kFormat.mantissa_bits);
        default: return any_number(draw.random, kFormat);
    }
}

template <u64 (*kDraw)(Draw&), int kBits, int kCount>
u64 draw_packed(Draw& draw) {
    u64 packed = 0;
    for (int i = 0; i < kCount; ++i) packed |= low_bits(kDraw(draw), kBits) << (kBits * i);
    return packed;
}

template <const auto& kEdges>
u64 draw_small(Draw& draw) {
    return draw.random.one_in(2) ? any_of(draw.random, kEdges) : draw.random.below(72);
}

template <u32 kBound>
u64 draw_below(Draw& draw) {
    return draw.random.below(kBound);
}

u64 draw_counter(Draw& draw) {
    return draw.thread & 0xffff;
}

// The same lanes in every thread of a warp: all, one, few, half, most.
u64 draw_mask(Draw& draw) {
    Random random(draw.warp_seed);
    switch (random.below(6)) {
        case 0: return 0xffffffff;
        case 1: return u64{1} << random.below(32);
        case 2: return low_bits(random.next() & random.next() & random.next(), 32) | 1u << random.below(32);
        case 3: return low_bits(random.next() | random.next() | random.next(), 32) | 1u << random.below(32);
        case 4: return random.one_in(2) ? 0xffff : 0xffff0000;
        default: return low_bits(random.next(), 32) | 1u << random.below(32);
    }
}

// One of two, or one of four, values per warp: matches happen.
template <int kBits>
u64 draw_few(Draw& draw) {
    Random warp(draw.warp_seed);
    const u32 count = warp.one_in(4) ? 1 : warp.one_in(2) ? 2 : 5;
    Random value(draw.warp_seed + draw.random.below(count));
    return low_bits(value.next(), kBits);
}

// shfl's c: the clamp in bits 0 to 4, the segment's mask in bits 8 to 12.
u64 draw_shuffle_bounds(Draw& draw) {
    Random warp(draw.warp_seed);
    constexpr u64 kBounds[] = {0x1f, 0, 0x1e1f, 0x1c1f, 0x181f, 0x101f, 0x1c00, 0x1000, 0x0f0f, 0x1807};
    return warp.one_in(4) ? low_bits(draw.random.next(), 13) : any_of(warp, kBounds);
}

// --- tiles of matrix products ---

enum class Role { factor, accumulator };
enum class Style {
    normal,
    wide,
    cancelling,
    tiny,
    large,
    special,
    sparse,
    integers,
    accumulator_above,
    accumulator_below
};
constexpr u32 kNumStyles = 10;

Style style_of(const Draw& draw) {
    return static_cast<Style>(draw.thread / 32 % kNumStyles);
}

u64 small_integer(Random& random, const Format& format) {
    const u32 value = random.below(16);
    const bool negative = random.one_in(2);
    if (value == 0) return format.number(negative, 0, 0);
    const int exponent = 31 - std::countl_zero(value);
    const u64 below = value & ((1u << exponent) - 1);
    const int shift = format.mantissa_bits - exponent;
    return format.number(negative, format.bias() + exponent, shift >= 0 ? below << shift : below >> -shift);
}

// Factors of wide formats stay near the middle of their range, or their products would all overflow.
u64 tile_number(Draw& draw, const Format& format, Role role) {
    Random& random = draw.random;
    const bool is_wide = format.exponent_bits >= 8;
    const int bias = format.bias();
    const int largest = format.largest_exponent();
    const u64 mantissa = random.next();
    const bool negative = random.one_in(2);
    const auto around = [&](int lowest, u32 count) {
        return format.number(negative, lowest + static_cast<int>(random.below(count)), mantissa);
    };
    const auto normal = [&] {
        return format.number(negative, bias - std::countr_zero(random.next() | 1u << 20), mantissa);
    };
    const auto wide = [&] {
        return is_wide ? around(bias - 40, 81) : around(0, static_cast<u32>(largest + 1));
    };
    switch (style_of(draw)) {
        case Style::normal: return normal();
        case Style::wide: return wide();
        case Style::cancelling:
            if (role == Role::accumulator) return around(bias, 5);
            return format.number(negative, bias, (draw.warp_seed & ~u64{3}) | (mantissa & 3));
        case Style::tiny:
            if (role == Role::accumulator) return random.one_in(2) ? around(0, 3) : around(bias - 48, 30);
            return is_wide ? around(bias - 75, 24) : around(0, 4);
        case Style::large:
            if (role == Role::accumulator) return random.one_in(2) ? around(largest - 8, 9) : normal();
            return is_wide ? around(bias + 55, 10) : around(largest - 2, 3);
        case Style::special:
            if (random.one_in(64)) {
                const int bits = format.exponent_bits + format.mantissa_bits;
                const u64 not_finite = low_bits(~u64{0}, bits) >> format.mantissa_bits
                                                                      << format.mantissa_bits;
                const u64 special[] = {0, not_finite, not_finite, not_finite | 1, low_bits(~u64{0}, bits)};
                return u64{negative} << bits | any_of(random, special);
            }
            return normal();
        case Style::sparse: return random.one_in(4) ? wide() : format.number(negative, 0, 0);
        case Style::integers: return small_integer(random, format);
        case Style::accumulator_above: return role == Role::factor ? normal() : around(bias + 5, 25);
        case Style::accumulator_below: return role == Role::factor ? normal() : around(bias - 30, 25);
    }
    return 0;
}

template <const Format& kFormat, Role kRole, int kCount>
u64 draw_tile(Draw& draw) {
    const int bits = 1 + kFormat.exponent_bits + kFormat.mantissa_bits;
    u64 packed = 0;
    for (int i = 0; i < kCount; ++i) packed |= tile_number(draw, kFormat, kRole) << (bits * i);
    return packed;
}

// tf32 stands in the upper 19 bits of its word; the lower 13 are ignored, and random in every other tile.
u64 draw_tile_tf32(Draw& draw) {
    const u64 value = tile_number(draw, kF32, Role::factor);
    return draw.thread / 32 / kNumStyles % 2 == 0 ? value & ~u64{0x1fff} : value;
}

// Random digits, extremes, or mostly zero.
template <int kBits>
u64 draw_tile_integers(Draw& draw) {
    u64 packed = 0;
    for (int i = 0; i < 32; i += kBits) {
        u64 value = draw.random.next();
        const u32 style = draw.thread / 32 % 4;
        const u64 extremes[] = {0, ~u64{0}, u64{1} << (kBits - 1), (u64{1} << (kBits - 1)) - 1};
        if (style == 1) value = any_of(draw.random, extremes);
        if (style == 2 && !draw.random.one_in(4)) value = 0;
        packed |= low_bits(value, kBits) << i;
    }
    return packed;
}

// Extremes everywhere, the accumulator at the end of its range: what saturates.
u64 draw_tile_accumulator(Draw& draw) {
    const u64 ends[] = {0x7fffffff, 0x80000000, 0x7fff0000, 0x8000ffff, 0};
    if (draw.thread / 32 % 2 == 1) return any_of(draw.random, ends);
    return draw_integer<32, kInteger32>(draw);
}

constexpr u64 kPredicate[] = {0, 1};

const Kind kKinds[] = {
    {"pred", 4, true, kPredicate, draw_below<2>},
    {"i8", 4, false, {}, draw_byte},
    {"i16", 2, false, kInteger16, draw_integer<16, kInteger16>},
    {"i32", 4, false, kInteger32, draw_integer<32, kInteger32>},
    {"i64", 8, false, kInteger64, draw_integer<64, kInteger64>},
    {"n16", 2, false, kDivisor16, draw_divisor<16, kDivisor16>},
    {"n32", 4, false, kDivisor32, draw_divisor<32, kDivisor32>},
    {"n64", 8, false, kDivisor64, draw_divisor<64, kDivisor64>},
    {"shift", 4, false, kShift, draw_small<kShift>},
    {"bits", 4, false, kBitField, draw_small<kBitField>},
    {"f16", 2, false, kFloat16, draw_float<kF16, kFloat16>},
    {"bf16", 2, false, kBfloat16, draw_float<kBf16, kBfloat16>},
    {"f32", 4, false, kFloat32, draw_float<kF32, kFloat32>},
    {"f64", 8, false, kFloat64, draw_float<kF64, kFloat64>},
    {"i16x2", 4, false, {}, draw_packed<draw_integer<16, kInteger16>, 16, 2>},
    {"f16x2", 4, false, {}, draw_packed<draw_float<kF16, kFloat16>, 16, 2>},
    {"bf16x2", 4, false, {}, draw_packed<draw_float<kBf16, kBfloat16>, 16, 2>},
    {"x16", 2, false, {}, draw_counter},   // every value of 16 bits in turn
    {"x16w", 4, false, {}, draw_counter},  // in a 32-bit register
    {"mask", 4, false, {}, draw_mask},
    {"lane", 4, false, {}, draw_below<32>},
    {"below5", 4, false, {}, draw_below<5>},
    {"below9", 4, false, {}, draw_below<9>},
    {"below17", 4, false, {}, draw_below<17>},
    {"few32", 4, false, {}, draw_few<32>},
    {"few64", 8, false, {}, draw_few<64>},
    {"bounds", 4, false, {}, draw_shuffle_bounds},
    {"t.f16x2", 4, false, {}, draw_tile<kF16, Role::factor, 2>},
    {"t.bf16x2", 4, false, {}, draw_tile<kBf16, Role::factor, 2>},
    {"t.tf32", 4, false, {}, draw_tile_tf32},
    {"t.e4m3x4", 4, false, {}, draw_tile<kE4m3, Role::factor, 4>},
    {"t.e5m2x4", 4, false, {}, draw_tile<kE5m2, Role::factor, 4>},
    {"t.i8x4", 4, false, {}, draw_tile_integers<8>},
    {"t.i4x8", 4, false, {}, draw_tile_integers<4>},
    {"t.f32", 4, false, {}, draw_tile<kF32, Role::accumulator, 1>},
    {"t.accf16x2", 4, false, {}, draw_tile<kF16, Role::accumulator, 2>},
    {"t.i32", 4, false, {}, draw_tile_accumulator},
    // Of results; a value drawn for one is random.
    {"b16", 2, false, {}, draw_integer<16, kInteger16>},
    {"b32", 4, false, {}, draw_integer<32, kInteger32>},
    {"b64", 8, false, {}, draw_integer<64, kInteger64>},
    {"b128", 16, false, {}, draw_integer<64, kInteger64>},
};

// The order in which combinations of edges are visited: a step that has no divisor with their number.
u64 coprime_step(u64 count) {
    const auto gcd = [](u64 a, u64 b) {
        while (b != 0) a = std::exchange(b, a % b);
        return a;
    };
    u64 step = count * 5 / 8 + 1;
    while (gcd(step, count) != 1) ++step;
    return step;
}

}  // namespace

const Kind& kind_named(std::string_view name) {
    for (const Kind& kind : kKinds) {
        if (kind.name == name) return kind;
    }
    std::fprintf(stderr, "no kind of values is named '%.*s'\n", static_cast<int>(name.size()), name.data());
    std::abort();
}

u64 hash_of(std::span<const std::byte> bytes) {
    u64 hash = 0xcbf29ce484222325ull;
    for (const std::byte byte : bytes) hash = (hash ^ static_cast<u64>(byte)) * 0x100000001b3ull;
    return hash;
}

u64 hash_of(std::string_view text) {
    return hash_of(std::as_bytes(std::span(text.data(), text.size())));
}

std::vector<std::byte> inputs_of(const Form& form) {
    const auto stride = static_cast<std::size_t>(form.input_bytes());
    std::vector<std::byte> inputs(stride * static_cast<std::size_t>(form.vectors));
    Random random(hash_of(form.name));

    // All combinations of edges first, where they leave a quarter of the vectors for others.
    u64 combinations = form.inputs.empty() ? 0 : 1;
    for (const Field& field : form.inputs) {
        combinations *= field.kind->edges.size();
        if (4 * combinations > 3 * static_cast<u64>(form.vectors)) combinations = 0;
    }
    const u64 step = combinations > 1 ? coprime_step(combinations) : 1;

    u64 warp_seed = 0;
    for (int vector = 0; vector < form.vectors; ++vector) {
        if (vector % 32 == 0) warp_seed = random.next();
        std::byte* record = inputs.data() + stride * static_cast<std::size_t>(vector);
        Draw draw{random, static_cast<u32>(vector), warp_seed};
        const bool is_combination = static_cast<u64>(vector) < combinations;
        u64 index = is_combination ? static_cast<u64>(vector) * step % combinations : 0;
        u64 before = 0;
        const Kind* kind_before = nullptr;
        for (const Field& field : form.inputs) {
            const Kind& kind = *field.kind;
            u64 value[2] = {};
            if (is_combination) {
                value[0] = kind.edges[index % kind.edges.size()];
                index /= kind.edges.size();
            } else {
                value[0] = kind.draw(draw);
                if (kind.bytes == 16) value[1] = kind.draw(draw);
                // Operands near each other: equal ones, neighbours, and such that cancel.
                if (&kind == kind_before && !kind.edges.empty() && !kind.is_predicate && random.one_in(8)) {
                    const u64 sign = u64{1} << (kind.bytes * 8 - 1);
                    const u64 near[] = {before, before ^ sign, before + 1, before - 1, u64{0} - before};
                    value[0] = low_bits(any_of(random, near), kind.bytes * 8);
                    if (kind.name[0] == 'n') value[0] = std::max<u64>(value[0], 1);
                }
            }
            before = value[0];
            kind_before = &kind;
            std::memcpy(record + field.offset, value, static_cast<std::size_t>(kind.bytes));
        }
    }
    return inputs;
}

}  // namespace warpwright::words
