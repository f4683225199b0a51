// SPDX-License-Identifier: Apache-2.0
#include "engine/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <map>

#include "engine/messages.h"
#include "engine/scratch.h"

namespace warpwright {
namespace {

ModelConfig config_of(const std::string& more = "", const std::string& architecture = "LlamaForCausalLM") {
    auto config =
        parse_config(R"({"architectures":[")" + architecture + R"("],"hidden_size":8,"num_hidden_layers":2,
        "num_attention_heads":4,"num_key_value_heads":2,"head_dim":4,"intermediate_size":12,"vocab_size":10)" +
                         more + "}",
                     "", "config.json");
    EXPECT_TRUE(config.ok()) << config.status().message();
    return *config;
}

// A checkpoint as a test changes it before it is written: shapes by name, of zeros.
using Shapes = std::map<std::string, std::vector<i64>>;

Shapes shapes_of(const ModelConfig& config, const CheckpointPrefix& prefix = {}) {
    Shapes shapes;
    for (const Parameter& parameter : list_parameters(config, prefix)) {
        for (const ParameterPiece& piece : parameter.pieces)
            shapes[piece.name] = piece.view ? piece.view->shape : piece.shape;
    }
    return shapes;
}

class Checkpoint {
public:
    // The tensor `other` ends in a byte that is not 0.
    explicit Checkpoint(const Shapes& shapes, DType dtype = DType::bf16, const std::string& other = "") {
        ones_.back() = std::byte{1};
        std::vector<StoredTensor> tensors;
        for (const auto& [name, shape] : shapes) {
            i64 count = 1;
            for (const i64 extent : shape) count *= extent;
            const auto bytes = static_cast<std::size_t>(count * dtype_bytes(dtype));
            tensors.push_back(
                {name, dtype, shape,
                 name == other ? std::span(ones_).last(bytes) : std::span(zeros_).first(bytes)});
        }
        EXPECT_TRUE(write_safetensors(scratch_.folder() / "model.safetensors", tensors).ok());
    }
    Safetensors file() const {
        auto file = Safetensors::open(scratch_.folder());
        EXPECT_TRUE(file.ok()) << file.status().message();
        return std::move(*file);
    }
    Result<std::vector<Parameter>> parameters_of(const ModelConfig& config) const {
        return find_parameters(config, file());
    }
    std::string error_for(const ModelConfig& config) const {
        auto found = parameters_of(config);
        if (found.ok()) return "found";
        EXPECT_EQ(found.status().kind(), ErrorKind::caller);
        return found.status().message();
    }

private:
    Scratch scratch_;
    std::vector<std::byte> zeros_ = std::vector<std::byte>(4096), ones_ = zeros_;
};

const Parameter& named(const std::vector<Parameter>& parameters, const std::string& piece) {
    for (const Parameter& parameter : parameters) {
        if (parameter.pieces.front().name == piece) return parameter;
    }
    ADD_FAILURE() << piece;
    return parameters.front();
}

TEST(Parameters, PiecesFillTheirDestinations) {
    const ModelConfig config = config_of(R"(,"attention_bias":true,"mlp_bias":true)");
    const auto parameters = list_parameters(config);
    EXPECT_EQ(parameters.size(), 3u + 2 * 10u);
    Weights weights;
    weights.layers.resize(2);
    for (const Parameter& parameter : parameters) {
        i64 row = 0;
        for (const ParameterPiece& piece : parameter.pieces) {
            EXPECT_EQ(piece.first_row, row) << piece.name;
            row += piece.shape[0];
        }
        EXPECT_EQ(row, parameter.shape[0]);
        if (parameter.is_product()) parameter.product_of(weights).resize(1);
        Tensor& destination = parameter.of(weights);
        EXPECT_EQ(destination.rank, 0) << "two parameters for one tensor: " << parameter.pieces[0].name;
        destination = parameter.view(nullptr, config);
    }
    EXPECT_EQ(weights.layers[1].qkv[0].dense.shape[0], 32);
    EXPECT_EQ(weights.layers[1].qkv[0].dense.shape[1], 8);
    EXPECT_EQ(weights.layers[0].gate_up_bias.shape[0], 24);

    const Parameter& qkv = named(parameters, "model.layers.1.self_attn.q_proj.weight");
    EXPECT_EQ(qkv.layer, 1);
    ASSERT_EQ(qkv.pieces.size(), 3u);
    EXPECT_EQ(qkv.pieces[2].name, "model.layers.1.self_attn.v_proj.weight");
    EXPECT_EQ(qkv.pieces[2].first_row, 24);
    EXPECT_EQ(qkv.pieces[2].shape, (std::vector<i64>{8, 8}));
    EXPECT_TRUE(named(parameters, "model.layers.1.input_layernorm.weight").is_norm);
    EXPECT_TRUE(named(parameters, "model.norm.weight").is_norm);
    EXPECT_EQ(named(parameters, "model.norm.weight").neutral, 1);
    EXPECT_EQ(named(list_parameters(config_of("", "Gemma2ForCausalLM")), "model.norm.weight").neutral, 0);
    EXPECT_FALSE(qkv.is_norm);
    EXPECT_EQ(num_parameters(config),
              2 * 10 * 8 + 8 + 2 * (2 * 8 + 32 * 8 + 32 + 16 * 8 + 8 + 24 * 8 + 24 + 12 * 8 + 8));
}

TEST(Parameters, TiedModelsHaveNoOutputLayer) {
    const ModelConfig tied = config_of(R"(,"tie_word_embeddings":true)");
    EXPECT_EQ(num_parameters(config_of()) - num_parameters(tied), 10 * 8);
    // One that is stored all the same must be the embedding, and is not read.
    EXPECT_EQ(Checkpoint(shapes_of(config_of())).error_for(tied), "found");
    EXPECT_TRUE(ends_with(Checkpoint(shapes_of(config_of()), DType::bf16, "lm_head.weight").error_for(tied),
                          "/model.safetensors: tensor lm_head.weight is not the embedding, but "
                          "tie_word_embeddings is true"));
    EXPECT_TRUE(ends_with(Checkpoint(shapes_of(tied)).error_for(config_of()), ": no tensor lm_head.weight"));
}

TEST(Parameters, LayersThatDraftTokensAreLeftOut) {
    const ModelConfig config =
        config_of(R"(,"moe_intermediate_size":4,"n_routed_experts":2,"num_experts_per_tok":1,)"
                  R"("num_nextn_predict_layers":1)",
                  "Glm4MoeForCausalLM");
    Shapes shapes = shapes_of(config);
    shapes["model.layers.2.eh_proj.weight"] = {8, 16};
    EXPECT_EQ(Checkpoint(shapes).error_for(config), "found");
    shapes["model.layers.3.eh_proj.weight"] = {8, 16};
    EXPECT_TRUE(ends_with(
        Checkpoint(shapes).error_for(config),
        ": tensor model.layers.3.eh_proj.weight is no part of Glm4MoeForCausalLM with this config"));
}

TEST(Parameters, ExpertsInOneTensor) {
    const ModelConfig config =
        config_of(R"(,"num_local_experts":3,"num_experts_per_tok":2,"rope_parameters":{"rope_theta":1e4})",
                  "GptOssForCausalLM");
    Shapes shapes = shapes_of(config);
    EXPECT_EQ(shapes.at("model.layers.1.mlp.experts.gate_up_proj"), (std::vector<i64>{3, 8, 24}));
    EXPECT_EQ(shapes.at("model.layers.1.mlp.experts.gate_up_proj_bias"), (std::vector<i64>{3, 24}));
    EXPECT_EQ(shapes.at("model.layers.1.mlp.experts.down_proj"), (std::vector<i64>{3, 12, 8}));
    EXPECT_EQ(shapes.at("model.layers.1.mlp.experts.down_proj_bias"), (std::vector<i64>{3, 8}));
    i64 count = 0;
    for (const auto& [name, shape] : shapes) {
        i64 elements = 1;
        for (const i64 extent : shape) elements *= extent;
        count += elements;
    }
    EXPECT_EQ(num_parameters(config), count);
    EXPECT_EQ(Checkpoint(shapes).error_for(config), "found");
    shapes["model.layers.1.mlp.experts.down_proj"] = {3, 8, 12};
    EXPECT_TRUE(ends_with(Checkpoint(shapes).error_for(config),
                          ": tensor model.layers.1.mlp.experts.down_proj: GptOssForCausalLM of this config "
                          "has shape [3, 12, 8], got [3, 8, 12]"));
}

// Names and shapes of transformers' save_pretrained, of the second layer.
TEST(Parameters, NamesOfEachFamily) {
    const auto layer_of = [](const char* architecture) {
        std::string text;
        for (const auto& [name, shape] : shapes_of(config_of("", architecture))) {
            constexpr std::string_view kLayer = "model.layers.1.";
            if (!name.starts_with(kLayer)) continue;
            text += fmt::format("{} {}\n", name.substr(kLayer.size()), fmt::join(shape, "x"));
        }
        return text;
    };
    const std::string llama =
        "input_layernorm.weight 8\n"
        "mlp.down_proj.weight 8x12\nmlp.gate_proj.weight 12x8\nmlp.up_proj.weight 12x8\n"
        "post_attention_layernorm.weight 8\n"
        "self_attn.k_proj.weight 8x8\nself_attn.o_proj.weight 8x16\nself_attn.q_proj.weight 16x8\n"
        "self_attn.v_proj.weight 8x8\n";
    EXPECT_EQ(layer_of("LlamaForCausalLM"), llama);
    EXPECT_EQ(layer_of("MistralForCausalLM"), llama);
    EXPECT_EQ(layer_of("Qwen2ForCausalLM"),
              "input_layernorm.weight 8\n"
              "mlp.down_proj.weight 8x12\nmlp.gate_proj.weight 12x8\nmlp.up_proj.weight 12x8\n"
              "post_attention_layernorm.weight 8\n"
              "self_attn.k_proj.bias 8\nself_attn.k_proj.weight 8x8\nself_attn.o_proj.weight 8x16\n"
              "self_attn.q_proj.bias 16\nself_attn.q_proj.weight 16x8\n"
              "self_attn.v_proj.bias 8\nself_attn.v_proj.weight 8x8\n");
    EXPECT_EQ(layer_of("Qwen3ForCausalLM"),
              "input_layernorm.weight 8\n"
              "mlp.down_proj.weight 8x12\nmlp.gate_proj.weight 12x8\nmlp.up_proj.weight 12x8\n"
              "post_attention_layernorm.weight 8\n"
              "self_attn.k_norm.weight 4\nself_attn.k_proj.weight 8x8\nself_attn.o_proj.weight 8x16\n"
              "self_attn.q_norm.weight 4\nself_attn.q_proj.weight 16x8\nself_attn.v_proj.weight 8x8\n");
    EXPECT_EQ(layer_of("Gemma2ForCausalLM"),
              "input_layernorm.weight 8\n"
              "mlp.down_proj.weight 8x12\nmlp.gate_proj.weight 12x8\nmlp.up_proj.weight 12x8\n"
              "post_attention_layernorm.weight 8\npost_feedforward_layernorm.weight 8\n"
              "pre_feedforward_layernorm.weight 8\n"
              "self_attn.k_proj.weight 8x8\nself_attn.o_proj.weight 8x16\nself_attn.q_proj.weight 16x8\n"
              "self_attn.v_proj.weight 8x8\n");
    EXPECT_EQ(layer_of("Phi3ForCausalLM"),
              "input_layernorm.weight 8\n"
              "mlp.down_proj.weight 8x12\nmlp.gate_up_proj.weight 24x8\n"
              "post_attention_layernorm.weight 8\n"
              "self_attn.o_proj.weight 8x16\nself_attn.qkv_proj.weight 32x8\n");
    EXPECT_EQ(layer_of("Glm4ForCausalLM"),
              "input_layernorm.weight 8\n"
              "mlp.down_proj.weight 8x12\nmlp.gate_up_proj.weight 24x8\n"
              "post_attention_layernorm.weight 8\npost_mlp_layernorm.weight 8\n"
              "post_self_attn_layernorm.weight 8\n"
              "self_attn.k_proj.bias 8\nself_attn.k_proj.weight 8x8\nself_attn.o_proj.weight 8x16\n"
              "self_attn.q_proj.bias 16\nself_attn.q_proj.weight 16x8\n"
              "self_attn.v_proj.bias 8\nself_attn.v_proj.weight 8x8\n");
}

TEST(Parameters, FoundUnderEveryPrefix) {
    const ModelConfig config = config_of();
    for (const CheckpointPrefix& prefix : {CheckpointPrefix{"model.", ""},
                                           {"language_model.model.", "language_model."},
                                           {"model.language_model.", ""}}) {
        Shapes shapes = shapes_of(config, prefix);
        for (const char* name :
             {"vision_tower.layers.0.weight", "vision_tower.norm.weight", "projector.bias"})
            shapes[name] = {2, 2};
        const Checkpoint checkpoint(shapes);
        auto found = checkpoint.parameters_of(config);
        ASSERT_TRUE(found.ok()) << found.status().message();
        EXPECT_EQ(found->front().pieces[0].name, prefix.body + "embed_tokens.weight");
        EXPECT_EQ(found->back().pieces[0].name, prefix.head + "lm_head.weight");
        EXPECT_EQ(unused_tensors(*found, checkpoint.file()),
                  (std::vector<std::string>{"projector (1 tensors)", "vision_tower (2 tensors)"}));
    }
}

TEST(Parameters, SaysWhereCheckpointAndConfigDisagree) {
    const ModelConfig config = config_of();
    const Shapes good = shapes_of(config);
    EXPECT_EQ(Checkpoint(good).error_for(config), "found");
    EXPECT_EQ(Checkpoint(good, DType::f32).error_for(config), "found");
    EXPECT_TRUE(ends_with(Checkpoint(good, DType::i32).error_for(config),
                          "/model.safetensors: tensor model.embed_tokens.weight: expected bf16, f16 or f32, "
                          "got i32"));
    const auto changed = [&](const char* name, const std::vector<i64>& shape) {
        Shapes shapes = good;
        shapes[name] = shape;
        return Checkpoint(shapes).error_for(config);
    };
    EXPECT_TRUE(ends_with(changed("model.layers.1.self_attn.k_proj.weight", {16, 8}),
                          "/model.safetensors: tensor model.layers.1.self_attn.k_proj.weight: "
                          "LlamaForCausalLM of this config has shape [8, 8], got [16, 8]"));
    for (const char* name : {"model.layers.0.self_attn.q_proj.bias", "model.layers.1.self_attn.q_norm.weight",
                             "model.layers.2.input_layernorm.weight"}) {
        EXPECT_TRUE(ends_with(changed(name, {8}), "/model.safetensors: tensor " + std::string(name) +
                                                      " is no part of LlamaForCausalLM with this config"));
    }
    EXPECT_EQ(changed("model.layers.0.self_attn.rotary_emb.inv_freq", {2}), "found");
    Shapes missing = good;
    missing.erase("model.layers.1.mlp.up_proj.weight");
    EXPECT_TRUE(
        ends_with(Checkpoint(missing).error_for(config), ": no tensor model.layers.1.mlp.up_proj.weight"));
    EXPECT_TRUE(ends_with(Checkpoint({}).error_for(config), ": no tensor model.embed_tokens.weight"));
}

}  // namespace
}  // namespace warpwright
