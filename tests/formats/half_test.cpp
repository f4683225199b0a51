// SPDX-License-Identifier: Apache-2.0
#include "formats/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

namespace warpwright::formats {
namespace {

// Every number of the type, what lies half-way between two and next to that, and random ones: to the bit as
// the compiler converts, NaNs too.
TEST(Half, AsTheCompilerConverts) {
    std::mt19937 random(3);
    const auto widened = [](u32 code) {
        return static_cast<float>(std::bit_cast<_Float16>(static_cast<u16>(code)));
    };
    const auto expect_same = [](float value) {
        EXPECT_EQ(encode_f16(value), std::bit_cast<u16>(static_cast<_Float16>(value))) << value;
    };
    for (u32 code = 0; code < 1U << 16; ++code) {
        const float value = widened(code);
        EXPECT_EQ(std::bit_cast<u32>(decode_f16(static_cast<u16>(code))), std::bit_cast<u32>(value)) << code;
        expect_same(value);
        const float middle = (value + widened(code + 1)) / 2;
        for (const float near : {middle, std::nextafter(middle, 0.0F), std::nextafter(middle, 1e9F)})
            expect_same(near);
        expect_same(std::bit_cast<float>(static_cast<u32>(random())));
    }
}

}  // namespace
}  // namespace warpwright::formats
