// SPDX-License-Identifier: Apache-2.0
// Quantised checkpoints through the engine: their weights stay codes, and what comes out is what the same
// weights give as numbers. The small goldens of every reader, and the shipped model in all that `quantize`
// writes.
#include <numeric>

#include "engine/quantize.h"
#include "engine/scratch.h"
#include "golden.h"
#include "model_logits.h"
#include "run/planned_rows.h"

namespace warpwright::test {
namespace {

const char* const kModels[] = {"awq",
                               "gptq",
                               "compressed_int4",
                               "compressed_int8",
                               "compressed_fp8",
                               "compressed_mxfp4",
                               "compressed_nvfp4",
                               "deepseek_fp8",
                               "torchao_fp8",
                               "torchao_int4",
                               "modelopt_int4",
                               "modelopt_mixed"};

int num_packed(const ModelForms& forms) {
    int count = 0;
    for (const LayerForms& layer : forms.layers) {
        for (const ProductForm* product : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) {
            for (const PartForm& part : *product) count += part.form.packed;
        }
    }
    return count;
}

TEST(PackedModels, GiveTheLogitsOfTheirNumbers) {
    for (const char* name : kModels) {
        SCOPED_TRACE(name);
        expect_same_logits(folder_of(name), {{1, 5, 9}, {2, 80, 33, 7, 12, 60}, {4}});
    }
}

TEST(PackedModels, RunTheRowsOfTheirPlan) {
    for (const char* name : kModels) {
        SCOPED_TRACE(name);
        const std::string folder = folder_of(name);
        auto config = load_config(folder);
        ASSERT_TRUE(config.ok());
        auto weights = load_weights(*host_context(), *config, folder);
        ASSERT_TRUE(weights.ok()) << weights.status().message();
        const i64 bytes = weights->bytes;
        EXPECT_GE(num_packed(weights->forms), 4);
        EXPECT_TRUE(weights->forms.notes.empty());
        auto engine =
            Engine::create(host_context(), *config, std::move(*weights), {.max_context_tokens = 32});
        ASSERT_TRUE(engine.ok()) << engine.status().message();
        ASSERT_TRUE((*engine)->add({.prompt = {1, 5, 9}, .max_tokens = 3, .stop_at_eos = false}).ok());
        while (!(*engine)->idle()) ASSERT_TRUE((*engine)->step().ok());
        const PlanOptions options{.batch = 1, .context_tokens = 32};
        const Target& target = host_context()->target();
        const auto plan = plan_model(*config, (*engine)->forms(), target, options);
        ASSERT_TRUE(plan.ok()) << plan.status().message();
        EXPECT_EQ(launched_rows(**engine), planned_rows(*plan));
        EXPECT_EQ(plan->weight_bytes, bytes);
        // Nobody looked at the checkpoint: the same rows, but where q, k and v have different global scales.
        if (name == std::string("compressed_nvfp4")) {
            EXPECT_EQ((*engine)->forms().layers[0].qkv.size(), 2U);
            continue;
        }
        const auto expected = plan_model(*config, target, options);
        ASSERT_TRUE(expected.ok()) << expected.status().message();
        EXPECT_EQ(planned_rows(*expected), planned_rows(*plan));
    }
}

// Mean of -log p(next).
double loss_of(const std::vector<float>& logits, const std::vector<i32>& next) {
    const std::size_t vocabulary = logits.size() / next.size();
    double sum = 0;
    for (std::size_t i = 0; i < next.size(); ++i) {
        const float* row = &logits[i * vocabulary];
        const double most = *std::max_element(row, row + vocabulary);
        double total = 0;
        for (std::size_t j = 0; j < vocabulary; ++j) total += std::exp(row[j] - most);
        sum += most + std::log(total) - row[next[i]];
    }
    return sum / static_cast<double>(next.size());
}

TEST(PackedModels, TheShippedModelInEveryFormat) {
    const Text text = held_out_text();
    ASSERT_GE(text.next.size(), 32U);
    const Scratch scratch;
    for (const CheckpointFormat& format : quantize_formats()) {
        SCOPED_TRACE(std::string(format.name));
        const std::string out = (scratch.folder() / format.name).string();
        const auto written = quantize_checkpoint(glossary_folder(), out, {.format = format});
        ASSERT_TRUE(written.ok()) << written.status().message();
        const Logits logits = expect_same_logits(out, text.prefixes);
        const double exact = loss_of(logits.exact, text.next);
        const double numbers = std::abs(loss_of(logits.numbers, text.next) - exact);
        const double packed = std::abs(loss_of(logits.packed, text.next) - exact);
        // A mean of errors of either sign: as far as their spread lets it be.
        EXPECT_LE(packed, std::max(2 * numbers, 2 * distance(logits.numbers, logits.exact)));
        // The likeliest token is the same wherever it leads by more than the error of two logits.
        const double error = 2 * distance(logits.numbers, logits.exact) * 4;
        const std::size_t vocabulary = logits.exact.size() / text.next.size();
        int num_clear = 0;
        for (std::size_t i = 0; i < text.next.size(); ++i) {
            std::vector<float> row(logits.exact.begin() + static_cast<std::ptrdiff_t>(i * vocabulary),
                                   logits.exact.begin() + static_cast<std::ptrdiff_t>((i + 1) * vocabulary));
            const auto best = std::max_element(row.begin(), row.end());
            const auto token = best - row.begin();
            const float lead = *best;
            *best = -1e30F;
            if (lead - *std::max_element(row.begin(), row.end()) <= error) continue;
            const float* packed_row = &logits.packed[i * vocabulary];
            EXPECT_EQ(std::max_element(packed_row, packed_row + vocabulary) - packed_row, token);
            ++num_clear;
        }
        EXPECT_GT(num_clear, static_cast<int>(text.next.size()) / 2);
    }
}

}  // namespace
}  // namespace warpwright::test
