// SPDX-License-Identifier: Apache-2.0
// A small model run on a device along its goldens, and how far its logits are from theirs.
#pragma once

#include <algorithm>
#include <cstring>

#include "engine/config.h"
#include "engine/engine.h"
#include "engine/weights.h"
#include "models/small_model.h"

namespace warpwright::test {

// Errors of one row of logits, as multiples of what they may be: twice the error of transformers' own bf16.
struct GoldenError {
    double max = 0, rms = 0;
    double worst() const { return std::max(max, rms); }
};

inline const std::vector<float>& golden_logits(const std::string& name) {
    static const auto file = Safetensors::open(models_folder() + "/goldens.safetensors");
    static std::map<std::string, std::vector<float>> rows;
    std::vector<float>& row = rows[name];
    if (row.empty()) {
        const auto stored = file->find(name);
        EXPECT_TRUE(stored.ok()) << stored.status().message();
        row.resize(stored->bytes.size() / sizeof(float));
        std::memcpy(row.data(), stored->bytes.data(), stored->bytes.size());
    }
    return row;
}

inline GoldenError golden_error(const std::vector<float>& logits, const std::vector<float>& expected,
                                const nlohmann::json& bf16_error) {
    EXPECT_EQ(logits.size(), expected.size());
    double max = 0, squares = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double error = std::abs(double{logits[i]} - expected[i]);
        max = std::isfinite(error) ? std::max(max, error) : HUGE_VAL;
        squares += error * error;
    }
    return {
        max / (2 * bf16_error["max"].get<double>()),
        std::sqrt(squares / static_cast<double>(expected.size())) / (2 * bf16_error["rms"].get<double>())};
}

class GoldenRun {
public:
    // With the weights of the model and this config, which a test may have changed.
    GoldenRun(const std::shared_ptr<Context>& context, const SmallModel& model, const ModelConfig& config,
              const EngineOptions& options)
        : model_(model) {
        auto original = load_config(model.folder());
        EXPECT_TRUE(original.ok()) << original.status().message();
        original->dtype = config.dtype;
        auto weights = load_weights(*context, *original, model.folder());
        EXPECT_TRUE(weights.ok()) << weights.status().message();
        auto made = Engine::create(context, config, std::move(*weights), options);
        EXPECT_TRUE(made.ok()) << made.status().message();
        if (made.ok()) engine_ = std::move(*made);
    }

    // All prompts in one batch: errors of every row of every step, of each sequence while it follows its
    // golden text.
    std::vector<GoldenError> follow_together(const nlohmann::json& prompts) {
        std::map<int, const nlohmann::json*> prompt_of;
        for (const nlohmann::json& prompt : prompts) prompt_of[add(prompt)] = &prompt;
        std::vector<GoldenError> errors;
        std::map<int, std::size_t> num_rows;
        while (!engine_->idle()) {
            const auto step = engine_->step();
            EXPECT_TRUE(step.ok()) << step.status().message();
            if (!step.ok()) return errors;
            const auto logits = engine_->last_logits();
            EXPECT_TRUE(logits.ok()) << logits.status().message();
            const std::vector<int> sequences = engine_->last_sequences();
            for (std::size_t i = 0; i < sequences.size(); ++i) {
                if (std::ranges::find(*step, sequences[i], &Token::sequence) == step->end())
                    continue;  // a chunk of the prompt that is not its last
                const nlohmann::json& prompt = *prompt_of.at(sequences[i]);
                const std::size_t row = num_rows[sequences[i]]++;
                const std::vector<float>& expected = golden_logits(row_name(prompt, row));
                const auto first = logits->begin() + static_cast<std::ptrdiff_t>(i * expected.size());
                const auto end = first + static_cast<std::ptrdiff_t>(expected.size());
                errors.push_back(golden_error({first, end}, expected, prompt["bf16_error"]));
                for (const Token& token : *step) {
                    const bool leaves = token.sequence == sequences[i] && row < prompt["greedy"].size() &&
                                        token.token != prompt["greedy"][row];
                    if (leaves) engine_->cancel(token.sequence);
                }
            }
        }
        return errors;
    }

    // A row for the prompt's end, from its last pass, and one for each greedy token after it, from a decode
    // step. Ends early where a token is another than the golden one, which only a near tie excuses.
    std::vector<GoldenError> follow(const nlohmann::json& prompt, bool excuse_ties = true) {
        const std::vector<i32> greedy = prompt["greedy"];
        std::vector<GoldenError> errors;
        const int id = add(prompt);
        while (!engine_->idle()) {
            const auto step = engine_->step();
            EXPECT_TRUE(step.ok()) << step.status().message();
            if (!step.ok()) return errors;
            if (step->empty()) continue;  // a chunk of the prompt that is not its last
            const auto logits = engine_->last_logits();
            EXPECT_TRUE(logits.ok()) << logits.status().message();
            const std::size_t row = errors.size();
            errors.push_back(
                golden_error(*logits, golden_logits(row_name(prompt, row)), prompt["bf16_error"]));
            if (row < greedy.size() && step->front().token != greedy[row]) {
                if (excuse_ties) {
                    EXPECT_LT(prompt["margins"][row].get<double>(),
                              4 * prompt["bf16_error"]["max"].get<double>())
                        << row_name(prompt, row) << ": token " << step->front().token << ", not "
                        << greedy[row];
                }
                engine_->cancel(id);
            }
        }
        return errors;
    }

    Engine& engine() { return *engine_; }
    bool ok() const { return engine_ != nullptr; }

private:
    int add(const nlohmann::json& prompt) {
        const auto id = engine_->add({.prompt = prompt["tokens"],
                                      .max_tokens = static_cast<i64>(prompt["greedy"].size()) + 1,
                                      .stop_at_eos = false});
        EXPECT_TRUE(id.ok()) << id.status().message();
        return id.ok() ? *id : -1;
    }
    std::string row_name(const nlohmann::json& prompt, std::size_t row) const {
        return model_.name() + "." + std::to_string(prompt["tokens"].size()) + "." + std::to_string(row);
    }

    const SmallModel& model_;
    std::unique_ptr<Engine> engine_;
};

}  // namespace warpwright::test
