// SPDX-License-Identifier: Apache-2.0
// What is wrong with a quantised checkpoint is said by name, before anything is computed.
#include <algorithm>
#include <cmath>
#include <set>

#include "edited.h"

namespace warpwright::test {
namespace {

#define EXPECT_REFUSAL(edited, part) EXPECT_PRED_FORMAT2(testing::IsSubstring, part, (edited).refusal())

TEST(Refusals, UnchangedGoldensAreNot) {
    for (const auto& [name, entry] : goldens().items()) {
        if (name == "gpt_oss_mxfp4") continue;
        EXPECT_EQ(Edited(name).refusal(), "") << name;
    }
}

TEST(Refusals, Shapes) {
    Edited gptq("gptq_int4");
    gptq["qweight"].shape = {6, 128};
    EXPECT_REFUSAL(gptq,
                   "tensor layer.qweight: expected I32 [12, 64] for gptq u4, groups of 32 of [64, 96], got "
                   "I32 [6, 128]");
    Edited type("gptq_int4");
    type["scales"].type = "I16";
    EXPECT_REFUSAL(type, "tensor layer.scales: expected F32 or F16 or BF16 [3, 64]");
    Edited compressed("compressed_int4");
    compressed["weight_shape"].as<i64>()[1] = 120;
    EXPECT_REFUSAL(compressed, "tensor layer.weight_shape: expected 48, 128, got 48, 120");
    Edited fp8("deepseek_fp8");
    fp8["weight_scale_inv"].shape = {2, 3};
    EXPECT_REFUSAL(fp8, "tensor layer.weight_scale_inv: expected F32 or F16 or BF16 [3, 2]");
}

// Every packed tensor of every format, and every tensor of scales or zero points, with one row less.
TEST(Refusals, ShapeOfEveryTensor) {
    for (const auto& [name, entry] : goldens().items()) {
        if (name == "gpt_oss_mxfp4") continue;
        const Edited whole(name);
        for (const auto& [tensor, stored] : whole.tensors) {
            if (tensor == "expected" || stored.shape.empty() || tensor.ends_with("input_scale")) continue;
            if (tensor.ends_with("g_idx") && !entry["quantization_config"].value("desc_act", false)) continue;
            Edited edited(name);
            EditedTensor& changed = edited.tensors[tensor];
            changed.bytes.resize(changed.bytes.size() / static_cast<std::size_t>(changed.shape[0]) *
                                 static_cast<std::size_t>(changed.shape[0] + 1));
            changed.shape[0] += 1;
            EXPECT_REFUSAL(edited, "tensor " + tensor + ": expected ");
        }
    }
}

TEST(Refusals, Groups) {
    Edited gptq("gptq_int4");
    gptq.config["group_size"] = 40;
    EXPECT_REFUSAL(gptq, "layer: gptq: groups of 40 do not divide the 96 columns");
    Edited none("gptq_int4");
    none.config["group_size"] = 0;
    EXPECT_REFUSAL(none, "'group_size': expected -1 or a positive number, got 0");
}

TEST(Refusals, Scales) {
    for (const float bad : {0.0F, -0.5F, NAN, INFINITY}) {
        Edited fp8("deepseek_fp8");
        fp8["weight_scale_inv"].as<float>()[3] = bad;
        EXPECT_REFUSAL(fp8, "tensor layer.weight_scale_inv: scale [1, 1]: expected positive and finite, got");
        Edited global("compressed_nvfp4");
        global["weight_global_scale"].as<float>()[0] = bad;
        EXPECT_REFUSAL(global, "tensor layer.weight_global_scale: expected a positive finite number, got");
    }
    // One of each layout of scales: by column, by row, by row and group.
    for (const u16 bad : {u16{0}, u16{0x8000}, u16{0xbc00}, u16{0x7c00}, u16{0xfc00}, u16{0x7e00}}) {
        for (const char* name : {"gptq_int4", "awq_gemm", "awq_gemv"}) {
            Edited half(name);
            half["scales"].as<u16>()[1] = bad;
            EXPECT_REFUSAL(half, "tensor layer.scales: scale [0, 1]: expected positive and finite, got");
        }
        Edited int4("torchao_int4");
        int4["_weight_scale"].as<u16>()[5] = bad == 0xbc00 ? u16{0xbf80} : bad == 0x7c00 ? u16{0x7f80} : bad;
        if (bad == 0xfc00 || bad == 0x7e00) int4["_weight_scale"].as<u16>()[5] = 0x7fc0;
        EXPECT_REFUSAL(int4, "tensor layer._weight_scale: scale [1, 1]: expected positive and finite, got");
    }
    Edited half("gptq_int4");
    half["scales"].as<u16>()[64 + 7] = 0xfe00;  // NaN
    EXPECT_REFUSAL(half, "tensor layer.scales: scale [1, 7]: expected positive and finite");
    Edited mx("compressed_mxfp4");
    mx["weight_scale"].as<u8>()[5] = 0xff;
    EXPECT_REFUSAL(mx, "tensor layer.weight_scale: scale [1, 1]: expected positive and finite");
    Edited code("compressed_fp8_channel");
    code["weight"].as<u8>()[130] = 0xff;
    EXPECT_REFUSAL(code, "tensor layer.weight: element [1, 2] is NaN");
}

TEST(Refusals, MissingTensors) {
    Edited gptq("gptq_int4_asym_v1");
    gptq.erase("qzeros");
    EXPECT_REFUSAL(gptq, "there is no tensor layer.qzeros");
    Edited compressed("compressed_int4_asym");
    compressed.erase("weight_zero_point");
    EXPECT_REFUSAL(compressed, "there is no tensor layer.weight_zero_point");
    Edited awq("awq_gemm");
    awq.erase("qzeros");
    EXPECT_REFUSAL(awq, "there is no tensor layer.qzeros");
    Edited torchao("torchao_int4_asym");
    torchao.erase("_weight_zero_point");
    EXPECT_REFUSAL(torchao, "there is no tensor layer._weight_zero_point");
    Edited order("gptq_int4_act_order");
    order.erase("g_idx");
    EXPECT_REFUSAL(order, "there is no tensor layer.g_idx");
}

TEST(Refusals, OneFormatDeclaredAnotherPresent) {
    const auto declared = [](const char* golden, const char* other) {
        Edited edited(golden);
        edited.config = goldens().at(other).at("quantization_config");
        return edited.refusal();
    };
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "found: compressed-tensors (weight_packed)",
                        declared("compressed_int4", "gptq_int4"));
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "found: gptq or awq (qweight)",
                        declared("gptq_int4", "compressed_int4"));
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "found: fp8 blocks (weight_scale_inv)",
                        declared("deepseek_fp8", "compressed_int4"));
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "tensor layer.qweight: expected I32",
                        declared("awq_gemm", "gptq_int4"));
}

// Every golden by every other one's config: where tensors have other names, or are missing, it is said which.
TEST(Refusals, EveryFormatDeclaredAsEveryOther) {
    std::map<std::string, std::set<std::string>> tensors_of;
    for (const auto& [name, entry] : goldens().items()) {
        const Edited edited(name);
        for (const auto& [tensor, stored] : edited.tensors) {
            const bool is_optional = tensor.ends_with("g_idx") || tensor.ends_with("input_scale");
            if (tensor != "expected" && !is_optional) tensors_of[name].insert(tensor);
        }
    }
    tensors_of.erase("gpt_oss_mxfp4");
    int num_refused = 0;
    for (const auto& [name, present] : tensors_of) {
        Edited edited(name);
        for (const auto& [other, wanted] : tensors_of) {
            if (std::includes(present.begin(), present.end(), wanted.begin(), wanted.end())) continue;
            edited.config = goldens().at(other).at("quantization_config");
            ++num_refused;
            EXPECT_PRED_FORMAT2(testing::IsSubstring, "layer", edited.refusal()) << name << " as " << other;
        }
    }
    EXPECT_GT(num_refused, 800);
}

TEST(Refusals, OrderOfGroupsOfCompressedTensors) {
    Edited edited("compressed_int4");
    edited.config["config_groups"]["group_0"]["weights"]["actorder"] = "group";
    EXPECT_REFUSAL(edited, "there is no tensor layer.weight_g_idx");
    edited["weight_g_idx"] = {"I32", {128}, std::vector<std::byte>(4 * 128)};
    EXPECT_EQ(edited.refusal(), "");
    edited["weight_g_idx"].as<i32>()[7] = 4;
    EXPECT_REFUSAL(edited, "tensor layer.weight_g_idx: element 7: expected a group from 0 to 3, got 4");
}

TEST(Refusals, OrderOfGroups) {
    for (const i32 bad : {-1, 3}) {
        Edited edited("gptq_int4_act_order");
        edited["g_idx"].as<i32>()[17] = bad;
        EXPECT_REFUSAL(edited, "tensor layer.g_idx: element 17: expected a group from 0 to 2, got");
    }
}

TEST(Refusals, CodesAndZeroPointsOutOfRange) {
    Edited code("torchao_int4");
    code["_weight_qdata"].as<i8>()[130] = 8;
    EXPECT_REFUSAL(code, "tensor layer._weight_qdata: element [1, 2]: expected -8 to 7, got 8");
    Edited zero("torchao_int4_asym");
    zero["_weight_zero_point"].as<i8>()[5] = -9;
    EXPECT_REFUSAL(zero, "tensor layer._weight_zero_point: zero point [2, 1]: expected -8 to 7, got -9");
    Edited symmetric("torchao_int8");
    symmetric["_weight_zero_point"].as<i8>()[3] = 1;
    EXPECT_REFUSAL(
        symmetric,
        "tensor layer._weight_zero_point: zero point [3, 0]: expected 0 of a symmetric mapping, got 1");
}

// Inputs would have to be multiplied by it.
TEST(Refusals, ScalesOfInputs) {
    Edited edited("modelopt_int4");
    edited["pre_quant_scale"] = {"BF16", {128}, std::vector<std::byte>(256)};
    EXPECT_REFUSAL(edited, "tensor layer.pre_quant_scale: expected none: inputs would be multiplied by it");
}

// The other convention has the same names and shapes.
TEST(Refusals, Conventions) {
    for (const char* name : {"gptq_int4", "gptq_int8", "gptq_int4_act_order", "gptq_int4_asym_v1"}) {
        Edited v1(name);
        v1.config["checkpoint_format"] = "gptq_v2";
        EXPECT_REFUSAL(v1, "declared checkpoint_format gptq_v2, but the zero points are those of gptq:");
    }
    Edited v2("gptq_int4_asym_v2");
    v2.config["checkpoint_format"] = "gptq";
    EXPECT_REFUSAL(v2, "declared checkpoint_format gptq, but the zero points are those of gptq_v2:");

    Edited divisor("compressed_nvfp4");
    float& global = divisor["weight_global_scale"].as<float>()[0];
    global = 1 / global;
    EXPECT_REFUSAL(divisor, "is that of modelopt (weight_scale_2)");
    Edited multiplier("modelopt_nvfp4");
    float& scale_2 = multiplier["weight_scale_2"].as<float>()[0];
    scale_2 = 1 / scale_2;
    EXPECT_REFUSAL(multiplier, "is that of compressed-tensors");

    Edited blocks("deepseek_fp8");
    for (i64 i = 0; i < 6; ++i) {
        float& scale = blocks["weight_scale_inv"].as<float>()[i];
        scale = 1 / scale;
    }
    EXPECT_REFUSAL(blocks, "tensor layer.weight_scale_inv: scales are expected to multiply");
}

TEST(Refusals, Configs) {
    const auto refused = [](const char* text) {
        const auto config = QuantizationConfig::parse(nlohmann::json::parse(text), "q");
        return config.ok() ? std::string() : config.status().message();
    };
    EXPECT_EQ(
        refused(R"({"quant_method": "bitsandbytes"})"),
        "q: 'quant_method': expected gptq, awq, compressed-tensors, fp8, modelopt, mxfp4 or torchao, got "
        "'bitsandbytes'");
    EXPECT_EQ(refused("{}"),
              "q: 'quant_method': expected gptq, awq, compressed-tensors, fp8, modelopt, mxfp4 or torchao, "
              "got none");
    EXPECT_EQ(refused(R"({"quant_method": "gptq", "bits": 5})"), "q: bits: expected 2, 3, 4 or 8, got 5");
    EXPECT_EQ(refused(R"({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"})"),
              "q: 'checkpoint_format': expected gptq or gptq_v2, got 'marlin'");
    EXPECT_EQ(refused(R"({"quant_method": "awq", "bits": 4, "version": "exllama"})"),
              "q: 'version': expected gemm or gemv, got 'exllama'");
    EXPECT_EQ(refused(R"({"quant_method": "fp8", "weight_block_size": [128, 0]})"),
              "q: 'weight_block_size': expected two positive integers");
    EXPECT_EQ(
        refused(R"({"quant_method": "modelopt", "quant_algo": "NVFP4_SVD"})"),
        "q: 'quant_algo': expected FP8, FP8_PER_CHANNEL_PER_TOKEN, FP8_PB_WO, NVFP4, W4A16_NVFP4, NVFP4_AWQ, "
        "W4A8_NVFP4_FP8, MXFP8, W4A8_MXFP4_FP8, W8A16, W8A8_SQ_PER_CHANNEL, W4A16_AWQ, W4A8_AWQ or "
        "MIXED_PRECISION, got 'NVFP4_SVD'");
    const auto torchao = [&](const std::string& type) {
        return refused((R"({"quant_method": "torchao", "quant_type": {"default": )" + type + "}}").c_str());
    };
    EXPECT_EQ(torchao(R"({"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 32}})"),
              "q: quant_type: default: Int4WeightOnlyConfig: its zero points are floating-point numbers, "
              "which no row "
              "multiplies with: quantise the original with `warpwright quantize --format int4-asym`, or by "
              "torchao's "
              "IntxWeightOnlyConfig");
    EXPECT_EQ(torchao(R"({"_type": "IntxWeightOnlyConfig", "_data": {"weight_dtype": {"_data": "int5"}}})"),
              "q: quant_type: default: IntxWeightOnlyConfig: 'weight_dtype': expected int2, int3, int4 or "
              "int8, got "
              "'int5'");
    EXPECT_EQ(
        torchao(R"({"_type": "Int8WeightOnlyConfig", "_data": {"granularity": {"_type": "PerBlock"}}})"),
        "q: quant_type: default: Int8WeightOnlyConfig: granularity: expected PerRow, PerAxis, PerTensor or "
        "PerGroup, got 'PerBlock'");
    EXPECT_EQ(torchao(R"({"_type": "UIntXWeightOnlyConfig"})"),
              "q: quant_type: default: UIntXWeightOnlyConfig: expected Float8WeightOnlyConfig, "
              "Float8DynamicActivationFloat8WeightConfig, Int8WeightOnlyConfig, "
              "Int8DynamicActivationInt8WeightConfig, "
              "IntxWeightOnlyConfig or Int8DynamicActivationIntxWeightConfig");
}

TEST(Rules, WhichLayersAreQuantised) {
    const auto of = [](const char* text, const char* layer) {
        const auto format = format_of(nlohmann::json::parse(text), layer);
        return format.ok() ? describe_format(*format) : format.status().message();
    };
    const char* gptq = R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic":
        {"-:.*layers\\.0\\.": {}, "+:.*down_proj": {"bits": 8, "group_size": -1}}})";
    EXPECT_EQ(of(gptq, "model.layers.1.mlp.up_proj"), "gptq u4, groups of 128");
    EXPECT_EQ(of(gptq, "model.layers.0.mlp.up_proj"), "not quantised");
    EXPECT_EQ(of(gptq, "model.layers.1.mlp.down_proj"), "gptq u8, a scale per row");
    EXPECT_EQ(of(gptq, "lm_head"), "not quantised");

    const char* fp8 = R"({"quant_method": "fp8", "modules_to_not_convert": ["mlp.gate", "model.layers.0"]})";
    EXPECT_EQ(of(fp8, "model.layers.10.mlp.gate_proj"), "fp8 e4m3, one scale");
    EXPECT_EQ(of(fp8, "model.layers.10.mlp.gate"), "not quantised");
    EXPECT_EQ(of(fp8, "model.layers.0.mlp.up_proj"), "not quantised");

    const char* compressed = R"({"quant_method": "compressed-tensors", "format": "mixed-precision", "ignore":
        ["lm_head", "re:.*o_proj"], "config_groups": {
        "a": {"targets": ["Linear"], "format": "pack-quantized", "weights": {"num_bits": 4, "type": "int",
              "strategy": "group", "group_size": 64}},
        "b": {"targets": ["re:.*mlp.*"], "format": "float-quantized", "weights": {"num_bits": 8, "type": "float",
              "strategy": "channel"}}}})";
    EXPECT_EQ(of(compressed, "model.layers.1.self_attn.q_proj"),
              "compressed-tensors pack-quantized u4, groups of 64");
    EXPECT_EQ(of(compressed, "model.layers.1.mlp.up_proj"), "compressed-tensors e4m3, a scale per row");
    EXPECT_EQ(of(compressed, "model.layers.1.self_attn.o_proj"), "not quantised");
    EXPECT_EQ(of(compressed, "lm_head"), "not quantised");

    const char* mixed =
        R"({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "ignore": ["*.layers.1.*"],
        "quantized_layers": {"model.layers.0.mlp.up_proj": {"quant_algo": "NVFP4", "group_size": 16},
        "model.layers.0.mlp.down_proj": {"quant_algo": "FP8"}, "model.layers.1.mlp.up_proj": {"quant_algo": "FP8"}}})";
    EXPECT_EQ(of(mixed, "model.layers.0.mlp.up_proj"), "modelopt nvfp4 e2m1, groups of 16");
    EXPECT_EQ(of(mixed, "model.layers.0.mlp.down_proj"), "modelopt fp8 e4m3, one scale");
    EXPECT_EQ(of(mixed, "model.layers.1.mlp.up_proj"), "not quantised");
    EXPECT_EQ(of(mixed, "model.layers.0.self_attn.q_proj"), "not quantised");

    const auto file =
        nlohmann::json::parse(R"({"producer": {"name": "modelopt"}, "quantization": {"quant_algo":
        "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head", "model.layers.3*"]}})");
    const auto config = QuantizationConfig::parse_modelopt_file(file, "hf_quant_config.json");
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(*config->format_of("model.layers.31.mlp.up_proj"), nullptr);
    EXPECT_NE(*config->format_of("model.layers.2.mlp.up_proj"), nullptr);
    EXPECT_EQ(*config->format_of("lm_head"), nullptr);
}

}  // namespace
}  // namespace warpwright::test
