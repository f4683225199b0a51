// SPDX-License-Identifier: Apache-2.0
// Products against the definition, at every SIMD level; known answers of each architecture.
#include <bit>
#include <random>

#include "tests/emulator/mma_reference.h"
#include "tests/emulator/run_ptx.h"

namespace warpwright::emulator {
namespace {

using mma::FloatProduct;
using mma::Fragments;
using mma::IntegerProduct;

constexpr SimdLevel kLevels[] = {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512};

DecodeTarget decode_target(int compute_capability) {
    return {compute_capability, numerics_of(compute_capability)};
}

// Registers of a warp, word by word: index 32 * register + lane.
struct Registers {
    alignas(64) u32 a[4][32] = {}, b[2][32] = {}, c[4][32] = {}, d[4][32] = {};
    Fragments fragments() {
        Fragments f;
        for (int i = 0; i < 4; ++i) f.a[i] = a[i], f.c[i] = c[i], f.d[i] = d[i];
        for (int i = 0; i < 2; ++i) f.b[i] = b[i];
        return f;
    }
};

using Matrix = std::vector<std::vector<u32>>;  // elements' bits
Matrix matrix(int rows, int columns) {
    return Matrix(static_cast<std::size_t>(rows), std::vector<u32>(static_cast<std::size_t>(columns)));
}
u32& at(Matrix& m, int row, int column) {
    return m[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
}

// Where a lane's element i stands, as PTX ISA 9.7.14.5 writes it: groupID, threadID_in_group, i.
struct Place {
    int row, column;
};
Place place_of_a(int lane, int i, int per_register) {
    const int group = lane >> 2, thread = lane % 4, index = i / per_register;
    const bool is_upper = index == 0 || index == 2;
    return {is_upper ? group : group + 8,
            thread * per_register + i % per_register + (index >= 2 ? 4 * per_register : 0)};
}
Place place_of_b(int lane, int i, int per_register) {  // row is k
    return {lane % 4 * per_register + i % per_register + i / per_register * 4 * per_register, lane >> 2};
}
Place place_of_c(int lane, int i) {
    return {(lane >> 2) + (i < 2 ? 0 : 8), lane % 4 * 2 + (i & 1)};
}

// a: rows x k, b: k x 8, c: rows x 8.
void distribute(Matrix a, Matrix b, Matrix c, int bits, bool is_c_f16, Registers& registers) {
    const int per_register = 32 / bits, rows = static_cast<int>(a.size()), k = static_cast<int>(b.size());
    const u32 mask = bits == 32 ? ~0u : (1u << bits) - 1;
    for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < rows * k / 32; ++i) {
            // With 8 rows there is one register, and it has these.
            const Place p = place_of_a(lane, i, per_register);
            registers.a[i / per_register][lane] |= (at(a, p.row, p.column) & mask) << i % per_register * bits;
        }
        for (int i = 0; i < k * 8 / 32; ++i) {
            const Place p = place_of_b(lane, i, per_register);
            registers.b[i / per_register][lane] |= (at(b, p.row, p.column) & mask) << i % per_register * bits;
        }
        for (int i = 0; i < rows * 8 / 32; ++i) {
            const Place p = place_of_c(lane, i);
            const u32 value = at(c, p.row, p.column);
            if (is_c_f16)
                registers.c[i / 2][lane] |= (value & 0xffffu) << i % 2 * 16;
            else
                registers.c[i][lane] = value;
        }
    }
}

Matrix collect(const u32 (&d)[4][32], int rows, bool is_f16) {
    Matrix result = matrix(rows, 8);
    for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < rows * 8 / 32; ++i) {
            const Place p = place_of_c(lane, i);
            at(result, p.row, p.column) = is_f16 ? d[i / 2][lane] >> i % 2 * 16 & 0xffffu : d[i][lane];
        }
    }
    return result;
}

// --- operands ---

std::mt19937 generator(11);

u32 random_below(u32 bound) {
    return static_cast<u32>(generator()) % bound;
}

enum class Operands { usual, any_bits, wide, zeros_between, tiny, one_special, near_a_bound };
constexpr Operands kOperands[] = {Operands::usual,         Operands::any_bits, Operands::wide,
                                  Operands::zeros_between, Operands::tiny,     Operands::one_special,
                                  Operands::near_a_bound};

u32 random_element(const ReferenceFormat& f, Operands operands) {
    const int bits = 1 + f.exponent_bits + f.fraction_bits;
    const u32 any = static_cast<u32>(generator()) & ((bits == 32 ? 0u : 1u << bits) - 1);
    if (operands == Operands::any_bits) return any << f.padding;
    if (operands == Operands::zeros_between && random_below(2) == 0)
        return (any & 1u << (bits - 1)) << f.padding;
    const u32 ones = (1u << f.exponent_bits) - 1;
    const u32 one = (ones - 1) / 2;  // the exponent of 1.0, or near
    u32 exponent = 0;
    if (operands == Operands::tiny)
        exponent = random_below(3);
    else if (operands == Operands::wide)
        exponent = random_below(f.specials == 'i' ? ones : ones + 1);
    else
        exponent = one - std::min(one, random_below(6)) + random_below(3);
    exponent = std::min(exponent, f.specials == 'i' ? ones - 1 : ones);
    const u32 rest = any & ~(ones << f.fraction_bits);
    return (rest | exponent << f.fraction_bits) << f.padding;
}

struct Problem {
    Matrix a, b, c;
};
// All products of about 2^top, near where f32 ends, or the vector path does.
void fill_near(Problem& problem, Format format) {
    constexpr int kTops[] = {-150, -145, -140, -134, -127, -103, -101, 118, 120, 126, 127, 128};
    const ReferenceFormat f = reference_format(format);
    const int top = kTops[random_below(std::size(kTops))], a_exponent = top / 2;
    const auto element = [&](ReferenceFormat g, int exponent) {
        const u32 field = static_cast<u32>(std::clamp(exponent + 127, 0, 254));
        const u32 fraction = static_cast<u32>(generator()) & ((1u << g.fraction_bits) - 1);
        return (random_below(2) << (8 + g.fraction_bits) | field << g.fraction_bits | fraction) << g.padding;
    };
    for (auto& row : problem.a) {
        for (u32& x : row) x = element(f, a_exponent - static_cast<int>(random_below(3)));
    }
    for (auto& row : problem.b) {
        for (u32& x : row) x = element(f, top - a_exponent - static_cast<int>(random_below(3)));
    }
    for (auto& row : problem.c) {
        for (u32& x : row)
            x = random_below(4) == 0 ? 0 : element({8, 23, 0, 'i'}, top - static_cast<int>(random_below(3)));
    }
}

Problem random_problem(Format format_a, Format format_b, int k, bool is_f16, Operands operands) {
    Problem problem{matrix(16, k), matrix(k, 8), matrix(16, 8)};
    for (auto& row : problem.a) {
        for (u32& x : row) x = random_element(reference_format(format_a), operands);
    }
    for (auto& row : problem.b) {
        for (u32& x : row) x = random_element(reference_format(format_b), operands);
    }
    const ReferenceFormat f32{8, 23, 0, 'i'}, f16{5, 10, 0, 'i'};
    for (auto& row : problem.c) {
        for (u32& x : row) x = random_element(is_f16 ? f16 : f32, operands);
    }
    if (operands == Operands::near_a_bound && reference_format(format_a).exponent_bits == 8) {
        fill_near(problem, format_a);
    }
    if (operands == Operands::one_special) {
        // An infinity in a, and a zero, an infinity or a NaN in c.
        at(problem.a, 3, k / 2) |= 0x7fff'ffffu >> 1;
        at(problem.c, 5, 5) = is_f16 ? 0xfc00 : 0xff80'0000;
        at(problem.c, 6, 6) = is_f16 ? 0x7c01 : 0x7f80'0001;
        at(problem.c, 7, 7) = 0;
    }
    return problem;
}

std::vector<u32> column(const Matrix& m, int n) {
    std::vector<u32> values;
    for (const auto& row : m) values.push_back(row[static_cast<std::size_t>(n)]);
    return values;
}

struct FloatForm {
    Format a, b;
    int k;
    bool is_f16;
};
// All forms that a GPU has.
std::vector<FloatForm> float_forms(int compute_capability) {
    std::vector<FloatForm> forms;
    for (const bool is_f16 : {false, true}) {
        for (const int k : {8, 16}) {
            forms.push_back({Format::f16, Format::f16, k, is_f16});
            if (!is_f16) forms.push_back({Format::bf16, Format::bf16, k, false});
            if (!is_f16) forms.push_back({Format::tf32, Format::tf32, k / 2, false});
        }
        for (const int k : {16, 32}) {
            for (int a = static_cast<int>(Format::e4m3); a <= static_cast<int>(Format::e2m1); ++a) {
                for (int b = static_cast<int>(Format::e4m3); b <= static_cast<int>(Format::e2m1); ++b) {
                    const bool is_small = std::max(a, b) > static_cast<int>(Format::e5m2);
                    if (compute_capability < (is_small ? 120 : 89) || (is_small && k == 16)) continue;
                    forms.push_back({static_cast<Format>(a), static_cast<Format>(b), k, is_f16});
                }
            }
        }
    }
    return forms;
}

TEST(EmulatedMma, FloatsAreBitEqualToTheDefinitionAtEveryLevel) {
    for (const int capability : {80, 89, 90, 100, 120}) {
        for (const FloatForm& form : float_forms(capability)) {
            const bool is_wide = form.a == Format::bf16 || form.a == Format::tf32;
            for (int i = 0; i < static_cast<int>(std::size(kOperands)) + (is_wide ? 20 : 0); ++i) {
                const Operands operands = kOperands[std::min<std::size_t>(i, std::size(kOperands) - 1)];
                const Problem p = random_problem(form.a, form.b, form.k, form.is_f16, operands);
                const FloatProduct product =
                    mma::float_product(decode_target(capability), form.a, form.b, form.k, form.is_f16);
                Matrix results[3];
                for (const SimdLevel level : kLevels) {
                    if (level > simd_level()) continue;
                    Registers registers;
                    distribute(p.a, p.b, p.c, mma::facts_of(form.a).container_bits, form.is_f16, registers);
                    mma::multipliers(level).multiply_floats(product, registers.fragments());
                    results[static_cast<int>(level)] = collect(registers.d, 16, form.is_f16);
                    ASSERT_EQ(results[static_cast<int>(level)], results[0]) << simd_name(level);
                }
                for (int n = 0; n < 8; ++n) {
                    const std::vector<u32> b = column(p.b, n);
                    for (int m = 0; m < 16; ++m) {
                        const auto row = static_cast<std::size_t>(m), col = static_cast<std::size_t>(n);
                        const u32 expected = reference_mma(decode_target(capability), form.a, form.b,
                                                           p.a[row], b, p.c[row][col], form.is_f16);
                        ASSERT_EQ(results[0][row][col], expected)
                            << "capability " << capability << " formats " << static_cast<int>(form.a) << " "
                            << static_cast<int>(form.b) << " k " << form.k << " f16 " << form.is_f16
                            << " operands " << static_cast<int>(operands) << " row " << m << " column " << n;
                    }
                }
            }
        }
    }
}

// --- answers known from what was published, by hand ---

// d[0][0] of a product whose first row and column are given, the rest 0.
u32 dot(int capability, Format format, std::vector<u32> a, std::vector<u32> b, u32 c, bool is_f16 = false) {
    const int k = static_cast<int>(a.size());
    Problem p{matrix(16, k), matrix(k, 8), matrix(16, 8)};
    p.a[0] = a;
    for (int i = 0; i < k; ++i) at(p.b, i, 0) = b[static_cast<std::size_t>(i)];
    at(p.c, 0, 0) = c;
    Registers registers;
    distribute(p.a, p.b, p.c, mma::facts_of(format).container_bits, is_f16, registers);
    mma::multipliers(simd_level())
        .multiply_floats(mma::float_product(decode_target(capability), format, format, k, is_f16),
                         registers.fragments());
    return collect(registers.d, 16, is_f16)[0][0];
}
u32 bits(float value) {
    return std::bit_cast<u32>(value);
}
u32 bf16(float value) {
    return bits(value) >> 16;
}

std::vector<u32> elements(int k, std::initializer_list<std::pair<int, u32>> values) {
    std::vector<u32> result(static_cast<std::size_t>(k));
    for (const auto& [index, value] : values) result[static_cast<std::size_t>(index)] = value;
    return result;
}

TEST(EmulatedMma, BitsBelowTheGreatestTermAreCut) {
    const u32 one = bf16(1), minus = bf16(-1);
    for (const auto& [capability, bits_kept] :
         {std::pair{80, 24}, {89, 24}, {90, 25}, {100, 25}, {120, 25}}) {
        // 1 + 2^-e - 1, k below 8: one pass everywhere.
        for (int e = 20; e < 30; ++e) {
            const float small = std::ldexp(1.0f, -e);
            const u32 result =
                dot(capability, Format::bf16, elements(16, {{0, one}, {1, bf16(small)}, {2, minus}}),
                    elements(16, {{0, one}, {1, one}, {2, one}}), 0);
            EXPECT_EQ(result, bits(e <= bits_kept ? small : 0.0f)) << capability << " " << e;
            // c is a term like the others.
            EXPECT_EQ(dot(capability, Format::bf16, elements(16, {{1, bf16(small)}, {2, minus}}),
                          elements(16, {{1, one}, {2, one}}), bits(1)),
                      bits(e <= bits_kept ? small : 0.0f));
        }
    }
}

TEST(EmulatedMma, ProductsAreNotNormalizedForTheirExponent) {
    // 1.5 * 1.5 = 2.25 counts as exponent 0: 2^-25 survives on Hopper; as exponent 1 it would not.
    const u32 x = bf16(1.5f), tiny = bf16(0x1p-25f);
    EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, x}, {1, tiny}, {2, x}}),
                  elements(16, {{0, x}, {1, bf16(1)}, {2, bf16(-1.5f)}}), 0),
              bits(0x1p-25f));
}

TEST(EmulatedMma, ExponentsHaveALeastOne) {
    // E is not less than -133 (-132 on older units): a term of 2^-149 keeps 2^-158 (2^-156) beside it.
    const auto f32 = [&](int capability, int e) {
        const float a = 0x1p-100f, tiny = -std::ldexp(1.0f, e + 100);
        return dot(capability, Format::bf16, elements(16, {{0, bf16(a)}, {1, bf16(a)}}),
                   elements(16, {{0, bf16(0x1p-49f)}, {1, bf16(tiny)}}), 0);
    };
    const u32 least = 1;  // 2^-149
    EXPECT_EQ(f32(90, -158), 0u);
    EXPECT_EQ(f32(90, -159), least);
    EXPECT_EQ(f32(80, -156), 0u);
    EXPECT_EQ(f32(80, -157), least);
    // Of f16 sums not less than -21 (-20): 2^-25 is a tie, and becomes 2^-24 with any more.
    const auto f16 = [&](int capability, int e) {
        const auto power = [](int exponent) { return encode_f16(std::ldexp(1.0f, exponent)); };
        return dot(capability, Format::f16, elements(16, {{0, power(-12)}, {1, power(-24)}}),
                   elements(16, {{0, power(-13)}, {1, power(e + 24)}}), 0, true);
    };
    EXPECT_EQ(f16(90, -46), 1u);
    EXPECT_EQ(f16(90, -47), 0u);
    EXPECT_EQ(f16(80, -44), 1u);
    EXPECT_EQ(f16(80, -45), 0u);
}

TEST(EmulatedMma, OlderUnitsSumHalfOfKAtOnce) {
    // 1 + 2^-24 in the lower half, -1 in the upper: the first sum is cut to f32.
    const u32 one = bf16(1), tiny = bf16(std::ldexp(1.0f, -24));
    const auto a = elements(16, {{0, one}, {1, tiny}, {15, bf16(-1)}});
    const auto b = elements(16, {{0, one}, {1, one}, {15, one}});
    EXPECT_EQ(dot(80, Format::bf16, a, b, 0), bits(0));
    EXPECT_EQ(dot(86, Format::bf16, a, b, 0), bits(0));
    EXPECT_EQ(dot(89, Format::bf16, a, b, 0), bits(0));
    EXPECT_EQ(dot(90, Format::bf16, a, b, 0), bits(std::ldexp(1.0f, -24)));
    EXPECT_EQ(dot(120, Format::bf16, a, b, 0), bits(std::ldexp(1.0f, -24)));
    // tf32 likewise, four at once.
    const auto a32 = elements(8, {{0, bits(1)}, {3, bits(std::ldexp(1.0f, -24))}, {4, bits(-1)}});
    const auto b32 = elements(8, {{0, bits(1)}, {3, bits(1)}, {4, bits(1)}});
    EXPECT_EQ(dot(80, Format::tf32, a32, b32, 0), bits(0));
    EXPECT_EQ(dot(90, Format::tf32, a32, b32, 0), bits(std::ldexp(1.0f, -24)));
}

TEST(EmulatedMma, ResultsAreRoundedTowardZero) {
    const u32 one = bf16(1);
    for (const float sign : {1.0f, -1.0f}) {
        // 1 + 3/4 of its last place.
        EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, bf16(sign * 0x1.8p-24f)}}),
                      elements(16, {{0, one}}), bits(sign)),
                  bits(sign));
    }
    // f16 to nearest even: 2048 + 1 and 2050 + 1.
    const u32 h_one = 0x3c00, h_2048 = 0x6800, h_2050 = 0x6801, h_2052 = 0x6802;
    EXPECT_EQ(dot(90, Format::f16, elements(16, {{0, h_one}}), elements(16, {{0, h_one}}), h_2048, true),
              h_2048);
    EXPECT_EQ(dot(90, Format::f16, elements(16, {{0, h_one}}), elements(16, {{0, h_one}}), h_2050, true),
              h_2052);
}

TEST(EmulatedMma, AnOverflowIsAnInfinity) {
    const u32 big = bf16(0x1p127f), one = bf16(1);
    EXPECT_EQ(
        dot(90, Format::bf16, elements(16, {{0, big}, {1, big}}), elements(16, {{0, one}, {1, one}}), 0),
        0x7f80'0000u);
    EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, big}}), elements(16, {{0, bf16(-4)}}), 0),
              0xff80'0000u);
    // Terms beyond f32 that cancel do not overflow.
    EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, big}, {1, big}}),
                  elements(16, {{0, bf16(4)}, {1, bf16(-4)}}), 0),
              bits(0));
    EXPECT_EQ(dot(90, Format::f16, elements(16, {{0, 0x7bff}}), elements(16, {{0, 0x4000}}), 0, true),
              0x7c00u);
}

TEST(EmulatedMma, NaNsAreCanonical) {
    const u32 infinity = 0x7f80, one = bf16(1);
    EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, infinity}}), elements(16, {{1, one}}), 0),
              0x7fff'ffffu);
    EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, infinity}, {1, infinity}}),
                  elements(16, {{0, one}, {1, bf16(-1)}}), 0),
              0x7fff'ffffu);
    EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, one}}), elements(16, {{0, one}}), 0xffc0'0001),
              0x7fff'ffffu);
    EXPECT_EQ(dot(90, Format::bf16, elements(16, {{0, infinity}}), elements(16, {{0, bf16(-1)}}), bits(1)),
              0xff80'0000u);
    EXPECT_EQ(dot(90, Format::f16, elements(16, {{0, 0x7c00}}), elements(16, {{1, 0x3c00}}), 0, true),
              0x7fffu);
    EXPECT_EQ(dot(89, Format::e4m3, elements(32, {{0, 0xff}}), elements(32, {{0, 0x38}}), 0), 0x7fff'ffffu);
}

TEST(EmulatedMma, AdasFp8HasThirteenBits) {
    const u32 one = 0x38, sixty_fourth = 0x08;  // of e4m3
    const auto a = elements(32, {{0, one}, {1, sixty_fourth}});
    for (const int capability : {89, 120}) {
        EXPECT_EQ(dot(capability, Format::e4m3, a, a, bits(0x1p-13f)), bits(1 + 0x1p-12f + 0x1p-13f));
        EXPECT_EQ(dot(capability, Format::e4m3, a, a, bits(0x1p-14f)),
                  bits(capability == 89 ? 1 + 0x1p-12f : 1 + 0x1p-12f + 0x1p-14f));
    }
}

TEST(EmulatedMma, Fp8WithoutAUnitIsWidenedAndAddsCLast) {
    // 2^-9 x 2^-9 thrice, added to 2^7 to nearest: 3 / 4 of its last place.
    const auto small = elements(32, {{0, 0x01}, {1, 0x01}, {4, 0x01}});
    for (const int capability : {90, 100, 103})
        EXPECT_EQ(dot(capability, Format::e4m3, small, small, bits(0x1p7f)), bits(0x1p7f + 0x1p-16f));
    EXPECT_EQ(dot(120, Format::e4m3, small, small, bits(0x1p7f)), bits(0x1p7f));

    // 2^8 + 2^-17 is cut to f32 after the elements with k mod 4 < 2; then comes -2^8.
    const u32 one = 0x38, sixteen = 0x58, minus = 0xd8;
    const auto a = elements(32, {{0, sixteen}, {1, 0x02}, {2, minus}, {3, 0x00}});
    const auto b = elements(32, {{0, sixteen}, {1, 0x01}, {2, sixteen}, {3, one}});
    EXPECT_EQ(dot(90, Format::e4m3, a, b, 0), bits(0));
    EXPECT_EQ(dot(120, Format::e4m3, a, b, 0), bits(0x1p-17f));
    const auto later_a = elements(32, {{0, sixteen}, {3, 0x02}, {2, minus}});
    const auto later_b = elements(32, {{0, sixteen}, {3, 0x01}, {2, sixteen}});
    EXPECT_EQ(dot(90, Format::e4m3, later_a, later_b, 0), bits(0x1p-17f));
}

TEST(EmulatedMma, ASumOfNothingIsPositiveZero) {
    const u32 minus_zero = 0x8000;
    EXPECT_EQ(
        dot(90, Format::bf16, std::vector<u32>(16, minus_zero), std::vector<u32>(16, bf16(1)), 0x8000'0000),
        0u);
    EXPECT_EQ(dot(80, Format::bf16, elements(16, {{0, bf16(1)}}), elements(16, {{0, bf16(1)}}), bits(-1)),
              0u);
}

// --- integers ---

i64 integer_value(u32 bits, int width, bool is_signed) {
    const i64 value = bits & ((1u << width) - 1);
    return is_signed && value >> (width - 1) != 0 ? value - (1ll << width) : value;
}

TEST(EmulatedMma, IntegersAreExactAtEveryLevel) {
    struct Form {
        int bits, rows, k;
    };
    const Form forms[] = {{8, 8, 16},  {8, 16, 16}, {8, 16, 32},  {4, 8, 32},  {4, 16, 32},
                          {4, 16, 64}, {1, 8, 128}, {1, 16, 128}, {1, 16, 256}};
    for (const Form& form : forms) {
        for (int variant = 0; variant < 16; ++variant) {
            IntegerProduct product;
            product.bits = static_cast<u8>(form.bits);
            product.rows = static_cast<u8>(form.rows);
            product.k = static_cast<u16>(form.k);
            product.a_signed = (variant & 1) != 0;
            product.b_signed = (variant & 2) != 0;
            product.saturates = (variant & 4) != 0 && form.bits != 1;
            product.counts_and = (variant & 8) != 0;
            Problem p{matrix(form.rows, form.k), matrix(form.k, 8), matrix(form.rows, 8)};
            const bool is_extreme = variant >= 8;
            for (auto& row : p.a) {
                for (u32& x : row)
                    x = is_extreme && form.bits != 1 ? 1u << (form.bits - 1) : static_cast<u32>(generator());
            }
            for (auto& row : p.b) {
                for (u32& x : row) x = static_cast<u32>(generator());
            }
            for (auto& row : p.c) {
                for (u32& x : row) {
                    const u32 near = random_below(2) == 0 ? 0x7fff'fff0u : 0x8000'0010u;  // the ends
                    x = variant % 2 == 0 ? near : static_cast<u32>(generator());
                }
            }
            for (const SimdLevel level : kLevels) {
                if (level > simd_level()) continue;
                Registers registers;
                distribute(p.a, p.b, p.c, form.bits, false, registers);
                mma::multipliers(level).multiply_integers(product, registers.fragments());
                const Matrix result = collect(registers.d, form.rows, false);
                for (int m = 0; m < form.rows; ++m) {
                    for (int n = 0; n < 8; ++n) {
                        i64 sum = static_cast<i32>(at(p.c, m, n));
                        for (int k = 0; k < form.k; ++k) {
                            const u32 x = at(p.a, m, k), y = at(p.b, k, n);
                            sum += form.bits == 1
                                       ? static_cast<i64>((product.counts_and ? x & y : x ^ y) & 1u)
                                       : integer_value(x, form.bits, product.a_signed) *
                                             integer_value(y, form.bits, product.b_signed);
                        }
                        if (product.saturates) sum = std::clamp<i64>(sum, -0x8000'0000ll, 0x7fff'ffffll);
                        ASSERT_EQ(result[static_cast<std::size_t>(m)][static_cast<std::size_t>(n)],
                                  static_cast<u32>(sum))
                            << form.bits << " bits, k " << form.k << " variant " << variant;
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace warpwright::emulator
