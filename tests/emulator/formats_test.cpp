// SPDX-License-Identifier: Apache-2.0
// The formats: every value of the narrow ones, and rounding against the definition in exact.h.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "emulator/execute/lanes.h"
#include "tests/emulator/exact.h"

namespace warpwright::emulator {
namespace {

bool same(double a, double b) {
    return a == b ? std::signbit(a) == std::signbit(b) : a != a && b != b;
}

template <FloatFormat F>
void check_decoding() {
    for (u32 pattern = 0; pattern < 1u << F.bits(); ++pattern) {
        const double expected = value_of_pattern(F, pattern);
        ASSERT_TRUE(same(decode<F>(pattern), expected)) << pattern;
        ASSERT_TRUE(same(decode<F>(pattern | ~0u << F.bits()), expected)) << pattern;
    }
}
TEST(Formats, EveryPatternHasItsValue) {
    check_decoding<kF16>();
    check_decoding<kBf16>();
    check_decoding<kE5m2>();
    check_decoding<kE4m3>();
    check_decoding<kUe4m3>();
    check_decoding<kE3m2>();
    check_decoding<kE2m3>();
    check_decoding<kE2m1>();
    static_assert(decode<kF16>(0x3c00) == 1.0f && decode<kE4m3>(0x7e) == 448.0f &&
                  decode<kE5m2>(0x7b) == 57344.0f);
    static_assert(decode<kE3m2>(0x1f) == 28.0f && decode<kE2m3>(0x1f) == 7.5f && decode<kE2m1>(0x7) == 6.0f);
    static_assert(decode<kE2m1>(0x1) == 0.5f && decode_ue8m0(0) == 0x1p-127f &&
                  decode_ue8m0(254) == 0x1p127f);
    for (u32 scale = 0; scale < 255; ++scale)
        ASSERT_EQ(static_cast<double>(decode_ue8m0(scale)), std::ldexp(1.0, static_cast<int>(scale) - 127));
    EXPECT_NE(decode_ue8m0(255), decode_ue8m0(255));
}

// Around every value of the format and every tie, beyond both ends; and random floats.
template <FloatFormat F>
std::vector<float> interesting() {
    std::vector<float> values = {0.0f,
                                 0x1p-149f,
                                 0x1p-126f,
                                 0x1p127f,
                                 std::numeric_limits<float>::max(),
                                 std::numeric_limits<float>::infinity(),
                                 std::numeric_limits<float>::quiet_NaN()};
    const u32 step = F.bits() > 8 ? 37 : 1;
    for (u32 magnitude = 0; magnitude <= F.largest(); magnitude += step) {
        const double value = value_of_magnitude(F, magnitude),
                     tie = (value + value_of_magnitude(F, magnitude + 1)) / 2;
        for (const double center : {value, tie}) {
            const auto x = static_cast<float>(center);
            values.push_back(x);
            values.push_back(std::nextafter(x, 0.0f));
            values.push_back(std::nextafter(x, std::numeric_limits<float>::infinity()));
        }
    }
    std::mt19937 random(3);
    for (int i = 0; i < 3000; ++i) values.push_back(float_of(static_cast<u32>(random())));
    const std::size_t count = values.size();
    for (std::size_t i = 0; i < count; ++i) values.push_back(-values[i]);
    return values;
}
template <FloatFormat F>
void check_encoding() {
    for (const float x : interesting<F>()) {
        const bool is_special = !std::isfinite(x);
        for (const bool saturates : {false, true}) {
            for (const Rounding rounding : {Rounding::nearest_even, Rounding::toward_zero, Rounding::down,
                                            Rounding::up, Rounding::nearest_away}) {
                const Overflow overflow = saturates ? Overflow::saturates : Overflow::ieee;
                const u32 got = encode(F, x, rounding, overflow);
                if (rounding == Rounding::nearest_even) {
                    const u32 nearest = saturates ? encode_nearest<F, true>(x) : encode_nearest<F, false>(x);
                    ASSERT_EQ(nearest, got) << x;
                    const double wide = x;
                    ASSERT_EQ((saturates ? encode_nearest<F, true>(wide) : encode_nearest<F, false>(wide)),
                              got)
                        << x;
                }
                u32 expected;
                if (!F.has_sign && x < 0)
                    expected = 0;
                else if (x != x)
                    expected = F.nan();
                else if (is_special) {
                    const u32 sign = std::signbit(x) ? F.sign() : 0;
                    expected = sign | (saturates || F.top == FloatFormat::Top::finite ? F.largest()
                                                                                      : F.largest() + 1);
                } else
                    expected = rounded(F, Exact(x), rounding, saturates, F.has_sign && std::signbit(x));
                ASSERT_EQ(got, expected) << x << " rounding " << static_cast<int>(rounding) << saturates;
            }
        }
    }
}
TEST(Formats, RoundingGivesTheNearestValue) {
    check_encoding<kF16>();
    check_encoding<kBf16>();
    check_encoding<kE5m2>();
    check_encoding<kE4m3>();
    check_encoding<kUe4m3>();
    check_encoding<kE3m2>();
    check_encoding<kE2m3>();
    check_encoding<kE2m1>();
}

TEST(Formats, DoublesAndIntegersAreRoundedOnce) {
    // Between two f16, nearer to a tie than f32 can say: through f32 it would round to even.
    EXPECT_EQ(encode(kF16, 1 + 0x1p-11 + 0x1p-40, Rounding::nearest_even, Overflow::ieee), 0x3c01u);
    EXPECT_EQ(encode(kF16, 1 + 0x1p-11 - 0x1p-40, Rounding::nearest_even, Overflow::ieee), 0x3c00u);
    EXPECT_EQ(encode_nearest<kF16>(1 + 0x1p-11 + 0x1p-40), 0x3c01u);
    EXPECT_EQ(encode_nearest<kF16>(1 + 0x1p-11 - 0x1p-40), 0x3c00u);
    EXPECT_EQ(encode_nearest<kF16>(0x1p-25 + 0x1p-60), 1u);
    EXPECT_EQ(encode_nearest<kBf16>(0x1p-134 + 0x1p-180), 1u);
    EXPECT_EQ(encode_nearest<kBf16>(0x1p-134), 0u);
    EXPECT_EQ(encode_nearest<kBf16>(0x1p300), 0x7f80u);
    EXPECT_EQ(encode(kBf16, 0x1p-134 + 0x1p-180, Rounding::nearest_even, Overflow::ieee), 1u);
    EXPECT_EQ(encode(kBf16, 0x1p-134, Rounding::nearest_even, Overflow::ieee), 0u);
    EXPECT_EQ(encode(kF32, 0x1p-1074, Rounding::up, Overflow::ieee), 1u);
    std::mt19937_64 random(5);
    for (int i = 0; i < 2000; ++i) {
        const u64 magnitude = random() >> random() % 64;
        Exact exact(static_cast<double>(magnitude >> 32) * 0x1p32);
        exact = exact + Exact(static_cast<double>(magnitude & 0xffffffffu));
        for (const Rounding rounding :
             {Rounding::nearest_even, Rounding::toward_zero, Rounding::down, Rounding::up}) {
            for (const FloatFormat& f : {kF32, kF16, kBf16}) {
                ASSERT_EQ(encode_scaled(f, false, magnitude, 0, rounding, Overflow::ieee),
                          rounded(f, exact, rounding));
                ASSERT_EQ(encode_scaled(f, true, magnitude, 0, rounding, Overflow::ieee),
                          rounded(f, -exact, rounding, false, true));
            }
        }
    }
}

TEST(Formats, ScalesArePowersOfTwo) {
    for (u32 bits = 0; bits < 0x7f800000u; bits += 0x1234567u / 16) {
        const float x = float_of(bits);
        for (const bool up : {false, true}) {
            for (const bool saturates : {false, true}) {
                // The last power that is not above |x|, or the first that is not below it.
                u32 expected = 0;
                if (up) {
                    while (expected < 255 &&
                           (expected == 255 || std::ldexp(1.0, static_cast<int>(expected) - 127) < x))
                        ++expected;
                } else {
                    while (expected < 254 && std::ldexp(1.0, static_cast<int>(expected) - 126) <= x)
                        ++expected;
                }
                if (expected == 255 && saturates) expected = 254;
                ASSERT_EQ(encode_ue8m0(x, up, saturates), expected) << x << up << saturates;
                ASSERT_EQ(encode_ue8m0(-x, up, saturates), expected) << x << up << saturates;
            }
        }
    }
    EXPECT_EQ(encode_ue8m0(float_of(0x7f800000u), false, true), 254u);
    EXPECT_EQ(encode_ue8m0(float_of(0x7f800000u), false, false), 255u);
    EXPECT_EQ(encode_ue8m0(float_of(0x7fc00000u), true, true), 255u);
}

}  // namespace
}  // namespace warpwright::emulator
