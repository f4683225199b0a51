// SPDX-License-Identifier: Apache-2.0
// The shipped model quantised, with activations in 16 bits or as its checkpoint declares them.
#pragma once

#include <algorithm>

#include "engine/quantize.h"
#include "engine/scratch.h"
#include "model_logits.h"
#include "run/planned_rows.h"

namespace warpwright::test {

// As `quantize` writes it, once for all tests.
inline std::string glossary_in(const std::string& format) {
    static const Scratch scratch;
    static std::map<std::string, std::string> folders;
    auto& folder = folders[format];
    if (!folder.empty()) return folder;
    folder = (scratch.folder() / format).string();
    const auto found = find_quantize_format(format);
    EXPECT_TRUE(found.ok()) << found.status().message();
    const auto written = quantize_checkpoint(glossary_folder(), folder, {.format = *found});
    EXPECT_TRUE(written.ok()) << written.status().message();
    return folder;
}

inline ModelConfig config_with(const std::string& folder, Activations activations) {
    ModelConfig config = config_of(folder, DType::bf16, false);
    config.activations = activations;
    return config;
}

inline std::vector<float> logits_with(const std::string& folder, Activations activations, const Text& text,
                                      const std::shared_ptr<Context>& context = host_context()) {
    const auto engine = engine_of(config_with(folder, activations), folder, context);
    if (engine == nullptr) return {};
    EXPECT_EQ(engine->forms().coded_inputs, activations == Activations::declared);
    return logits_of(*engine, text.prefixes);
}

// A decode launches what its plan names, and all products of layers multiply codes.
inline void expect_planned_rows(const std::string& folder, const std::string& device) {
    const auto context = Context::open(device);
    ASSERT_TRUE(context.ok()) << context.status().message();
    const ModelConfig config = config_with(folder, Activations::declared);
    const auto engine = engine_of(config, folder, *context);
    ASSERT_NE(engine, nullptr);
    ASSERT_TRUE(engine->add({.prompt = {0, 5, 9}, .max_tokens = 3, .stop_at_eos = false}).ok());
    while (!engine->idle()) ASSERT_TRUE(engine->step().ok());
    const PlanOptions options{.batch = 1, .context_tokens = engine->max_context_tokens()};
    const auto plan = plan_model(config, engine->forms(), (*context)->target(), options);
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    EXPECT_EQ(launched_rows(*engine), planned_rows(*plan));
    const auto rows = planned_rows(*plan);
    const auto is_coded = [](const std::string& row) { return row.starts_with("scaled_gemm."); };
    EXPECT_GE(std::count_if(rows.begin(), rows.end(), is_coded), 4 * config.num_layers);
    EXPECT_EQ(plan->activations, "declared");
    EXPECT_EQ(plan->activations_reason, "asked for");
}

}  // namespace warpwright::test
