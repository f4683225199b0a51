// SPDX-License-Identifier: Apache-2.0
// The shipped model with 8-bit activations as its checkpoint declares them: what comes out, and which rows
// run, on the CPU and emulated.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "declared_model.h"
#include "engine/gptq/layer_pass.h"
#include "engine/parameters.h"

namespace warpwright::test {
namespace {

// By how much rounding to codes of this format changes the inputs of the shipped model's products, as a
// fraction of them; and its weights, those that are multiplied by codes. Each the largest over all products.
double relative_error(formats::Code code, const std::vector<float>& rows, i64 columns) {
    double squares = 0, error = 0;
    std::vector<u8> codes(static_cast<std::size_t>(columns));
    const float most = code == formats::Code::i8 ? 127.0F : formats::kE4M3.max;
    for (std::size_t at = 0; at < rows.size(); at += codes.size()) {
        const float scale = formats::largest_magnitude(&rows[at], columns) / most;
        formats::encode_run(code, &rows[at], columns, scale, 0, codes.data());
        for (std::size_t i = 0; i < codes.size(); ++i) {
            const double value = rows[at + i], back = decode(code, codes[i]) * static_cast<double>(scale);
            squares += value * value;
            error += (value - back) * (value - back);
        }
    }
    return std::sqrt(error / squares);
}

std::vector<float> as_floats(const Tensor& rows) {
    std::vector<float> values;
    for (i64 row = 0; row < rows.shape[0]; ++row) {
        const auto* from = static_cast<const u16*>(rows.data) + row * rows.stride[0];
        for (i64 i = 0; i < rows.shape[1]; ++i)
            values.push_back(std::bit_cast<float>(static_cast<u32>(from[i]) << 16));
    }
    return values;
}

struct Errors {
    double inputs = 0, weights = std::numeric_limits<double>::infinity();
};
Errors rounding_errors(formats::Code code, const std::vector<i32>& tokens) {
    Errors errors;
    const ModelConfig config = config_of(glossary_folder(), DType::bf16, false);
    const auto checkpoint = Safetensors::open(glossary_folder());
    const auto parameters = find_parameters(config, *checkpoint);
    const CheckpointSource source(*checkpoint);
    const auto count = static_cast<i64>(tokens.size());
    auto pass = LayerPass::create(config, *parameters, source, count);
    EXPECT_TRUE(pass.ok()) << pass.status().message();
    const auto table = checkpoint->find("model.embed_tokens.weight");
    const std::size_t row = static_cast<std::size_t>(config.hidden_size) * 2;
    for (std::size_t i = 0; i < tokens.size(); ++i)
        std::memcpy((*pass)->inputs().data() + i * row,
                    table->bytes.data() + static_cast<std::size_t>(tokens[i]) * row, row);
    for (int layer = 0; layer < config.num_layers; ++layer) {
        EXPECT_TRUE((*pass)->open(layer).ok());
        for (const auto product : {LayerPass::qkv, LayerPass::o, LayerPass::gate_up, LayerPass::down}) {
            const auto inputs = (*pass)->run_to(product);
            EXPECT_TRUE(inputs.ok()) << inputs.status().message();
            errors.inputs =
                std::max(errors.inputs, relative_error(code, as_floats(*inputs), inputs->shape[1]));
        }
        const auto residual = (*pass)->run();
        EXPECT_TRUE(residual.ok());
        std::memcpy((*pass)->inputs().data(), residual->data, tokens.size() * row);
    }
    for (const Parameter& parameter : *parameters) {
        if (parameter.layer < 0 || !parameter.is_product()) continue;
        for (const ParameterPiece& piece : parameter.pieces) {
            std::vector<u16> values(static_cast<std::size_t>(piece.num_elements()));
            EXPECT_TRUE(source
                            .read({&parameter, &piece, 0, piece.num_elements()}, DType::bf16,
                                  reinterpret_cast<std::byte*>(values.data()))
                            .ok());
            const Tensor rows = Tensor::dense(values.data(), DType::bf16, {piece.shape[0], piece.shape[1]});
            errors.weights = std::min(errors.weights, relative_error(code, as_floats(rows), piece.shape[1]));
        }
    }
    return errors;
}

// Rounding the inputs changes products by as much as rounding the weights does, if it changes inputs by as
// much as weights: the logits may be twice as far as that from those of 16-bit inputs.
TEST(Activations, LogitsAreAsNearAsRoundedInputsAre) {
    const Text text = held_out_text();
    const std::vector<float> numbers = logits_with(glossary_folder(), Activations::bits16, text);
    std::vector<i32> tokens;
    for (const auto& prefix : text.prefixes) tokens.insert(tokens.end(), prefix.begin(), prefix.end());
    tokens.resize(std::min<std::size_t>(tokens.size(), 256));
    for (const char* format : {"int8", "fp8", "fp8-tensor", "fp8-block"}) {
        SCOPED_TRACE(format);
        const bool is_integer = format == std::string("int8");
        const Errors errors = rounding_errors(is_integer ? formats::Code::i8 : formats::Code::e4m3, tokens);
        const std::vector<float> bits16 = logits_with(glossary_in(format), Activations::bits16, text);
        const std::vector<float> declared = logits_with(glossary_in(format), Activations::declared, text);
        const double of_weights = distance(bits16, numbers), of_inputs = distance(declared, bits16);
        EXPECT_GT(of_inputs, 0);
        EXPECT_LE(of_inputs, 2 * of_weights * errors.inputs / errors.weights)
            << of_weights << ", inputs change by " << errors.inputs << ", weights by " << errors.weights;
        std::printf("%-10s weights %.4f inputs %.4f; rounding %.4f %.4f\n", format, of_weights, of_inputs,
                    errors.weights, errors.inputs);
    }
}

// Emulated GPUs multiply by other instructions. Where a sum of theirs is rounded the other way, a code may be
// another one, and what follows with it: they are as far from 16-bit inputs as the CPU's codes, not equal.
TEST(Activations, EmulatedLogitsAreAsNearAsTheCpus) {
    Text text = held_out_text();
    text.prefixes.resize(3);
    for (const char* format : {"int8", "fp8", "fp8-block"}) {
        const std::string folder = glossary_in(format);
        const std::vector<float> bits16 = logits_with(folder, Activations::bits16, text);
        const double error = distance(logits_with(folder, Activations::declared, text), bits16);
        for (const char* gpu : {"a100", "l4", "h200", "rtx-5090"}) {
            SCOPED_TRACE(std::string(format) + " on " + gpu);
            const auto context = Context::open(std::string("emulated:") + gpu + ",checks=bounds");
            ASSERT_TRUE(context.ok()) << context.status().message();
            EXPECT_LE(distance(logits_with(folder, Activations::declared, text, *context), bits16),
                      2 * error);
        }
    }
}

TEST(Activations, RowsAreThoseOfThePlan) {
    for (const char* format : {"int8", "fp8", "fp8-tensor", "fp8-block"}) {
        SCOPED_TRACE(format);
        expect_planned_rows(glossary_in(format), "cpu");
        expect_planned_rows(glossary_in(format), "emulated:h200,checks=off");
    }
}

// What is decided for a device without anybody's asking is what its plan says, for any batch.
TEST(Activations, AreDecidedOnceForADevice) {
    const std::string folder = glossary_in("fp8");
    for (const char* device : {"cpu", "emulated:h200,checks=off"}) {
        const auto context = Context::open(device);
        ASSERT_TRUE(context.ok());
        const ModelConfig config = config_with(folder, Activations::automatic);
        const auto engine = engine_of(config, folder, *context);
        for (const i64 batch : {1, 64}) {
            const auto plan =
                plan_model(config, (*context)->target(), {.batch = batch, .context_tokens = 64});
            ASSERT_TRUE(plan.ok()) << plan.status().message();
            EXPECT_EQ(plan->activations == "declared", engine->forms().coded_inputs);
            EXPECT_EQ(plan->activations_reason, engine->forms().activations_reason);
            EXPECT_NE(plan->activations_reason, "");
        }
    }
}

}  // namespace
}  // namespace warpwright::test
