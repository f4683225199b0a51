// SPDX-License-Identifier: Apache-2.0
// Scales of inputs that stand in a checkpoint: used, one for each part of a product, and refused by name.
#include <limits>

#include "declared_model.h"
#include "edited_model.h"

namespace warpwright::test {
namespace {

// fp8-tensor with static inputs.
EditedModel static_model(const std::function<float(const std::string&)>& scale) {
    EditedModel model(glossary_in("fp8-tensor"));
    model.inputs() = {{"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}, {"dynamic", false}};
    model.add_to_each_layer("input_scale",
                            [&](const std::string& layer) { return AddedTensor::number(scale(layer)); });
    return model;
}

// A scale that spans what there is makes codes as good as each token's own: e4m3 has an exponent.
TEST(InputScales, GivenScalesAreUsed) {
    const Text text = held_out_text();
    const std::string dynamic = glossary_in("fp8-tensor");
    const std::vector<float> bits16 = logits_with(dynamic, Activations::bits16, text);
    const double of_tokens = distance(logits_with(dynamic, Activations::declared, text), bits16);
    EditedModel good = static_model([](const std::string&) { return 0.0625F; });
    const std::string folder = good.folder();
    EXPECT_LE(distance(logits_with(folder, Activations::declared, text), bits16), 2 * of_tokens);
    EXPECT_EQ(distance(logits_with(folder, Activations::bits16, text), bits16), 0);
    expect_planned_rows(folder, "cpu");
    // A scale that cuts inputs off does harm: it is not left unused.
    EditedModel small = static_model([](const std::string&) { return 0.0005F; });
    EXPECT_GT(distance(logits_with(small.folder(), Activations::declared, text), bits16), 4 * of_tokens);
}

TEST(InputScales, PartsWithScalesOfTheirOwnHaveCodesOfTheirOwn) {
    EditedModel model =
        static_model([](const std::string& layer) { return layer.ends_with("k_proj") ? 0.05F : 0.0625F; });
    const std::string folder = model.folder();
    const Text text = held_out_text();
    const auto engine = engine_of(config_with(folder, Activations::declared), folder);
    const ProductForm& qkv = engine->forms().layers[0].qkv;
    ASSERT_EQ(qkv.size(), 3U);
    EXPECT_EQ(qkv[0].form.input, 0);
    EXPECT_EQ(qkv[1].form.input, 1);
    EXPECT_EQ(qkv[2].form.input, 0);
    expect_planned_rows(folder, "cpu");
    expect_planned_rows(folder, "emulated:h200,checks=off");
    const std::vector<float> bits16 = logits_with(folder, Activations::bits16, text);
    EditedModel one = static_model([](const std::string&) { return 0.0625F; });
    const double of_one = distance(logits_with(one.folder(), Activations::declared, text), bits16);
    EXPECT_LE(distance(logits_of(*engine, text.prefixes), bits16), 2 * of_one);
}

std::string refusal(EditedModel& model, Activations activations = Activations::declared) {
    const std::string folder = model.folder();
    const auto config = load_config(folder);
    if (!config.ok()) return config.status().message();
    ModelConfig asked = *config;
    asked.activations = activations;
    return load_weights(*host_context(), asked, folder).status().message();
}

TEST(InputScales, BadScalesAreRefusedByName) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const std::string name = "model.layers.3.mlp.down_proj.input_scale";
    for (const float bad : {0.0F, -0.5F, kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
        EditedModel model = static_model([](const std::string&) { return 0.0625F; });
        model.added[name] = AddedTensor::number(bad);
        for (const Activations activations : {Activations::declared, Activations::bits16})
            EXPECT_PRED_FORMAT2(testing::IsSubstring,
                                "tensor " + name + ": expected a positive finite number",
                                refusal(model, activations));
    }
    EditedModel shape = static_model([](const std::string&) { return 0.0625F; });
    shape.added[name] = {"F32", {2}, std::string(8, '\x3c')};
    EXPECT_PRED_FORMAT2(testing::IsSubstring,
                        "tensor " + name + ": expected F32 or F16 or BF16 of one element", refusal(shape));
    EditedModel type = static_model([](const std::string&) { return 0.0625F; });
    type.added[name] = {"I32", {1}, std::string(4, '\1')};
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "got I32 [1]", refusal(type));
    // A missing one is refused where it was asked for; otherwise the layer's inputs stay in 16 bits.
    EditedModel missing = static_model([](const std::string&) { return 0.0625F; });
    missing.added.erase(name);
    EXPECT_PRED_FORMAT2(
        testing::IsSubstring,
        "model.layers.3.mlp.down_proj.weight: inputs are declared to be 8-bit floats, one scale "
        "from the checkpoint, but there is no tensor input_scale beside it",
        refusal(missing));
    EXPECT_EQ(refusal(missing, Activations::automatic), "");
}

}  // namespace
}  // namespace warpwright::test
