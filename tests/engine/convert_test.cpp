// SPDX-License-Identifier: Apache-2.0
// Every set of instructions that this CPU has converts as the scalar functions do, bit for bit.
#include "engine/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/host_math.h"
#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr DType kTypes[] = {DType::bf16, DType::f16, DType::f32};

// Bits of fp32: each exponent with mantissas around every place where rounding changes, and values between.
std::vector<float> values() {
    std::vector<float> list;
    for (u32 high = 0; high < 512; ++high) {  // sign and exponent
        for (u32 bit = 0; bit < 23; ++bit) {
            for (const u32 offset : {0u, 1u, ~0u}) {
                for (const u32 pattern : {1u << bit, 3u << bit, (1u << bit) - 1}) {
                    list.push_back(std::bit_cast<float>(high << 23 | ((pattern + offset) & 0x7fffffu)));
                }
            }
        }
    }
    for (u32 i = 0; i < 1u << 20; ++i) list.push_back(std::bit_cast<float>(i * 0x9E3779B9u));
    return list;
}

TEST(Convert, EverySetNarrowsAsTheScalarFunctions) {
    const std::vector<float> from = values();
    const HostSimdList sets = host_simd_sets();
    for (int i = 0; i < sets.count; ++i) {
        for (const DType type : {DType::bf16, DType::f16}) {
            std::vector<u16> to(from.size());
            narrow_of(*sets.sets[i], type)(from.data(), static_cast<i64>(from.size()), to.data());
            for (std::size_t at = 0; at < from.size(); ++at) {
                const u16 wanted = type == DType::bf16 ? float_to_bf16(from[at]) : float_to_f16(from[at]);
                ASSERT_EQ(to[at], wanted) << sets.sets[i]->name << " " << dtype_name(type) << " of bits "
                                          << std::hex << std::bit_cast<u32>(from[at]);
            }
        }
    }
}

TEST(Convert, EveryLengthEndsWhereItShould) {
    const HostSimdList sets = host_simd_sets();
    for (int i = 0; i < sets.count; ++i) {
        for (i64 count = 0; count < 70; ++count) {
            std::vector<float> from(static_cast<std::size_t>(count), 1.5f);
            std::vector<u16> to(static_cast<std::size_t>(count) + 2, 7);
            narrow_of(*sets.sets[i], DType::f16)(from.data(), count, to.data() + 1);
            EXPECT_EQ(to.front(), 7) << count;
            EXPECT_EQ(to.back(), 7) << count;
            for (i64 at = 0; at < count; ++at)
                EXPECT_EQ(to[static_cast<std::size_t>(at) + 1], float_to_f16(1.5f));
        }
    }
}

// All pairs of types, in blocks and beyond one.
TEST(Convert, EveryPairOfTypes) {
    std::vector<float> numbers(5000);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        numbers[i] = std::ldexp(1 + static_cast<float>(i) / 5000, static_cast<int>(i % 37) - 20);
    }
    numbers[17] = std::numeric_limits<float>::infinity();
    const i64 count = static_cast<i64>(numbers.size());
    for (const DType from : kTypes) {
        std::vector<std::byte> in(static_cast<std::size_t>(count * dtype_bytes(from)));
        for (i64 i = 0; i < count; ++i) store_float(in.data(), from, i, numbers[static_cast<std::size_t>(i)]);
        for (const DType to : kTypes) {
            std::vector<std::byte> out(static_cast<std::size_t>(count * dtype_bytes(to)));
            convert(from, in.data(), to, out.data(), count);
            for (i64 i = 0; i < count; ++i) {
                const float wanted = round_to(to, load_float(in.data(), from, i));
                ASSERT_EQ(load_float(out.data(), to, i), wanted)
                    << dtype_name(from) << " to " << dtype_name(to) << " at " << i;
            }
        }
    }
}

}  // namespace
}  // namespace warpwright
