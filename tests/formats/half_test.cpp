// SPDX-License-Identifier: Apache-2.0
#include "formats/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/host_math.h"

namespace warpwright::formats {
namespace {

// Every number of the type, what lies half-way between two and next to that, and random ones: as the CPU does
// it.
TEST(Half, AsTheCpuConverts) {
    std::mt19937 random(3);
    const auto expect_same = [](float value) {
        if (std::isnan(value)) {
            EXPECT_TRUE(std::isnan(decode_f16(encode_f16(value))));
        } else {
            EXPECT_EQ(encode_f16(value), float_to_f16(value)) << value;
        }
    };
    for (u32 code = 0; code < 1U << 16; ++code) {
        const float value = f16_to_float(static_cast<u16>(code));
        const u32 bits = std::bit_cast<u32>(decode_f16(static_cast<u16>(code)));
        EXPECT_TRUE(bits == std::bit_cast<u32>(value) || std::isnan(value)) << code;
        expect_same(value);
        const float middle = (value + f16_to_float(static_cast<u16>(code + 1))) / 2;
        for (const float near : {middle, std::nextafter(middle, 0.0F), std::nextafter(middle, 1e9F)})
            expect_same(near);
        expect_same(std::bit_cast<float>(static_cast<u32>(random())));
    }
}

}  // namespace
}  // namespace warpwright::formats
