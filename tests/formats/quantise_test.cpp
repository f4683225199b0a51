// SPDX-License-Identifier: Apache-2.0
// Quantisers against compressed-tensors on the same matrix, and their vector code against the scalar
// definitions.
#include "formats/quantise.h"

#include <random>

#include "engine/quantize.h"
#include "golden.h"

namespace warpwright::test {
namespace {

using formats::Code;

TEST(Quantise, SameAsCompressedTensors) {
    const auto file = Safetensors::open(std::string(WW_SOURCE_DIR) + "/tests/formats/quantisers.safetensors");
    ASSERT_TRUE(file.ok()) << file.status().message();
    const auto weight = file->find("weight");
    ASSERT_TRUE(weight.ok());
    const i64 rows = weight->shape[0], columns = weight->shape[1];
    const auto* values = reinterpret_cast<const float*>(weight->bytes.data());
    for (CheckpointFormat format : quantize_formats()) {
        SCOPED_TRACE(format.name);
        format.recipe.scale_type = DType::f32;
        if (format.recipe.code == Code::u4) format.recipe.group_columns = 32;
        if (format.recipe.group_rows == 128) {
            format.recipe.group_rows = 32;
            format.recipe.group_columns = 64;
        }
        // Read by the config that would be written beside it.
        const auto read_as = format_of(quantization_config_of(format, {}), "layer");
        ASSERT_TRUE(read_as.ok()) << read_as.status().message();
        const auto stored = open_weight(*file, std::string(format.name), *read_as, rows, columns);
        ASSERT_TRUE(stored.ok()) << stored.status().message();
        const auto expected = read_rows(*stored, 0, rows);
        ASSERT_TRUE(expected.ok()) << expected.status().message();
        formats::QuantizedMatrix made;
        quantise_rows(format.recipe, values, rows, columns,
                      formats::largest_magnitude(values, rows * columns), made);
        EXPECT_EQ(made.codes, expected->codes);
        EXPECT_EQ(made.scales, expected->scales);
        EXPECT_EQ(made.zeros, expected->zeros);
        EXPECT_EQ(made.scale_codes, expected->scale_codes);
    }
}

TEST(Quantise, VectorCodeEncodesAsTheDefinition) {
    std::mt19937 random(11);
    std::vector<float> values;
    for (u32 half = 0; half < 1U << 16; ++half) {  // every finite bf16 number
        const float value = bf16_to_float(static_cast<u16>(half));
        if (std::isfinite(value)) values.push_back(value);
    }
    std::uniform_real_distribution<float> exponent(-20, 17), fraction(-2, 2);
    for (int i = 0; i < 200000; ++i) values.push_back(fraction(random) * std::exp2(exponent(random)));
    for (const auto& [code, type] : {std::pair{Code::e4m3, formats::kE4M3},
                                     {Code::e5m2, formats::kE5M2},
                                     {Code::e2m1, formats::kE2M1}}) {
        std::vector<u8> codes(values.size());
        formats::encode_run(code, values.data(), static_cast<i64>(values.size()), 1, 0, codes.data());
        int num_wrong = 0;
        for (std::size_t i = 0; i < values.size(); ++i) num_wrong += codes[i] != encode(type, values[i]);
        EXPECT_EQ(num_wrong, 0) << facts_of(code).name;
    }
}

TEST(Quantise, IntegersSaturateAndRoundToEven) {
    const std::vector<float> values{-9, -8.5F, -7.5F, -0.5F, 0.5F, 1.5F, 6.5F, 7.5F, 9};
    std::vector<u8> codes(values.size());
    formats::encode_run(Code::u4, values.data(), 9, 1, 8, codes.data());
    EXPECT_EQ(codes, (std::vector<u8>{0, 0, 0, 8, 8, 10, 14, 15, 15}));
    const std::vector<float> wide{-200, -128.5F, -127.5F, -1, 126.5F, 127.5F, 200};
    formats::encode_run(Code::i8, wide.data(), 7, 1, 0, codes.data());
    codes.resize(7);
    EXPECT_EQ(codes, (std::vector<u8>{0x80, 0x80, 0x80, 0xff, 126, 127, 127}));
}

// What a matrix of zeros becomes is zeros, with scales that can be divided by.
TEST(Quantise, Zeros) {
    const std::vector<float> zeros(2 * 128);
    for (const CheckpointFormat& format : quantize_formats()) {
        formats::QuantizedMatrix made;
        quantise_rows(format.recipe, zeros.data(), 2, 128, 0, made);
        std::vector<float> back(zeros.size(), 1);
        dequantise(made, back.data());
        EXPECT_EQ(back, zeros) << format.name;
        for (const float scale : made.scales) EXPECT_TRUE(scale > 0 && std::isfinite(scale)) << format.name;
    }
}

}  // namespace
}  // namespace warpwright::test
