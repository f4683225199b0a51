// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "engine/config.h"
#include "warpwright/plan.h"

namespace warpwright {
namespace {

Plan plan_of(const std::string& model, const std::string& gpu, const PlanOptions& options) {
    auto config = load_config(model);
    EXPECT_TRUE(config.ok()) << config.status().message();
    auto target = find_target(gpu);
    EXPECT_TRUE(target.ok()) << target.status().message();
    auto plan = plan_model(*config, *target, options);
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return *plan;
}

TEST(Plan, EveryTargetHasARowForEveryLayer) {
    for (const Target& target : targets()) {
        const Plan plan = plan_of("llama-3.1-8b", target.id, {});
        EXPECT_EQ(plan.missing, "") << target.id;
        EXPECT_GT(plan.decode.total_us(), 0) << target.id;
        for (const PlannedLayer& layer : plan.layers) {
            EXPECT_NE(layer.prefill.choice(), nullptr) << target.id << " " << layer.name;
            EXPECT_NE(layer.decode.choice(), nullptr) << target.id << " " << layer.name;
        }
    }
}

TEST(Plan, EveryPublicModelHasARowForEveryLayer) {
    for (const std::string& model : public_model_names()) {
        for (const char* gpu : {"a100", "l4", "h200", "b200", "rtx-5090", "cpu"}) {
            EXPECT_EQ(plan_of(model, gpu, {}).missing, "") << model << " on " << gpu;
        }
    }
}

TEST(Plan, WeightsAreCountedExactly) {
    // 8,030,261,248 parameters, 2 bytes each: the model card of Llama 3.1 8B.
    const Plan plan = plan_of("llama-3.1-8b", "h200", {});
    EXPECT_EQ(plan.weight_bytes, 2 * 8030261248);
    EXPECT_EQ(plan.kv_bytes_per_token, 128 * 1024);
    EXPECT_TRUE(plan.fits);
}

TEST(Plan, SaysByHowMuchItDoesNotFitAndWhatWould) {
    const Plan plan = plan_of("llama-3.1-70b", "rtx-pro-6000", {});
    EXPECT_FALSE(plan.fits);
    EXPECT_NE(plan.fit_text.find("GiB too much per GPU; what fits: 2 GPUs"), std::string::npos)
        << plan.fit_text;
    EXPECT_TRUE(plan_of("llama-3.1-70b", "rtx-pro-6000", {.num_gpus = 2}).fits);
    const Plan long_context = plan_of("llama-3.1-8b", "rtx-3090", {.batch = 8, .context_tokens = 32768});
    EXPECT_FALSE(long_context.fits);
    EXPECT_NE(long_context.fit_text.find("at batch 8"), std::string::npos) << long_context.fit_text;
}

TEST(Plan, TensorParallelSplitsAndPaysForTheLink) {
    const Plan one = plan_of("llama-3.1-8b", "h100", {});
    const Plan four = plan_of("llama-3.1-8b", "h100", {.num_gpus = 4});
    EXPECT_LT(four.decode.compute_us, one.decode.compute_us);
    EXPECT_EQ(one.decode.link_us, 0);
    EXPECT_GT(four.decode.link_us, 0);
    EXPECT_EQ(four.kv_bytes_per_token, one.kv_bytes_per_token / 4);
    // 16 GPUs, 8 kv heads: each head is held twice.
    EXPECT_EQ(plan_of("llama-3.1-8b", "h100", {.num_gpus = 16}).kv_bytes_per_token,
              one.kv_bytes_per_token / 8);
}

TEST(Plan, LayersThatTakeTurnsAreAnEntryOfEachForm) {
    const Plan plan = plan_of("gemma-3-27b", "h200", {.context_tokens = 8192});
    int windowed = 0, all = 0;
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.op != "attention") continue;
        (layer.name.ends_with("windowed_attention") ? windowed : all) = layer.count();
    }
    EXPECT_EQ(windowed, 52);
    EXPECT_EQ(all, 10);
    const auto json = nlohmann::json::parse(to_json(plan));
    for (const auto& layer : json["layers"]) {
        if (!layer["name"].get<std::string>().ends_with("windowed_attention")) continue;
        EXPECT_EQ(layer["count"], 52);
        EXPECT_EQ(layer["indices"], (std::vector<int>{0, 61}));
    }
    EXPECT_EQ(plan.cache_note, "52 of 62 layers see the last 1024 tokens, but keep them all");
    EXPECT_NE(to_text(plan).find(plan.cache_note), std::string::npos);
    EXPECT_EQ(plan_of("gemma-3-27b", "h200", {.context_tokens = 1024}).cache_note, "");
    EXPECT_EQ(plan_of("llama-3.1-8b", "h200", {}).cache_note, "");
}

// Prompts of latent attention run in the form that is predicted to be faster; decode steps run absorbed.
TEST(Plan, LongPromptsOfLatentAttentionAreExpanded) {
    const auto expands = [](const std::string& model, const PlanOptions& options) {
        const Plan plan = plan_of(model, "h100", options);
        bool expanded = false, absorbed = false;
        for (const PlannedLayer& layer : plan.layers) {
            expanded |= layer.name.ends_with("self_attn.expand") && !layer.prefill.op.empty();
            absorbed |= layer.op == "mla" && !layer.prefill.op.empty();
            if (layer.op == "mla" || layer.op == "attention") {
                EXPECT_EQ(layer.decode.op.empty(), layer.op == "attention");
            }
        }
        EXPECT_NE(expanded, absorbed) << model;
        return expanded;
    };
    const PlanOptions long_prompt{.context_tokens = 8192, .prompt_tokens = 8192};
    EXPECT_TRUE(expands("deepseek-v2-lite", long_prompt));
    EXPECT_FALSE(expands("deepseek-v2-lite", {.prompt_tokens = 64}));
    PlanOptions options = long_prompt;
    options.kv_format = "fp8";
    EXPECT_TRUE(expands("deepseek-v2-lite", options));
    options.batch_invariant = true;
    EXPECT_FALSE(expands("deepseek-v2-lite", options));
    // There is room for as many rows as eight passes read: the last pass sees more.
    EXPECT_TRUE(expands("deepseek-v2-lite", {.context_tokens = 16384, .prompt_tokens = 16384}));
    EXPECT_FALSE(expands("deepseek-v2-lite", {.context_tokens = 32768, .prompt_tokens = 32768}));
    options = long_prompt;
    options.num_gpus = 8;
    for (const char* model : {"deepseek-v3", "kimi-k2"}) EXPECT_TRUE(expands(model, options)) << model;
    EXPECT_FALSE(expands("deepseek-v3.2-exp", options));
    auto config = load_config("deepseek-v2-lite");
    const auto prefill_us = [&](std::optional<bool> choice) {
        config->expands_latents = choice;
        return plan_model(*config, *find_target("h100"), long_prompt)->prefill.total_us();
    };
    EXPECT_EQ(prefill_us({}), prefill_us(true));
    EXPECT_LT(prefill_us(true), 0.7 * prefill_us(false));
}

TEST(Plan, ListsFieldsThatNobodyKnows) {
    auto config = load_config("llama-3.2-1b");
    config->ignored_fields = {"unheard_of"};
    const auto plan = plan_model(*config, *find_target("h200"), {});
    ASSERT_TRUE(plan.ok());
    const auto json = nlohmann::json::parse(to_json(*plan));
    EXPECT_EQ(json["model"]["ignored_fields"], (std::vector<std::string>{"unheard_of"}));
}

TEST(Plan, RefusesBadOptions) {
    auto config = load_config("llama-3.1-8b");
    auto target = find_target("h100");
    const auto message = [&](const PlanOptions& options) {
        auto plan = plan_model(*config, *target, options);
        return plan.ok() ? "planned" : plan.status().message();
    };
    EXPECT_EQ(message({.num_gpus = 3}), "3 GPUs: num_attention_heads = 32 does not divide");
    EXPECT_EQ(message({.batch = 0}), "batch: expected at least 1, got 0");
    EXPECT_EQ(message({.context_tokens = 1 << 20}),
              "context: llama-3.1-8b allows 131072 tokens, got 1048576");
    EXPECT_EQ(message({.context_tokens = 10, .prompt_tokens = 11}),
              "prompt: 11 tokens do not fit a context of 10");
    EXPECT_EQ(message({.num_gpus = 2, .link = "carrier-pigeon"}).substr(0, 37),
              "h100-sxm has no link 'carrier-pigeon'");
}

TEST(Plan, JsonHasTheAgreedForm) {
    const auto json = nlohmann::json::parse(to_json(plan_of("llama-3.1-70b", "b200", {.num_gpus = 2})));
    for (const char* key : {"model", "target", "parallelism", "memory", "phases", "layers"}) {
        EXPECT_TRUE(json.contains(key)) << key;
    }
    for (const char* key :
         {"weights_bytes", "kv_bytes_per_token", "workspace_bytes", "capacity_bytes", "max_tokens", "fits"}) {
        EXPECT_TRUE(json["memory"].contains(key)) << key;
    }
    EXPECT_EQ(json["target"]["count"], 2);
    EXPECT_GT(json["phases"]["decode"]["tokens_per_s"].get<double>(), 0);
    for (const auto& layer : json["layers"]) {
        EXPECT_EQ(layer["indices"].size(), 2u);
        EXPECT_TRUE(layer["prefill"]["chosen"].is_object()) << layer["name"];
        EXPECT_TRUE(layer["decode"]["candidates"].is_array()) << layer["name"];
    }
    EXPECT_EQ(json["layers"][3]["indices"][1], 79);
}

double sum_us(const std::vector<TimePart>& parts) {
    double us = 0;
    for (const TimePart& part : parts) us += part.us;
    return us;
}

TEST(Plan, BothCutsOfTheTimeAddUpToIt) {
    for (const int gpus : {1, 2}) {
        const Plan plan = plan_of("llama-3.1-8b", "a100", {.num_gpus = gpus, .batch = 4});
        for (const PlannedPhase* phase : {&plan.prefill, &plan.decode}) {
            EXPECT_NEAR(sum_us(phase->kinds), phase->total_us(), 1e-6 * phase->total_us());
            EXPECT_NEAR(sum_us(phase->limits), phase->total_us(), 1e-6 * phase->total_us());
            EXPECT_EQ(phase->kinds.back().name == "between GPUs", gpus > 1);
        }
    }
}

TEST(Plan, SaysWhatBinds) {
    const Plan large = plan_of("llama-3.1-70b", "b200", {.context_tokens = 8192});
    EXPECT_EQ(large.prefill.binds(), "tensor cores");
    EXPECT_EQ(large.decode.binds(), "memory");
    // The shipped model's kernels are over before they have begun.
    EXPECT_EQ(plan_of(WW_SOURCE_DIR "/models/glossary", "h200", {.context_tokens = 64}).decode.binds(),
              "launch");
    // Eight GPUs whose every all-reduce goes through the host.
    EXPECT_EQ(plan_of("llama-3.2-1b", "rtx-5090", {.num_gpus = 8}).decode.binds(), "link");
}

TEST(Plan, TheLargestThatFitFit) {
    const Plan plan = plan_of("llama-3.1-8b", "rtx-3090", {.batch = 2, .context_tokens = 1024});
    const auto fits = [](i64 batch, i64 context) {
        return plan_of("llama-3.1-8b", "rtx-3090", {.batch = batch, .context_tokens = context}).fits;
    };
    EXPECT_TRUE(fits(plan.max_batch, 1024));
    EXPECT_FALSE(fits(plan.max_batch + 1, 1024));
    EXPECT_TRUE(fits(2, plan.max_context_tokens));
    EXPECT_FALSE(fits(2, plan.max_context_tokens + 1));
    EXPECT_EQ(plan_of("llama-3.1-8b", "b200", {}).max_context_tokens, 131072);  // the model's own limit
}

TEST(Plan, LongPromptsAreReadInPasses) {
    // The k-th of 16 passes of 2048 tokens sees 2048 k keys: a prefill of one pass that begins with a full
    // cache.
    const Plan whole = plan_of("llama-3.1-8b", "h100", {.context_tokens = 32768, .prompt_tokens = 32768});
    double products_us = 0, attention_us = 0;
    for (const PlannedLayer& layer : whole.layers) {
        const double us = layer.prefill.choice()->prediction.us * layer.count();
        if (layer.op == "gemm") products_us += 16 * us;
        if (layer.op == "attention") attention_us += 16 * us;  // as if every pass saw all keys
    }
    EXPECT_NEAR(whole.prefill.kinds[0].us, products_us, 1e-6 * products_us);
    EXPECT_EQ(whole.prefill.kinds[1].name, "attention");
    EXPECT_GT(whole.prefill.kinds[1].us, 0.45 * attention_us);
    EXPECT_LT(whole.prefill.kinds[1].us, 0.6 * attention_us);
}

std::size_t widest_line(const std::string& text) {
    std::size_t widest = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        widest = std::max(widest, end - at);
        at = end + 1;
    }
    return widest;
}

TEST(Plan, TextsHaveAtMostAHundredColumns) {
    const PlanOptions sweep[] = {{.batch = 1, .context_tokens = 1024}, {.batch = 64, .context_tokens = 8192}};
    for (const std::string& model : public_model_names()) {
        const auto config = load_config(model);
        ASSERT_TRUE(config.ok()) << config.status().message();
        for (const Target& target : targets()) {
            const std::string text = to_text(plan_of(model, target.id, {}));
            EXPECT_LE(widest_line(text), 100u) << text;
        }
        for (const auto& options : {std::span(sweep, 1), std::span(sweep, 2)}) {
            const std::string text = to_text(plan_points(*config, targets(), options));
            EXPECT_LE(widest_line(text), 100u) << text;
        }
    }
}

TEST(Plan, PointsHaveTheirOwnRefusals) {
    const auto config = load_config("llama-3.1-8b");
    const Target gpus[] = {*find_target("h200"), *find_target("rtx-5090")};
    const PlanOptions options[] = {{.num_gpus = 2, .link = "nvlink"}};
    const std::vector<PlanPoint> points = plan_points(*config, gpus, options);
    ASSERT_EQ(points.size(), 2u);
    EXPECT_TRUE(points[0].runs());
    EXPECT_FALSE(points[1].runs());
    EXPECT_EQ(points[1].refused, "rtx-5090 has no link 'nvlink'; it has: pcie");
    const std::string text = to_text(points);
    EXPECT_NE(text.find("rtx-5090: rtx-5090 has no link"), std::string::npos) << text;
    const auto json = nlohmann::json::parse(to_json(points));
    EXPECT_EQ(json["plans"][0]["target"]["gpu"], "h200");
    EXPECT_EQ(json["plans"][1]["refused"], points[1].refused);
}

TEST(Plan, ThePageEscapesNames) {
    auto config = load_config("llama-3.2-1b");
    config->name = "<script>alert('x')</script>&\"\x01";
    const Target gpus[] = {*find_target("h200")};
    const PlanOptions options[] = {{}};
    const std::string html = to_html(plan_points(*config, gpus, options));
    EXPECT_EQ(html.find("<script"), std::string::npos);
    EXPECT_EQ(html.find('\x01'), std::string::npos);
    EXPECT_NE(html.find("<h1>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;</h1>"),
              std::string::npos);
}

// Of every built-in config: one plan with its text, and the table and page of all GPUs.
TEST(Plan, AnyConfigPlansInATenthOfASecond) {
    std::string slowest;
    double slowest_s = 0, all_s = 0;
    // Time on the processor, of one thread: other processes share the cores.
    const auto seconds_of = [](const auto& work) {
        const std::clock_t start = std::clock();
        work();
        return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    };
    for (const std::string& model : public_model_names()) {
        const i64 context_tokens = std::min<i64>(8192, load_config(model)->max_position_tokens);
        for (const char* gpu : {"h200", "rtx-pro-6000"}) {
            const double s =
                seconds_of([&] { to_text(plan_of(model, gpu, {.context_tokens = context_tokens})); });
            if (s > slowest_s) slowest_s = s, slowest = model + " on " + gpu;
            EXPECT_LT(s, 0.1) << model << " on " << gpu;
        }
        const double s = seconds_of([&] {
            const PlanOptions options[] = {{}};
            const auto points = plan_points(*load_config(model), targets(), options);
            to_text(points);
            to_html(points);
        });
        EXPECT_LT(s, 0.1) << model << " on all GPUs";
        all_s = std::max(all_s, s);
    }
    std::printf("slowest plan: %s, %.1f ms; slowest on all GPUs: %.1f ms\n", slowest.c_str(), slowest_s * 1e3,
                all_s * 1e3);
}

}  // namespace
}  // namespace warpwright
