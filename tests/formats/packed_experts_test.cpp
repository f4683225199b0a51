// SPDX-License-Identifier: Apache-2.0
// Quantised mixtures of experts through the engine: experts stay codes, and what comes out is what the same
// weights give as numbers. The small models of tests/models, a little wider so that groups divide them, in
// all that `quantize` writes.
#include <numeric>
#include <random>

#include "edited_model.h"
#include "engine/quantize.h"
#include "model_logits.h"
#include "models/small_model.h"
#include "run/planned_rows.h"

namespace warpwright::test {
namespace {

constexpr i64 kWidth = 128;

// What make_goldens.py's model has, with experts, MLPs and what is multiplied in front of them of kWidth.
std::string wider_folder(const std::string& name) {
    static std::map<std::string, std::unique_ptr<SmallModel>> models;
    auto& model = models[name];
    if (model != nullptr) return model->folder();
    nlohmann::json golden = small_model(name).golden();
    std::vector<i64> widths;
    for (const char* field : {"intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size",
                              "hidden_size", "q_lora_rank"}) {
        if (!golden["config"].contains(field)) continue;
        widths.push_back(golden["config"][field]);
        golden["config"][field] = kWidth;
    }
    for (auto& [tensor, shape] : golden["tensors"].items()) {
        for (auto& extent : shape) {
            if (std::count(widths.begin(), widths.end(), extent.get<i64>()) > 0) extent = kWidth;
        }
    }
    model = std::make_unique<SmallModel>(golden);
    return model->folder();
}

std::string quantized(const Scratch& scratch, const std::string& name, const CheckpointFormat& format) {
    const std::string out = (scratch.folder() / (name + "-" + std::string(format.name))).string();
    const auto written = quantize_checkpoint(wider_folder(name), out, {.format = format});
    EXPECT_TRUE(written.ok()) << written.status().message();
    return out;
}

const std::vector<std::vector<i32>> kPrompts{{1, 5, 9}, {2, 80, 33, 7, 12, 60}, {4}};

void expect_packed(const ModelConfig& config, const ModelForms& forms) {
    for (int layer = 0; layer < config.num_layers; ++layer) {
        const LayerForms& form = forms.layers[static_cast<std::size_t>(layer)];
        for (const ProductForm* product : {&form.experts_gate, &form.experts_up, &form.experts_down}) {
            ASSERT_EQ(product->size(), config.has_experts(layer) ? 1U : 0U) << layer;
            for (const PartForm& part : *product) EXPECT_TRUE(part.form.packed);
        }
    }
    // Of latent attention one weight of each layer is absorbed.
    ASSERT_EQ(forms.notes.size(), config.is_latent() ? 1U : 0U);
    if (config.is_latent()) {
        EXPECT_EQ(forms.notes[0],
                  "2 quantised weights are converted to bf16: absorbed into queries and outputs (the first: "
                  "model.layers.0.self_attn.kv_b_proj.weight)");
    }
}

TEST(PackedExperts, GiveTheLogitsOfTheirNumbersInEveryFormat) {
    const Scratch scratch;
    for (const CheckpointFormat& format : quantize_formats()) {
        for (const char* name : {"qwen3-moe", "mixtral", "qwen2-moe", "glm4-moe", "deepseek-v2"}) {
            SCOPED_TRACE(std::string(format.name) + " " + name);
            const std::string folder = quantized(scratch, name, format);
            expect_same_logits(folder, kPrompts);
            const ModelConfig config = config_of(folder, DType::bf16, false);
            const auto weights = load_weights(*host_context(), config, folder);
            ASSERT_TRUE(weights.ok()) << weights.status().message();
            expect_packed(config, weights->forms);
            EXPECT_EQ(weights->bytes, weights->forms.weight_bytes);
            const auto expected = expected_forms(config);
            ASSERT_TRUE(expected.ok()) << expected.status().message();
            expect_packed(config, *expected);
        }
    }
}

// Each expert has one of its own.
TEST(PackedExperts, MayHaveColumnOrders) {
    const Scratch scratch;
    const auto format = find_quantize_format("int4", 64);
    ASSERT_TRUE(format.ok());
    EditedModel model(quantized(scratch, "qwen3-moe", *format));
    model.group()["weights"]["actorder"] = "group";
    std::mt19937 random(1);
    model.add_to_each_layer("weight_g_idx", [&](const std::string& layer) {
        const i64 columns = layer.ends_with("o_proj") ? 256 : 128;
        std::vector<i32> groups;
        for (i64 i = 0; i < columns; ++i) groups.push_back(static_cast<i32>(i / 64));
        std::shuffle(groups.begin(), groups.end(), random);
        AddedTensor tensor{"I32", {columns}, std::string(static_cast<std::size_t>(columns * 4), '\0')};
        std::memcpy(tensor.bytes.data(), groups.data(), tensor.bytes.size());
        return tensor;
    });
    const std::string folder = model.folder();
    const auto weights = load_weights(*host_context(), config_of(folder, DType::bf16, false), folder);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    EXPECT_TRUE(weights->forms.layers[0].experts_down[0].form.order);
    expect_same_logits(folder, kPrompts);
}

TEST(PackedExperts, HaveGlobalScalesOfTheirOwn) {
    const Scratch scratch;
    const std::string folder = quantized(scratch, "qwen3-moe", *find_quantize_format("nvfp4"));
    {
        const auto stored = Safetensors::open(folder);
        ASSERT_TRUE(stored.ok()) << stored.status().message();
        std::fstream file(folder + "/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        float factor = 1;
        for (const std::string& name : stored->names()) {
            if (name.find(".experts.") == std::string::npos || !name.ends_with(".weight_global_scale"))
                continue;
            const auto tensor = stored->find(name);
            ASSERT_TRUE(tensor.ok()) << tensor.status().message();
            float scale = 0;
            std::memcpy(&scale, tensor->bytes.data(), sizeof scale);
            scale *= factor;
            factor = factor < 4 ? factor * 1.1F : 1;
            file.seekp(static_cast<std::streamoff>(tensor->file_offset));
            file.write(reinterpret_cast<const char*>(&scale), sizeof scale);
        }
        ASSERT_TRUE(file.good());
    }
    const auto weights = load_weights(*host_context(), config_of(folder, DType::bf16, false), folder);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    const Tensor& scales = weights->layers[0].experts_down.at(0).quantized.global_scales;
    ASSERT_EQ(scales.shape[0], 16);
    const auto* values = static_cast<const float*>(scales.data);
    EXPECT_NE(values[0], values[1]);
    expect_same_logits(folder, kPrompts);
}

// In a decode step, whose rows are masked, and in a prompt of a batch that must not depend on others.
void expect_planned_rows(const char* name, const char* format, Activations activations) {
    SCOPED_TRACE(name);
    const Scratch scratch;
    const std::string folder = quantized(scratch, name, *find_quantize_format(format));
    auto config = load_config(folder);
    ASSERT_TRUE(config.ok());
    config->activations = activations;
    for (const char* device : {"cpu", "emulated:rtx-5090"}) {
        for (const bool batch_invariant : {false, true}) {
            SCOPED_TRACE(std::string(device) + (batch_invariant ? ", batch-invariant" : ""));
            const auto context = Context::open(device);
            ASSERT_TRUE(context.ok()) << context.status().message();
            auto weights = load_weights(**context, *config, folder);
            ASSERT_TRUE(weights.ok()) << weights.status().message();
            const i64 bytes = weights->bytes;
            auto engine = Engine::create(
                *context, *config, std::move(*weights),
                {.max_context_tokens = 32, .batch_invariant = batch_invariant, .counts_experts = true});
            ASSERT_TRUE(engine.ok()) << engine.status().message();
            ASSERT_TRUE((*engine)->add({.prompt = {1, 5, 9}, .max_tokens = 3, .stop_at_eos = false}).ok());
            while (!(*engine)->idle()) {
                const auto step = (*engine)->step();
                ASSERT_TRUE(step.ok()) << step.status().message();
            }
            const auto& counted = (*engine)->stats().expert_tokens;
            ASSERT_EQ(std::ssize(counted), config->num_layers);
            EXPECT_EQ(std::accumulate(counted.back().begin(), counted.back().end(), i64{0}),
                      5 * config->experts.top_k);
            const Target& target = (*context)->target();
            const auto plan = plan_model(
                *config, target, {.batch = 1, .context_tokens = 32, .batch_invariant = batch_invariant});
            ASSERT_TRUE(plan.ok()) << plan.status().message();
            EXPECT_EQ(launched_rows(**engine), planned_rows(*plan));
            EXPECT_EQ(plan->weight_bytes, bytes);
        }
    }
}
TEST(PackedExperts, RunTheRowsOfTheirPlan) {
    expect_planned_rows("qwen3-moe", "int4", Activations::automatic);
}
// Whose products multiply codes, where the norm leaves the router numbers.
TEST(PackedExperts, RunTheRowsOfTheirPlanBesideSharedOnes) {
    expect_planned_rows("qwen2-moe", "fp8-block", Activations::declared);
}

TEST(PackedExperts, RunTheRowsOfTheirPlanBehindLatentAttention) {
    expect_planned_rows("deepseek-v3", "fp8-block", Activations::declared);
    expect_planned_rows("deepseek-v3", "int8", Activations::automatic);
}

// Numbers of the emulated GPU beside those of the CPU: prompts and decode steps.
TEST(PackedExperts, AreTheSameOnAnEmulatedGpu) {
    const Scratch scratch;
    const std::string folder = quantized(scratch, "mixtral", *find_quantize_format("nvfp4"));
    const auto logits = [&](const std::string& device, DType dtype, bool dequantise) {
        const auto context = Context::open(device);
        EXPECT_TRUE(context.ok()) << context.status().message();
        return logits_of(*engine_of(config_of(folder, dtype, dequantise), folder, *context), kPrompts);
    };
    const auto exact = logits("cpu", DType::f16, true);
    const double error = distance(logits("cpu", DType::bf16, true), exact);
    EXPECT_LE(distance(logits("emulated:a100", DType::bf16, false), exact), 2 * error);
}

TEST(PackedExperts, WhatIsNotAllOneFormIsNumbers) {
    const Scratch scratch;
    EditedModel model(quantized(scratch, "qwen3-moe", *find_quantize_format("fp8-block")));
    const auto forms_with = [&](const nlohmann::json& ignored) {
        auto config = model.config;
        for (const auto& name : ignored) config["quantization_config"]["ignore"].push_back(name);
        const auto parsed = parse_config(config.dump(), "", "config.json");
        EXPECT_TRUE(parsed.ok()) << parsed.status().message();
        const auto forms = expected_forms(*parsed);
        EXPECT_TRUE(forms.ok()) << forms.status().message();
        return *forms;
    };
    const ModelForms all = forms_with({});
    EXPECT_TRUE(all.notes.empty());
    const ModelForms mixed = forms_with({"model.layers.1.mlp.experts.0.down_proj"});
    EXPECT_TRUE(mixed.layers[1].experts_gate.empty());
    EXPECT_FALSE(mixed.layers[0].experts_gate.empty());
    EXPECT_EQ(mixed.notes, (std::vector<std::string>{
                               "2 quantised weights are converted to bf16: experts of a layer in different "
                               "forms (the first: model.layers.1.mlp.experts.0.gate_proj.weight)"}));
    EXPECT_GT(mixed.weight_bytes, all.weight_bytes);
}

TEST(PackedExperts, AreNotCalibrated) {
    const Scratch scratch;
    const auto refused =
        quantize_checkpoint(wider_folder("qwen3-moe"), (scratch.folder() / "out").string(),
                            {.format = *find_quantize_format("int4"), .gptq = GptqOptions{}});
    EXPECT_EQ(refused.status().message(),
              "gptq: a mixture of experts cannot be calibrated yet; expected a model without");
}

}  // namespace
}  // namespace warpwright::test
