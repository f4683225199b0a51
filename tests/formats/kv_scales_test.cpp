// SPDX-License-Identifier: Apache-2.0
// How checkpoints declare keys and values of 8 bits, in configs and by tensors, and what is refused.
#include "engine/formats/kv_scales.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "engine/formats/layer_format.h"
#include "engine/scratch.h"
#include "engine/weights.h"
#include "run/glossary.h"

namespace warpwright::test {
namespace {

using nlohmann::json;

struct Scales {
    std::string name;  // behind "model.layers.N.self_attn."
    std::vector<float> values;
    std::vector<i64> shape;
};

// A file of these tensors, in every layer but those below `first_layer`, and what find_kv makes of it.
class Checkpoint {
public:
    Checkpoint(const ModelConfig& config, std::vector<Scales> scales, int first_layer = 0)
        : scales_(std::move(scales)) {
        std::vector<StoredTensor> tensors;
        for (int layer = first_layer; layer < config.num_layers; ++layer) {
            for (const Scales& one : scales_) {
                tensors.push_back({.name = fmt::format("model.layers.{}.self_attn.{}", layer, one.name),
                                   .dtype = DType::f32,
                                   .shape = one.shape,
                                   .bytes = std::as_bytes(std::span(one.values))});
            }
        }
        path_ = scratch_.folder() / "model.safetensors";
        EXPECT_TRUE(write_safetensors(path_, tensors).ok());
    }
    Result<StoredKv> find(const ModelConfig& config) const {
        WW_ASSIGN(const Safetensors file, Safetensors::open(path_));
        return find_kv(config, file, "model.");
    }

private:
    Scratch scratch_;
    std::vector<Scales> scales_;
    std::filesystem::path path_;
};

ModelConfig glossary_config(const json& quantization = {}) {
    auto config = load_config(glossary_folder()).value();
    if (quantization.is_null()) return config;
    auto read = QuantizationConfig::parse(quantization, "config.json: quantization_config");
    EXPECT_TRUE(read.ok()) << read.status().message();
    config.quantization = std::make_shared<const QuantizationConfig>(std::move(*read));
    return config;
}

json compressed(const json& scheme) {
    return {{"quant_method", "compressed-tensors"},
            {"config_groups", json::object()},
            {"kv_cache_scheme", scheme}};
}

// Keys and values are one row; and it is codes only where the caller says so.
TEST(KvDeclared, LatentRowsHaveOneScale) {
    ModelConfig config = load_config("deepseek-v2-lite").value();
    const Checkpoint one(config, {{"k_scale", {0.5F}, {1}}, {"v_scale", {2.0F}, {1}}});
    EXPECT_EQ(one.find(config)->format, KvFormat::same);
    config.kv_format = KvFormat::fp8_e4m3;
    const auto found = one.find(config);
    ASSERT_TRUE(found.ok()) << found.status().message();
    ASSERT_EQ(std::ssize(found->layers), config.num_layers);
    EXPECT_EQ(found->layers.back().k, std::vector<float>{0.5F});
    EXPECT_TRUE(found->layers.back().v.empty());
    const std::vector<float> heads(static_cast<std::size_t>(config.num_kv_heads), 1);
    const auto refused = Checkpoint(config, {{"k_scale", heads, {config.num_kv_heads}},
                                             {"v_scale", heads, {config.num_kv_heads}}})
                             .find(config);
    EXPECT_NE(
        refused.status().message().find("k_scale: expected one scale, as f32, f16 or bf16, got f32 [16]"),
        std::string::npos)
        << refused.status().message();
}

TEST(KvDeclared, ByConfigs) {
    const auto declared = [](const json& quantization) {
        const ModelConfig config = glossary_config(quantization);
        EXPECT_EQ(expected_forms(config)->kv_format, declared_kv_format(config));
        const std::string note = declared_kv_note(config);
        return kv_format_name(declared_kv_format(config)) + (note.empty() ? "" : ": " + note);
    };
    const json fp8{{"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}, {"symmetric", true}};
    EXPECT_EQ(declared(compressed(nullptr)), "same");
    EXPECT_EQ(declared(compressed(fp8)), "fp8_e4m3");
    json heads = fp8;
    heads["strategy"] = "attn_head";
    EXPECT_EQ(declared(compressed(heads)), "fp8_e4m3");
    const std::string no_cache =
        "same: keys and values are kept in bf16: there is no cache for kv_cache_scheme ";
    EXPECT_EQ(declared(compressed({{"num_bits", 8}, {"type", "int"}, {"strategy", "tensor"}})),
              no_cache + "of 8 bits, int, by tensor");
    json asymmetric = fp8;
    asymmetric["symmetric"] = false;
    EXPECT_EQ(declared(compressed(asymmetric)), no_cache + "of 8 bits, float, by tensor, asymmetric");
    EXPECT_EQ(declared(compressed({{"num_bits", 4}, {"type", "float"}, {"strategy", "tensor_group"}})),
              no_cache + "of 4 bits, float, by tensor_group");
    EXPECT_EQ(declared({{"quant_method", "fp8"}, {"kv_cache_scheme", "static"}}), "fp8_e4m3");
    EXPECT_EQ(declared({{"quant_method", "fp8"}}), "same");
    // ModelOpt in config.json: with weights, and of keys and values alone.
    EXPECT_EQ(declared({{"quant_method", "modelopt"},
                        {"quant_algo", "FP8"},
                        {"kv_cache_scheme", {{"dynamic", false}, {"num_bits", 8}, {"type", "float"}}}}),
              "fp8_e4m3");
    EXPECT_EQ(
        declared({{"quant_method", "modelopt"}, {"quant_algo", nullptr}, {"kv_cache_quant_algo", "FP8"}}),
        "fp8_e4m3");
    EXPECT_EQ(
        declared({{"quant_method", "modelopt"}, {"quant_algo", "FP8"}, {"kv_cache_quant_algo", nullptr}}),
        "same");
    EXPECT_EQ(
        declared({{"quant_method", "modelopt"}, {"quant_algo", "FP8"}, {"kv_cache_quant_algo", "NVFP4"}}),
        "same: keys and values are kept in bf16: there is no cache for kv_cache_quant_algo NVFP4");
    const auto file = QuantizationConfig::parse_modelopt_file(
        {{"quantization", {{"quant_algo", "FP8"}, {"kv_cache_quant_algo", "FP8"}}}}, "hf_quant_config.json");
    EXPECT_EQ(file->kv().format, KvFormat::fp8_e4m3);
    // What is asked for goes before what is declared.
    ModelConfig asked = glossary_config(compressed(fp8));
    asked.kv_format = KvFormat::same;
    EXPECT_EQ(declared_kv_format(asked), KvFormat::same);
    asked.kv_format = KvFormat::fp8_e5m2;
    EXPECT_EQ(declared_kv_format(asked), KvFormat::fp8_e5m2);
}

TEST(KvScales, UnderEveryName) {
    const ModelConfig config = glossary_config();
    ModelConfig asked = config;
    asked.kv_format = KvFormat::fp8_e5m2;
    const std::vector<float> k{0.25F}, v{0.5F, 0.75F};
    const auto read = [&](const ModelConfig& of, const char* k_name, const char* v_name) {
        auto kv = Checkpoint(config, {{k_name, k, {1}}, {v_name, v, {2, 1, 1}}}).find(of);
        EXPECT_TRUE(kv.ok()) << kv.status().message();
        EXPECT_EQ(kv->note, "");
        for (const LayerKvScales& layer : kv->layers) EXPECT_TRUE(layer.k == k && layer.v == v);
        return std::pair(kv->format, std::ssize(kv->layers));
    };
    using Answer = std::pair<KvFormat, std::ptrdiff_t>;
    const std::pair<const char*, const char*> names[] = {{"k_scale", "v_scale"},
                                                         {"k_proj.k_scale", "v_proj.v_scale"},
                                                         {"qkv_proj.k_scale", "qkv_proj.v_scale"}};
    for (const auto& [k_name, v_name] : names) {
        EXPECT_EQ(read(config, k_name, v_name), Answer(KvFormat::fp8_e4m3, 6)) << k_name;
        EXPECT_EQ(read(asked, k_name, v_name), Answer(KvFormat::fp8_e5m2, 6)) << k_name;
        EXPECT_TRUE(is_kv_scale(fmt::format("model.layers.3.self_attn.{}", k_name)));
        EXPECT_TRUE(is_kv_scale(fmt::format("model.layers.3.self_attn.{}", v_name)));
    }
    EXPECT_FALSE(is_kv_scale("model.layers.3.mlp.k_scale"));
    EXPECT_FALSE(is_kv_scale("model.layers.3.self_attn.q_proj.k_scale"));
    // Scales of a product's output may be for something else: they say nothing by themselves.
    EXPECT_EQ(read(asked, "k_proj.output_scale", "v_proj.output_scale"), Answer(KvFormat::fp8_e5m2, 6));
    EXPECT_EQ(Checkpoint(config, {{"k_proj.output_scale", k, {1}}, {"v_proj.output_scale", k, {1}}})
                  .find(config)
                  ->format,
              KvFormat::same);

    const auto older = Checkpoint(config, {{"kv_scale", k, {}}}).find(config);
    ASSERT_TRUE(older.ok()) << older.status().message();
    EXPECT_EQ(older->format, KvFormat::fp8_e4m3);
    EXPECT_TRUE(older->layers[5].k == k && older->layers[5].v == k);

    // With a cache of 16 bits nobody looks at them.
    ModelConfig same = config;
    same.kv_format = KvFormat::same;
    const auto unused = Checkpoint(config, {{"kv_scale", {NAN}, {1}}}).find(same);
    ASSERT_TRUE(unused.ok()) << unused.status().message();
    EXPECT_TRUE(unused->format == KvFormat::same && unused->layers.empty());
}

TEST(KvScales, AbsentOnesAreOneAndAreSaid) {
    ModelConfig config = glossary_config();
    config.kv_format = KvFormat::fp8_e4m3;
    const std::vector<Scales> scales{{"k_scale", {2}, {1}}, {"v_scale", {4}, {1}}};
    const auto some = Checkpoint(config, scales, 2).find(config);
    ASSERT_TRUE(some.ok()) << some.status().message();
    EXPECT_EQ(some->note, "2 of 6 layers have no scales of keys and values: they are 1");
    EXPECT_TRUE(some->layers[0].k.empty() && some->layers[1].v.empty());
    EXPECT_EQ(some->layers[2].v, std::vector<float>{4});
    EXPECT_EQ(Checkpoint(config, {{"other", {2}, {1}}}).find(config)->note,
              "6 of 6 layers have no scales of keys and values: they are 1");
}

TEST(KvScales, OfSixteenBits) {
    const ModelConfig config = glossary_config();
    const u16 half = 0x3000, bf16 = 0x3e40;  // 0.125, 0.1875
    std::vector<StoredTensor> tensors;
    for (int layer = 0; layer < config.num_layers; ++layer) {
        const std::string block = fmt::format("model.layers.{}.self_attn.", layer);
        tensors.push_back({block + "k_scale", DType::f16, {1}, std::as_bytes(std::span(&half, 1))});
        tensors.push_back({block + "v_scale", DType::bf16, {1, 1}, std::as_bytes(std::span(&bf16, 1))});
    }
    const Scratch scratch;
    ASSERT_TRUE(write_safetensors(scratch.folder() / "model.safetensors", tensors).ok());
    const auto kv = find_kv(config, Safetensors::open(scratch.folder()).value(), "model.");
    ASSERT_TRUE(kv.ok()) << kv.status().message();
    EXPECT_EQ(kv->layers[5].k, std::vector<float>{0.125F});
    EXPECT_EQ(kv->layers[5].v, std::vector<float>{0.1875F});
}

TEST(KvScales, BadOnesAreRefusedByName) {
    const ModelConfig config = glossary_config();
    const auto refusal = [&](std::vector<Scales> scales) {
        const auto kv = Checkpoint(config, std::move(scales)).find(config);
        return kv.ok() ? std::string() : kv.status().message();
    };
    const Scales good{"k_scale", {1}, {1}};
    for (const float bad : {0.0F, -0.0F, -0.5F, NAN, INFINITY, -INFINITY}) {
        EXPECT_PRED_FORMAT2(
            testing::IsSubstring,
            "tensor model.layers.0.self_attn.v_scale: scale 0: expected positive and finite, got",
            refusal({good, {"v_scale", {bad}, {1}}}));
        EXPECT_PRED_FORMAT2(
            testing::IsSubstring,
            "tensor model.layers.0.self_attn.k_scale: scale 1: expected positive and finite, got",
            refusal({{"k_scale", {1, bad}, {2}}, {"v_scale", {1}, {1}}}));
    }
    EXPECT_PRED_FORMAT2(
        testing::IsSubstring,
        "tensor model.layers.0.self_attn.v_scale: expected one scale or 2, one for each kv head, as "
        "f32, f16 or bf16, got f32 [3]",
        refusal({good, {"v_scale", {1, 1, 1}, {3}}}));
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "got f32 [2, 2]",
                        refusal({good, {"v_scale", {1, 1, 1, 1}, {2, 2}}}));
    EXPECT_PRED_FORMAT2(
        testing::IsSubstring,
        "tensor model.layers.0.self_attn.k_scale: expected model.layers.0.self_attn.v_scale beside "
        "it, which is not there",
        refusal({good}));
}

// A latent row has one scale, its keys': what is beside it as values' is not looked at, and may be missing.
TEST(KvScales, OfLatentRows) {
    ModelConfig config = load_config("deepseek-v2-lite").value();
    const std::vector<Scales> alone{{"k_scale", {0.25F}, {1}}};
    EXPECT_EQ(Checkpoint(config, alone).find(config)->format, KvFormat::same);  // codes are asked for only
    config.kv_format = KvFormat::fp8_e4m3;
    const auto expect_one = [&](std::vector<Scales> scales) {
        const auto kv = Checkpoint(config, std::move(scales)).find(config);
        ASSERT_TRUE(kv.ok()) << kv.status().message();
        EXPECT_EQ(kv->format, KvFormat::fp8_e4m3);
        EXPECT_EQ(kv->note, "");
        ASSERT_EQ(std::ssize(kv->layers), config.num_layers);
        for (const LayerKvScales& layer : kv->layers) {
            EXPECT_EQ(layer.k, std::vector<float>{0.25F});
            EXPECT_TRUE(layer.v.empty());
        }
    };
    expect_one(alone);
    expect_one({alone[0], {"v_scale", {NAN}, {1}}});
    expect_one({{"kv_scale", {0.25F}, {}}});
    const auto refusal = [&](std::vector<Scales> scales) {
        const auto kv = Checkpoint(config, std::move(scales)).find(config);
        return kv.ok() ? std::string() : kv.status().message();
    };
    for (const i64 count : {i64{2}, i64{config.num_kv_heads}}) {
        const std::vector<float> ones(static_cast<std::size_t>(count), 1.0F);
        EXPECT_PRED_FORMAT2(
            testing::IsSubstring,
            fmt::format("tensor model.layers.0.self_attn.k_scale: expected one scale, as f32, f16 or bf16, "
                        "got f32 [{}]",
                        count),
            refusal({{"k_scale", ones, {count}}}));
    }
    EXPECT_PRED_FORMAT2(testing::IsSubstring,
                        "tensor model.layers.0.self_attn.k_scale: scale 0: expected positive and finite, got",
                        refusal({{"k_scale", {0}, {1}}}));
    EXPECT_PRED_FORMAT2(
        testing::IsSubstring,
        "tensor model.layers.0.self_attn.v_scale: expected model.layers.0.self_attn.k_scale beside it",
        refusal({{"v_scale", {1}, {1}}}));
}

// A whole checkpoint: the shipped model with scales beside its weights.
TEST(KvScales, ReachTheEngine) {
    const Scratch scratch;
    const Safetensors weights = Safetensors::open(glossary_folder()).value();
    std::vector<StoredTensor> tensors;
    for (const std::string& name : weights.names()) tensors.push_back(weights.find(name).value());
    const std::vector<float> k{0.05F}, v{0.02F, 0.03F};
    for (int layer = 0; layer < 6; ++layer) {
        const std::string block = fmt::format("model.layers.{}.self_attn.", layer);
        tensors.push_back({.name = block + "k_scale", .shape = {}, .bytes = std::as_bytes(std::span(k))});
        tensors.push_back({.name = block + "v_scale", .shape = {2}, .bytes = std::as_bytes(std::span(v))});
    }
    ASSERT_TRUE(write_safetensors(scratch.folder() / "model.safetensors", tensors).ok());
    json root = json::parse(read_all(glossary_folder() + "/config.json"));
    root["quantization_config"] = compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "attn_head"}});
    scratch.write("config.json", root.dump());

    const auto context = Context::open("cpu").value();
    const auto run = [&](std::optional<KvFormat> format) {
        auto config = load_config(scratch.folder().string()).value();
        config.kv_format = format;
        auto loaded = load_weights(*context, config, scratch.folder().string());
        EXPECT_TRUE(loaded.ok()) << loaded.status().message();
        EXPECT_TRUE(loaded->ignored.empty());
        EXPECT_EQ(loaded->forms.kv_note, "");
        if (loaded->forms.kv_format != KvFormat::same) {
            EXPECT_EQ(loaded->layers[3].k_scale.shape[0], 1);
            EXPECT_EQ(static_cast<const float*>(loaded->layers[3].k_scale.data)[0], k[0]);
            EXPECT_EQ(static_cast<const float*>(loaded->layers[3].v_scale.data)[1], v[1]);
        }
        auto engine = Engine::create(context, config, std::move(*loaded), {.max_context_tokens = 64}).value();
        EXPECT_TRUE(engine->add({.prompt = {0, 80, 403}, .max_tokens = 3, .stop_at_eos = false}).ok());
        while (!engine->idle()) EXPECT_TRUE(engine->step().ok());
        return std::pair(engine->kv_format(), engine->last_logits().value());
    };
    const auto declared = run({}), asked = run(KvFormat::fp8_e4m3), same = run(KvFormat::same);
    EXPECT_EQ(declared.first, KvFormat::fp8_e4m3);
    EXPECT_EQ(declared.second, asked.second);
    EXPECT_EQ(same.first, KvFormat::same);
    EXPECT_NE(same.second, asked.second);
}

}  // namespace
}  // namespace warpwright::test
