// SPDX-License-Identifier: Apache-2.0
// Every reader against the format's own package: the same weights, bit for bit.
#include "golden.h"

#include <random>

namespace warpwright::test {
namespace {

std::vector<float> weights_of(const formats::StoredWeight& weight, i64 first, i64 count) {
    auto rows = read_rows(weight, first, count);
    EXPECT_TRUE(rows.ok()) << rows.status().message();
    if (!rows.ok()) return {};
    EXPECT_EQ(rows->rows, count);
    std::vector<float> values(static_cast<std::size_t>(count * weight.columns));
    dequantise(*rows, values.data());
    return values;
}

// Rounded to the type that the package dequantised to.
void expect_weights(const formats::StoredWeight& weight, const StoredTensor& expected, i64 first_element) {
    const std::vector<float> values = weights_of(weight, 0, weight.rows);
    i64 num_wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float want =
            load_float(expected.bytes.data(), expected.dtype, first_element + static_cast<i64>(i));
        num_wrong += round_to(expected.dtype, values[i]) != want;
    }
    EXPECT_EQ(num_wrong, 0);
    // Any cut into rows gives the same.
    std::mt19937 random(1);
    for (int i = 0; i < 12; ++i) {
        const i64 first = static_cast<i64>(random() % static_cast<u64>(weight.rows));
        const i64 count = 1 + static_cast<i64>(random() % static_cast<u64>(weight.rows - first));
        const std::vector<float> part = weights_of(weight, first, count);
        const auto whole = values.begin() + first * weight.columns;
        EXPECT_TRUE(std::equal(part.begin(), part.end(), whole)) << "rows " << first << " + " << count;
    }
}

TEST(Goldens, EveryFormatAsItsPackageReadsIt) {
    ASSERT_EQ(goldens().size(), 36U);
    for (const auto& [name, entry] : goldens().items()) {
        SCOPED_TRACE(name);
        const Golden golden = Golden::open(name);
        const auto expected = golden.file.find("expected");
        ASSERT_TRUE(expected.ok()) << expected.status().message();
        if (name == "gpt_oss_mxfp4") continue;
        const auto weight = open_golden(golden, golden.config);
        ASSERT_TRUE(weight.ok()) << weight.status().message();
        expect_weights(*weight, *expected, 0);
    }
}

TEST(Goldens, ExpertsOfGptOss) {
    Golden golden = Golden::open("gpt_oss_mxfp4");
    const auto expected = golden.file.find("expected");
    ASSERT_TRUE(expected.ok());
    for (i64 expert = 0; expert < 2; ++expert) {
        const auto weight = open_gpt_oss_expert(golden.file, "layer.gate_up_proj", expert, 2, 16, 96);
        ASSERT_TRUE(weight.ok()) << weight.status().message();
        expect_weights(*weight, *expected, expert * 16 * 96);
    }
    EXPECT_FALSE(open_gpt_oss_expert(golden.file, "layer.gate_up_proj", 2, 2, 16, 96).ok());
}

}  // namespace
}  // namespace warpwright::test
