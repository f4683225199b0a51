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
        auto weights = load_weights(*context, *original, model.folder());
        EXPECT_TRUE(weights.ok()) << weights.status().message();
        auto made = Engine::create(context, config, std::move(*weights), options);
        EXPECT_TRUE(made.ok()) << made.status().message();
        if (made.ok()) engine_ = std::move(*made);
    }

    // A row for the prompt's end, from its last pass, and one for each greedy token after it, from a decode
    // step. Ends early where a token is another than the golden one, which only a near tie excuses.
    std::vector<GoldenError> follow(const nlohmann::json& prompt, bool excuse_ties = true) {
        const std::vector<i32> tokens = prompt["tokens"], greedy = prompt["greedy"];
        const std::string name = model_.name() + "." + std::to_string(tokens.size()) + ".";
        std::vector<GoldenError> errors;
        if (engine_ == nullptr) return errors;
        const auto id = engine_->add(
            {.prompt = tokens, .max_tokens = static_cast<i64>(greedy.size()) + 1, .stop_at_eos = false});
        EXPECT_TRUE(id.ok()) << id.status().message();
        while (!engine_->idle()) {
            const auto step = engine_->step();
            EXPECT_TRUE(step.ok()) << step.status().message();
            if (!step.ok()) return errors;
            if (step->empty()) continue;  // a chunk of the prompt that is not its last
            const auto logits = engine_->last_logits();
            EXPECT_TRUE(logits.ok()) << logits.status().message();
            const std::size_t row = errors.size();
            errors.push_back(
                golden_error(*logits, golden_logits(name + std::to_string(row)), prompt["bf16_error"]));
            if (row < greedy.size() && step->front().token != greedy[row]) {
                if (excuse_ties) {
                    EXPECT_LT(prompt["margins"][row].get<double>(),
                              4 * prompt["bf16_error"]["max"].get<double>())
                        << name << row << ": token " << step->front().token << ", not " << greedy[row];
                }
                engine_->cancel(*id);
            }
        }
        return errors;
    }

    Engine& engine() { return *engine_; }
    bool ok() const { return engine_ != nullptr; }

private:
    const SmallModel& model_;
    std::unique_ptr<Engine> engine_;
};

}  // namespace warpwright::test
