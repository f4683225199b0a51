// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
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

TEST(Plan, SeventyBillionParametersPlanInATenthOfASecond) {
    plan_of("llama-3.1-70b", "rtx-pro-6000", {.num_gpus = 2});
    const auto start = std::chrono::steady_clock::now();
    plan_of("llama-3.1-70b", "rtx-pro-6000", {.num_gpus = 2});
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 0.1);
}

}  // namespace
}  // namespace warpwright
