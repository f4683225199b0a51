// SPDX-License-Identifier: Apache-2.0
// In which form products are multiplied: what the config says, what kernels have rows for, which parts of a
// product stay together.
#include "engine/weight_forms.h"

#include <gtest/gtest.h>

#include "engine/packed_rows.h"
#include "engine/parameters.h"
#include "engine/quantize.h"
#include "kernels/quantized_gemm/pack.h"

namespace warpwright {
namespace {

// 256 wide, 2 layers, with this quantization_config.
ModelConfig config_of(const std::string& quantization) {
    auto config =
        parse_config(R"({"architectures":["LlamaForCausalLM"],"hidden_size":256,"num_hidden_layers":2,
        "num_attention_heads":4,"num_key_value_heads":2,"head_dim":64,"intermediate_size":384,"vocab_size":50,
        "quantization_config":)" +
                         quantization + "}",
                     "", "config.json");
    EXPECT_TRUE(config.ok()) << config.status().message();
    return *config;
}

ModelForms forms_of_config(const std::string& quantization) {
    auto forms = expected_forms(config_of(quantization));
    EXPECT_TRUE(forms.ok()) << forms.status().message();
    return *forms;
}

std::string gptq(int bits, int group, const std::string& more = "") {
    return R"({"quant_method":"gptq","sym":true,"bits":)" + std::to_string(bits) + R"(,"group_size":)" +
           std::to_string(group) + more + "}";
}

TEST(WeightForms, AreWhatTheConfigSays) {
    const ModelForms int4 = forms_of_config(gptq(4, 128));
    ASSERT_EQ(int4.layers.size(), 2U);
    ASSERT_EQ(int4.layers[1].qkv.size(), 1U);
    const PartForm& qkv = int4.layers[1].qkv[0];
    EXPECT_EQ(qkv.name, "qkv_proj");
    EXPECT_EQ(qkv.rows, 512);
    EXPECT_EQ(qkv.form, (WeightForm{true, WeightFormat::int4, 128, DType::f16, false, false}));
    EXPECT_FALSE(int4.lm_head[0].form.packed);
    EXPECT_EQ(int4.formats, (std::vector<std::string>{"int4", "bf16"}));
    EXPECT_TRUE(int4.notes.empty());
    // Codes of 2 and 3 bits are multiplied as 4; one group for the whole row; an order.
    EXPECT_EQ(forms_of_config(gptq(2, 64)).layers[0].down[0].form.format, WeightFormat::int4);
    EXPECT_EQ(forms_of_config(gptq(3, -1)).layers[0].down[0].form.group, 0);
    EXPECT_TRUE(forms_of_config(gptq(4, 32, R"(,"desc_act":true)")).layers[0].o[0].form.order);
    EXPECT_EQ(forms_of_config(gptq(8, 128)).layers[0].o[0].form.format, WeightFormat::int8);
}

TEST(WeightForms, WhatNoKernelHasARowForIsNumbers) {
    const ModelForms small = forms_of_config(gptq(4, 16));
    EXPECT_EQ(small.formats, (std::vector<std::string>{"bf16"}));
    ASSERT_EQ(small.notes.size(), 1U);
    EXPECT_EQ(
        small.notes[0],
        "8 quantised weights are converted to bf16: groups of 16: kernels take powers of two from 32 on "
        "(the first: model.layers.0.self_attn.q_proj.weight)");
    ModelConfig config = config_of(gptq(4, 128));
    config.dequantise = true;
    const auto numbers = expected_forms(config);
    ASSERT_TRUE(numbers.ok());
    EXPECT_EQ(numbers->formats, (std::vector<std::string>{"bf16"}));
    EXPECT_TRUE(numbers->notes.empty());
    EXPECT_EQ(numbers->weight_bytes, 2 * num_parameters(config));
}

// ModelOpt names every layer: what has another format is another part, or another entry.
TEST(WeightForms, PartsOfDifferentFormatsAreApart) {
    const ModelForms forms = forms_of_config(
        R"({"quant_method":"modelopt","quant_algo":"MIXED_PRECISION","quantized_layers":{
        "model.layers.0.self_attn.q_proj":{"quant_algo":"FP8"},
        "model.layers.0.self_attn.k_proj":{"quant_algo":"NVFP4"},
        "model.layers.0.self_attn.v_proj":{"quant_algo":"NVFP4"},
        "model.layers.1.mlp.up_proj":{"quant_algo":"FP8"},
        "model.layers.1.mlp.gate_proj":{"quant_algo":"FP8"}}})");
    const ProductForm& qkv = forms.layers[0].qkv;
    ASSERT_EQ(qkv.size(), 2U);
    EXPECT_EQ(qkv[0].name, "q_proj");
    EXPECT_EQ(qkv[0].rows, 256);
    EXPECT_EQ(qkv[0].form.format, WeightFormat::fp8_e4m3);
    EXPECT_EQ(qkv[1].name, "k_proj+v_proj");
    EXPECT_EQ(qkv[1].rows, 256);
    EXPECT_EQ(qkv[1].form.format, WeightFormat::nvfp4);
    EXPECT_FALSE(forms.layers[1].qkv[0].form.packed);
    EXPECT_EQ(forms.layers[1].gate_up[0].name, "gate_up_proj");
    EXPECT_TRUE(forms.layers[1].gate_up[0].form.packed);
}

TEST(WeightForms, WhatIfTheyWereInAnotherFormat) {
    auto config = load_config("llama-3.1-8b");
    ASSERT_TRUE(config.ok());
    for (const CheckpointFormat& format : quantize_formats()) {
        const auto formed = with_format(*config, std::string(format.name));
        ASSERT_TRUE(formed.ok()) << formed.status().message();
        const auto forms = expected_forms(*formed);
        ASSERT_TRUE(forms.ok()) << forms.status().message();
        EXPECT_EQ(forms->formats.size(), 2U) << format.name;  // and the output layer
        EXPECT_TRUE(forms->notes.empty()) << format.name;
        const int bits = facts_of(format.recipe.code).bits;
        // 6.98 billion weights in layers, 1.05 billion beside them; scales are less than an eighth.
        const double codes = 6.98e9 * bits / 8 + 2 * 1.051e9;
        EXPECT_GT(static_cast<double>(forms->weight_bytes), 0.99 * codes) << format.name;
        EXPECT_LT(static_cast<double>(forms->weight_bytes), 1.13 * codes) << format.name;
    }
    const auto f16 = with_format(*config, "f16");
    ASSERT_TRUE(f16.ok());
    EXPECT_EQ(f16->dtype, DType::f16);
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "got 'int5'; nearest: int",
                        with_format(*config, "int5").status().message());
    config->hidden_size = 4096 + 64;
    const auto uneven = with_format(*config, "int4");
    ASSERT_TRUE(uneven.ok());
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "groups of 128 do not divide the 4160 columns",
                        expected_forms(*uneven).status().message());
}

// Scales of one group stand for each part of it that a kernel takes.
TEST(WeightForms, GroupsOfAnySizeAreThePartsOfThem) {
    formats::QuantizedMatrix matrix{.rows = 64, .columns = 192, .code = formats::Code::e4m3};
    matrix.group_columns = 96;
    for (i64 i = 0; i < 64 * 192; ++i) matrix.codes.push_back(static_cast<u8>(i % 120));
    for (i64 i = 0; i < 64 * 2; ++i) matrix.scales.push_back(1 + static_cast<float>(i) / 128);
    std::vector<float> expected(64 * 192), found(64 * 192);
    dequantise(matrix, expected.data());
    const WeightForm form{true, WeightFormat::fp8_e4m3, 32, DType::bf16, false, false};
    const auto packed = pack_rows(matrix, form);
    ASSERT_TRUE(packed.ok()) << packed.status().message();
    EXPECT_EQ(packed->group, 32);
    dequantise(unpack_weight(*packed), found.data());
    EXPECT_EQ(found, expected);
    matrix.scales[5] = 1.0001F;
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "scale 1.0001 is no bf16",
                        pack_rows(matrix, form).status().message());
}

}  // namespace
}  // namespace warpwright
