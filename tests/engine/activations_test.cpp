// SPDX-License-Identifier: Apache-2.0
// What configs declare of activations, which products run so, and what is decided for a target.
#include "engine/activations.h"

#include <gtest/gtest.h>

#include "dispatch/operation.h"
#include "engine/coded_inputs.h"
#include "engine/layers.h"
#include "engine/parameters.h"
#include "warpwright/plan.h"

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

ModelForms declared_forms(const std::string& quantization) {
    ModelConfig config = config_of(quantization);
    config.coded_inputs = true;
    auto forms = expected_forms(config);
    EXPECT_TRUE(forms.ok()) << forms.status().message();
    return *forms;
}

std::string compressed(const std::string& format, const std::string& weights, const std::string& inputs) {
    return R"({"quant_method":"compressed-tensors","ignore":["lm_head"],"config_groups":{"group_0":{
        "targets":["Linear"],"format":")" +
           format + R"(","weights":{)" + weights + R"(},"input_activations":{)" + inputs + "}}}}";
}

const std::string kInt8 = R"("num_bits":8,"type":"int","strategy":"channel")";
const std::string kFp8 = R"("num_bits":8,"type":"float","strategy":"channel")";
const std::string kFp8Blocks =
    R"("num_bits":8,"type":"float","strategy":"block","block_structure":[128,128])";
const std::string kMx =
    R"("num_bits":8,"type":"float","strategy":"group","group_size":32,"scale_dtype":"torch.uint8")";

std::string inputs(const std::string& type, const std::string& strategy, const std::string& more) {
    return R"("num_bits":8,"type":")" + type + R"(","strategy":")" + strategy + "\"," + more;
}

WeightForm coded(WeightFormat format, i64 group, DType scale, bool given = false) {
    return {.format = format, .group = group, .scale = scale, .coded = true, .given_scale = given};
}

TEST(DeclaredActivations, OfEveryFormat) {
    const WeightForm int8 = coded(WeightFormat::int8, 0, DType::f32);
    const WeightForm fp8 = coded(WeightFormat::fp8_e4m3, 0, DType::f32);
    const WeightForm given = coded(WeightFormat::fp8_e4m3, 0, DType::f32, true);
    const WeightForm blocks = coded(WeightFormat::fp8_e4m3, 128, DType::f32);
    const WeightForm mx = coded(WeightFormat::fp8_e4m3, 32, DType::u8);
    const std::string dynamic = R"("dynamic":true)", fixed = R"("dynamic":false)";
    const auto modelopt = [](const std::string& algorithm) {
        return R"({"quant_method":"modelopt","quant_algo":")" + algorithm + "\"}";
    };
    const auto torchao = [](const std::string& name) {
        return R"({"quant_method":"torchao","quant_type":{"default":{"_type":")" + name +
               R"(","_data":{}}}})";
    };
    const std::pair<std::string, WeightForm> cases[] = {
        {compressed("int-quantized", kInt8, inputs("int", "token", dynamic)), int8},
        {compressed("int-quantized", kInt8, inputs("int", "tensor", fixed)),
         coded(WeightFormat::int8, 0, DType::f32, true)},
        {compressed("float-quantized", kFp8, inputs("float", "token", dynamic)), fp8},
        // A dynamic scale of the whole tensor would depend on what else runs: each token has its own.
        {compressed("float-quantized", kFp8, inputs("float", "tensor", dynamic)), fp8},
        {compressed("float-quantized", kFp8, inputs("float", "tensor", fixed)), given},
        {compressed("float-quantized", kFp8Blocks,
                    inputs("float", "group", R"("group_size":128,)" + dynamic)),
         blocks},
        {compressed("mxfp8-quantized", kMx, inputs("float", "group", R"("group_size":32,)" + dynamic)), mx},
        {R"({"quant_method":"fp8","weight_block_size":[128,128]})", blocks},
        {R"({"quant_method":"fp8","activation_scheme":"static"})", given},
        {modelopt("FP8"), given},
        {modelopt("FP8_PER_CHANNEL_PER_TOKEN"), fp8},
        {modelopt("MXFP8"), mx},
        {torchao("Float8DynamicActivationFloat8WeightConfig"), fp8},
        {torchao("Int8DynamicActivationInt8WeightConfig"), int8},
    };
    for (const auto& [quantization, form] : cases) {
        SCOPED_TRACE(quantization);
        const ModelForms forms = declared_forms(quantization);
        for (const ProductForm* product :
             {&forms.layers[1].qkv, &forms.layers[1].o, &forms.layers[1].gate_up, &forms.layers[1].down}) {
            ASSERT_EQ(product->size(), 1U);
            EXPECT_EQ((*product)[0].form, form);
        }
        EXPECT_TRUE(forms.notes.empty());
        // Nobody asked: codes by numbers.
        const auto plain = expected_forms(config_of(quantization));
        ASSERT_TRUE(plain.ok());
        EXPECT_TRUE(plain->layers[0].o[0].form.packed);
    }
}

TEST(DeclaredActivations, WhatNoRowMultipliesStaysInSixteenBits) {
    const std::string dynamic = R"("dynamic":true)";
    const std::pair<std::string, std::string> cases[] = {
        {compressed("int-quantized", kInt8, inputs("int", "token", R"("symmetric":false,)" + dynamic)),
         "no row multiplies i8 by 8-bit integers, a scale per token, zero points"},
        {compressed("pack-quantized", R"("num_bits":4,"type":"int","strategy":"group","group_size":128)",
                    inputs("int", "token", dynamic)),
         "no row multiplies u4 by 8-bit integers, a scale per token"},
        {R"({"quant_method":"fp8","weight_block_size":[64,128]})",
         "weights in groups of 64 x 128 by inputs of 8-bit floats, groups of 128"},
        {R"({"quant_method":"modelopt","quant_algo":"NVFP4","ignore":["lm_head"]})",
         "no row multiplies e2m1 by 4-bit floats, groups of 16"},
    };
    for (const auto& [quantization, why] : cases) {
        SCOPED_TRACE(quantization);
        const ModelForms forms = declared_forms(quantization);
        ASSERT_EQ(forms.notes.size(), 1U);
        EXPECT_EQ(forms.notes[0], "the inputs of 8 quantised weights stay in 16 bits: " + why +
                                      " (the first: model.layers.0.self_attn.q_proj.weight)");
        EXPECT_TRUE(forms.layers[0].o[0].form.packed);
        // Nothing is decided where there is no choice; who asks for it hears why not.
        ModelConfig config = config_of(quantization);
        const auto decided = with_activations(config, *find_target("h200"));
        ASSERT_TRUE(decided.ok());
        EXPECT_FALSE(decided->coded_inputs);
        EXPECT_EQ(decided->activations_reason, "");
        config.activations = Activations::declared;
        EXPECT_PRED_FORMAT2(testing::IsSubstring, why,
                            with_activations(config, *find_target("h200")).status().message());
    }
}

TEST(DeclaredActivations, AreRefusedWhereThereAreNone) {
    const auto plan = [](const std::string& format, const std::string& activations) {
        return plan_model("llama-3.2-1b", "h200", {.format = format, .activations = activations})
            .status()
            .message();
    };
    EXPECT_EQ(plan("", "declared"), "activations: declared: weights are numbers; expected auto or 16bit");
    EXPECT_EQ(
        plan("int4", "declared"),
        "activations: declared: this checkpoint's activations are not quantised; expected auto or 16bit");
    EXPECT_EQ(plan("fp8", "8bit"), "activations: expected auto, 16bit, declared, got '8bit'; nearest: 16bit");
    EXPECT_EQ(plan("fp8", "declared"), "");
}

double decode_and_prefill_us(const std::string& gpu, const std::string& activations, double& decode_us) {
    const auto plan = plan_model("llama-3.1-8b", gpu,
                                 {.batch = kDecodingSequences,
                                  .context_tokens = 4096,
                                  .prompt_tokens = kPromptTokens,
                                  .format = "fp8",
                                  .activations = activations});
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    decode_us = plan->decode.compute_us;
    return plan->prefill.compute_us;
}

// What is decided is what plans of both say: attention aside, which the decision has shorter.
TEST(DeclaredActivations, AreTakenWhereTheyAreFaster) {
    int taken = 0;
    for (const Target& target : targets()) {
        const auto plan = plan_model("llama-3.1-8b", target.id, {.format = "fp8"});
        ASSERT_TRUE(plan.ok()) << plan.status().message();
        double decode[2], prefill[2];
        prefill[0] = decode_and_prefill_us(target.id, "16bit", decode[0]);
        prefill[1] = decode_and_prefill_us(target.id, "declared", decode[1]);
        const double factor = prefill[1] / prefill[0] * (decode[1] / decode[0]);
        if (std::abs(factor - 1) > 0.05) {
            EXPECT_EQ(plan->activations, factor < 1 ? "declared" : "16bit") << target.id << " " << factor;
        }
        taken += plan->activations == "declared";
        // One answer for every shape.
        EXPECT_EQ(plan_model("llama-3.1-8b", target.id, {.batch = 128, .format = "fp8"})->activations,
                  plan->activations);
        std::printf("%-16s %-8s %s\n", target.id.c_str(), plan->activations.c_str(),
                    plan->activations_reason.c_str());
    }
    EXPECT_GT(taken, 0);
}

// Every operation of the plan knows its problem, and there is a row for it on every target.
TEST(DeclaredActivations, HaveARowOnEveryTarget) {
    for (const Target& target : targets()) {
        for (const char* format : {"int8", "fp8", "fp8-tensor", "fp8-block"}) {
            const auto plan =
                plan_model("llama-3.2-1b", target.id, {.format = format, .activations = "declared"});
            ASSERT_TRUE(plan.ok()) << plan.status().message();
            EXPECT_EQ(plan->missing, "") << target.id << " " << format;
            int coded_products = 0, quantising = 0;
            for (const PlannedLayer& layer : plan->layers) {
                coded_products += layer.op == "scaled_gemm";
                quantising += layer.op == "quantize";
            }
            EXPECT_EQ(coded_products, 4);
            EXPECT_EQ(quantising, 1);  // what attention leaves; norms and activations make codes themselves
        }
    }
}

TEST(DeclaredActivations, TakeMemoryForCodes) {
    const auto plan = [](const std::string& activations) {
        return *plan_model("llama-3.1-8b", "h200", {.format = "fp8", .activations = activations});
    };
    const Plan bits16 = plan("16bit"), declared = plan("declared");
    // Of a pass's tokens: the longest row of codes, and a scale.
    EXPECT_EQ(declared.workspace_bytes - bits16.workspace_bytes, kPromptTokens * (14336 + 4));
    EXPECT_EQ(declared.weight_bytes, 2 * (i64{2} * 128256 * 4096 + 65 * 4096) +
                                         32 * (i64{6144 + 4096} * 4096 + i64{3} * 14336 * 4096) +
                                         32 * 4 * (6144 + 4096 + 28672 + 4096));
}

}  // namespace
}  // namespace warpwright
