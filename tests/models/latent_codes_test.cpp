// SPDX-License-Identifier: Apache-2.0
// The small models with latent attention, their rows kept as codes: what is in the cache to the bit, logits
// against a cache of 16 bits that holds the same numbers, and that a plan is what runs.
#include <cmath>
#include <set>

#include "models/rounded_cache.h"
#include "models/small_model.h"
#include "run/planned_rows.h"

namespace warpwright::test {
namespace {

constexpr KvFormat kFormat = KvFormat::fp8_e4m3;

class LatentCodes : public testing::TestWithParam<std::tuple<std::string, std::string>> {
protected:
    const std::string device = std::get<0>(GetParam());
    const SmallModel& model = small_model(std::get<1>(GetParam()));
    const std::vector<i32> prompt = model.golden()["prompts"].back()["tokens"].get<std::vector<i32>>();
    const std::shared_ptr<Context> context = opened(device);

    // Scales of layers that are powers of two: a code's number is one of bf16 then.
    std::vector<LayerKvScales> scales() const {
        std::vector<LayerKvScales> all;
        const int layers = load_config(model.folder())->num_layers;
        for (int layer = 0; layer < layers; ++layer)
            all.push_back({{std::exp2(static_cast<float>(layer % 3 - 4))}, {}});
        return all;
    }
    OnePass pass(const std::shared_ptr<Context>& on, KvFormat format,
                 const std::vector<LayerKvScales>& of_layers = {}, bool expands = false) const {
        return OnePass(on, format, prompt, of_layers, model.folder(), expands);
    }

    // With a cache of 16 bits whose numbers are replaced by those that their codes stand for.
    std::vector<float> rounded_logits(const std::shared_ptr<Context>& on,
                                      const std::vector<LayerKvScales>& of_layers, bool expands) const {
        OnePass with_numbers = pass(on, KvFormat::same, {}, expands);
        const auto tokens = static_cast<i64>(prompt.size());
        // The first rope of a layer appends; another is the indexer's, or copies what turned.
        const int ropes_of_layer = expands || with_numbers.config().has_indexer() ? 2 : 1;
        int layer = -1, ropes = 0;
        const auto round_keys = [&](const Prepared::Step& step) {
            if (step.row.starts_with("index_logits.")) round_index_keys(with_numbers, layer, tokens);
        };
        return with_numbers.run(round_keys, [&](const Prepared::Step& step) {
            if (!step.row.starts_with("rope.") || ropes++ % ropes_of_layer != 0) return;
            ++layer;
            const float scale = of_layers.empty() ? 1 : of_layers[static_cast<std::size_t>(layer)].k[0];
            round_latent_rows(with_numbers, layer, scale, tokens);
        });
    }
};

// In the first layer, whose rows come from the same numbers in both passes.
TEST_P(LatentCodes, TheCacheHoldsTheCodesOfItsRows) {
    const std::vector<LayerKvScales> known = scales();
    OnePass with_numbers = pass(context, KvFormat::same), with_codes = pass(context, kFormat, known);
    with_numbers.run();
    with_codes.run();
    const auto tokens = static_cast<i64>(prompt.size());
    const auto values = rows_in_order(with_numbers, with_numbers.pages().latent_pages(0), tokens);
    const auto codes = elements_of<u8>(with_codes, with_codes.pages().latent_pages(0));
    const std::vector<float> expected = kv_codes(values, kFormat, known[0].k, 1);
    const i64 width = with_numbers.config().latent.cached();
    std::set<u8> found;
    for (i64 token = 0; token < tokens; ++token) {
        for (i64 i = 0; i < width; ++i) {
            const u8 code = codes[static_cast<std::size_t>(with_codes.page_slot(token) * width + i)];
            const auto at = static_cast<std::size_t>(token * width + i);
            ASSERT_EQ(code, expected[at]) << "token " << token << ": " << values[at];
            found.insert(code);
        }
    }
    EXPECT_GT(found.size(), 100u);  // most of the format's numbers
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    return std::sqrt(sum / static_cast<double>(a.size()));
}

// On the host the same bits. Rows of a GPU add up elsewhere, and a number beside a code's border becomes the
// next code: as far apart as two ways to the rounded cache's logits are, here and on the host, and twice
// that.
TEST_P(LatentCodes, LogitsAreThoseOfTheNumbersThatCodesStandFor) {
    for (const bool expands : {false, true}) {
        SCOPED_TRACE(expands ? "expanded" : "absorbed");
        if (expands && load_config(model.folder())->has_indexer()) continue;
        const auto plain = pass(context, KvFormat::same, {}, expands).run();
        for (const auto& of_layers : {std::vector<LayerKvScales>{}, scales()}) {
            const auto logits = pass(context, kFormat, of_layers, expands).run();
            const auto rounded = rounded_logits(context, of_layers, expands);
            if (device == "cpu") {
                EXPECT_EQ(logits, rounded);
            } else {
                EXPECT_LE(distance(logits, rounded),
                          2 * distance(rounded, rounded_logits(opened("cpu"), of_layers, expands)));
            }
            EXPECT_GT(distance(logits, plain), 0);
            EXPECT_LE(distance(logits, plain), 2 * distance(rounded, plain));
        }
    }
}

std::unique_ptr<Engine> engine_with_codes(const std::shared_ptr<Context>& context, const SmallModel& model,
                                          const EngineOptions& options) {
    ModelConfig config = load_config(model.folder()).value();
    config.kv_format = kFormat;
    auto engine =
        Engine::create(context, config, load_weights(*context, config, model.folder()).value(), options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return std::move(*engine);
}

TEST_P(LatentCodes, PlanIsWhatRuns) {
    const auto engine = engine_with_codes(
        context, model, {.max_sequences = 1, .max_context_tokens = model.golden()["context_tokens"]});
    ASSERT_TRUE(engine->add({prompt, 3, {}, false}).ok());
    run_all(*engine);
    const ModelConfig config = load_config(model.folder()).value();
    const auto plan = plan_model(
        config, context->target(),
        {.batch = 1, .context_tokens = engine->max_context_tokens(), .kv_format = kv_format_name(kFormat)});
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    EXPECT_TRUE(plan->runs());
    const std::vector<std::string> rows = planned_rows(*plan);
    EXPECT_EQ(launched_rows(*engine), rows);
    const auto has = [&](const std::string& part) {
        return std::ranges::any_of(rows, [&](const std::string& row) { return row.starts_with(part); });
    };
    EXPECT_TRUE(has(device == "cpu" ? "mla.host." : "mla.portable.bf16.codes."));
    if (!config.has_indexer()) return;
    EXPECT_TRUE(has(device == "cpu" ? "latent_append.host" : "latent_append.portable.t128v1"));
    EXPECT_TRUE(has(device == "cpu" ? "index_logits.host" : "index_logits.portable.bf16_e4m3"));
}

// A prompt in either form, and in the one that the plan chooses.
TEST_P(LatentCodes, PlanOfAPromptIsWhatRuns) {
    const ModelConfig config = load_config(model.folder()).value();
    const auto tokens = static_cast<i64>(prompt.size());
    for (const KvFormat format : {KvFormat::same, kFormat}) {
        for (const std::optional<bool> expands : {std::optional<bool>{}, {false}, {true}}) {
            OnePass one(context, format, prompt, {}, model.folder(), expands);
            ModelConfig formed = config;
            formed.expands_latents = expands;
            const auto plan = plan_model(
                formed, context->target(),
                {.context_tokens = tokens, .prompt_tokens = tokens, .kv_format = kv_format_name(format)});
            ASSERT_TRUE(plan.ok()) << plan.status().message();
            const auto rows = launched_rows(one.prepared());
            EXPECT_EQ(rows, planned_rows(*plan, &PlannedLayer::prefill));
            const bool absorbs =
                std::ranges::any_of(rows, [](const std::string& row) { return row.starts_with("mla."); });
            if (config.has_indexer()) {
                EXPECT_TRUE(absorbs);
            } else if (expands) {
                EXPECT_NE(absorbs, *expands);
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, LatentCodes,
                         testing::Combine(testing::Values("cpu", "emulated:h200", "emulated:rtx-5090"),
                                          testing::Values("deepseek-v2-lite", "deepseek-v3", "deepseek-v32")),
                         [](const auto& info) {
                             std::string text = std::get<1>(info.param) + "_" + std::get<0>(info.param);
                             for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                             return text;
                         });

// Chunks, batches, and pages that an earlier sequence has left: the same tokens as alone in one pass.
TEST(LatentCodesOfEngine, WhatRunsBesideASequenceChangesNothing) {
    const auto context = Context::open("cpu").value();
    for (const char* name : {"deepseek-v3", "deepseek-v32"}) {
        const SmallModel& model = small_model(name);
        const auto tokens = [](Engine& engine, const std::vector<nlohmann::json>& prompts) {
            for (const nlohmann::json& prompt : prompts)
                EXPECT_TRUE(engine.add({prompt["tokens"], 20, {}, false}).ok());
            std::vector<std::vector<i32>> texts;
            for (auto& [id, text] : run_all(engine)) texts.push_back(std::move(text));
            return texts;
        };
        const std::vector<nlohmann::json> prompts = model.golden()["prompts"];
        EngineOptions options{.max_sequences = 1, .max_context_tokens = 64, .batch_invariant = true};
        std::vector<std::vector<i32>> alone;
        for (const nlohmann::json& prompt : prompts)
            alone.push_back(tokens(*engine_with_codes(context, model, options), {prompt})[0]);
        options.max_sequences = 2;
        options.max_batch_tokens = 11;
        options.page_size_tokens = 4;
        const auto engine = engine_with_codes(context, model, options);
        EXPECT_EQ(tokens(*engine, prompts), alone) << name;
        EXPECT_EQ(engine->stats().scheduler.reused_tokens, 0);
        EXPECT_EQ(tokens(*engine, prompts), alone) << name;
        EXPECT_GT(engine->stats().scheduler.reused_tokens, 0);
    }
}

// A key of an indexer has a scale behind its codes.
TEST(LatentCodesOfEngine, MemoryIsThatOfTheFormat) {
    const auto target = find_target("h200").value();
    const auto bytes = [&](const char* name, const char* format) {
        const auto plan = plan_model(load_config(name).value(), target,
                                     {.num_gpus = 8, .context_tokens = 4096, .kv_format = format});
        return plan->kv_bytes_per_token;
    };
    EXPECT_EQ(bytes("deepseek-v3", "bf16"), 61 * 576 * 2);
    EXPECT_EQ(bytes("deepseek-v3", "fp8"), 61 * 576);
    EXPECT_EQ(bytes("deepseek-v3.2-exp", "bf16"), 61 * (576 * 2 + 128 * 2));
    EXPECT_EQ(bytes("deepseek-v3.2-exp", "fp8"), 61 * (576 + 128 + 4));
}

}  // namespace
}  // namespace warpwright::test
