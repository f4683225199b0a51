// SPDX-License-Identifier: Apache-2.0
// Every code of every type against its definition, and encoding against a search for the nearest value.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "formats/bits.h"
#include "formats/codecs.h"

namespace warpwright::formats {
namespace {

struct Case {
    const char* name;
    SmallFloat type;
    int exponent_bias;
};
const Case kCases[] = {{"e4m3", kE4M3, 7}, {"e5m2", kE5M2, 15}, {"e2m1", kE2M1, 1}};

// The specification's: (-1)^s 2^(e - bias) (1 + m / 2^M), or for e = 0 (-1)^s 2^(1 - bias) (m / 2^M).
double by_definition(const Case& c, int code) {
    const int sign = code >> (c.type.bits() - 1) & 1;
    const int e = code >> c.type.mantissa_bits & ((1 << c.type.exponent_bits) - 1);
    const double fraction = (code & ((1 << c.type.mantissa_bits) - 1)) / std::exp2(c.type.mantissa_bits);
    const double magnitude =
        e == 0 ? std::exp2(1 - c.exponent_bias) * fraction : std::exp2(e - c.exponent_bias) * (1 + fraction);
    return sign != 0 ? -magnitude : magnitude;
}

bool is_finite(const Case& c, int code) {
    const std::string_view name = c.name;
    if (name == "e4m3") return (code & 0x7f) != 0x7f;
    return name != "e5m2" || (code & 0x7c) != 0x7c;
}

TEST(Codecs, DecodeEveryCode) {
    for (const Case& c : kCases) {
        for (int code = 0; code < 1 << c.type.bits(); ++code) {
            const float value = decode(c.type, static_cast<u8>(code));
            if (is_finite(c, code)) {
                EXPECT_EQ(value, by_definition(c, code)) << c.name << " " << code;
                EXPECT_EQ(std::signbit(value), code >> (c.type.bits() - 1) == 1);
            }
        }
    }
    EXPECT_TRUE(std::isnan(decode(kE4M3, 0x7f)) && std::isnan(decode(kE4M3, 0xff)));
    EXPECT_EQ(decode(kE5M2, 0x7c), INFINITY);
    EXPECT_EQ(decode(kE5M2, 0xfc), -INFINITY);
    for (const int code : {0x7d, 0x7e, 0x7f, 0xfd})
        EXPECT_TRUE(std::isnan(decode(kE5M2, static_cast<u8>(code))));
}

// Nearest finite value, of two as near the one whose code is even.
u8 nearest(const Case& c, float value) {
    const int sign = std::signbit(value) ? 1 << (c.type.bits() - 1) : 0;
    int best = 0;
    double best_distance = INFINITY;
    for (int code = 0; code < 1 << (c.type.bits() - 1); ++code) {
        if (!is_finite(c, code)) continue;
        const double distance = std::abs(std::abs(static_cast<double>(value)) - by_definition(c, code));
        if (distance < best_distance || (distance == best_distance && code % 2 == 0)) {
            best = code;
            best_distance = distance;
        }
    }
    return static_cast<u8>(sign | best);
}

TEST(Codecs, EncodeIsNearest) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> exponent(-30, 18), fraction(1, 2);
    for (const Case& c : kCases) {
        std::vector<float> values = {0.0F, -0.0F, 1e-30F, -1e-30F, 1e6F, -1e6F};
        for (int code = 0; code + 1 < 1 << (c.type.bits() - 1); ++code) {
            if (!is_finite(c, code + 1)) break;
            const auto low = static_cast<float>(by_definition(c, code));
            const auto middle = static_cast<float>((low + by_definition(c, code + 1)) / 2);  // exact
            for (const float value :
                 {low, middle, std::nextafter(middle, 0.0F), std::nextafter(middle, 1e9F)}) {
                values.push_back(value);
                values.push_back(-value);
            }
        }
        for (int i = 0; i < 20000; ++i) {
            values.push_back(fraction(random) * std::exp2(std::floor(exponent(random))) *
                             (i % 2 == 0 ? 1 : -1));
        }
        for (const float value : values)
            EXPECT_EQ(encode(c.type, value), nearest(c, value)) << c.name << " " << value;
        for (int code = 0; code < 1 << c.type.bits(); ++code) {
            if (!is_finite(c, code)) continue;
            EXPECT_EQ(encode(c.type, decode(c.type, static_cast<u8>(code))), code);
        }
        EXPECT_EQ(encode(c.type, INFINITY), c.type.max_code);
        EXPECT_EQ(encode(c.type, -INFINITY), c.type.max_code | c.type.sign_code());
    }
    EXPECT_TRUE(std::isnan(decode(kE4M3, encode(kE4M3, NAN))) &&
                std::isnan(decode(kE5M2, encode(kE5M2, NAN))));
    EXPECT_EQ(decode(kE2M1, encode(kE2M1, NAN)), 6);
}

TEST(Codecs, PowersOfTwo) {
    for (int code = 0; code < 255; ++code) {
        const auto value = static_cast<float>(std::exp2(code - 127.0));
        EXPECT_EQ(decode_e8m0(static_cast<u8>(code)), value);
        EXPECT_EQ(encode_e8m0_down(value), code);
        EXPECT_EQ(encode_e8m0_up(value), code);
        const float above = std::nextafter(value, INFINITY);
        EXPECT_EQ(encode_e8m0_down(above), code);
        EXPECT_EQ(encode_e8m0_up(above), std::min(code + 1, 254));
    }
    EXPECT_TRUE(std::isnan(decode_e8m0(255)));
}

TEST(Bits, StreamsComeBack) {
    std::mt19937 random(3);
    for (const int bits : {2, 3, 4, 8}) {
        for (const i64 count : {1, 5, 31, 32, 33, 97}) {
            std::vector<u8> codes(static_cast<std::size_t>(count)), back(codes.size());
            for (u8& code : codes) code = static_cast<u8>(random() & ((1U << bits) - 1));
            std::vector<u32> words(static_cast<std::size_t>(packed_words(count, bits)));
            pack_stream(codes.data(), count, bits, words.data());
            unpack_stream(reinterpret_cast<const std::byte*>(words.data()), count, bits, back.data());
            EXPECT_EQ(back, codes) << bits << " bits, " << count;
            // By the definition, bit by bit.
            for (i64 i = 0; i < count * bits; ++i) {
                const u32 bit = words[static_cast<std::size_t>(i / 32)] >> (i % 32) & 1;
                EXPECT_EQ(bit, static_cast<u32>(codes[static_cast<std::size_t>(i / bits)] >> (i % bits) & 1));
            }
        }
    }
}

}  // namespace
}  // namespace warpwright::formats
