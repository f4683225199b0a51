// SPDX-License-Identifier: Apache-2.0
// The options of warpwright run, and what they mean to the engine.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/engine.h"

namespace warpwright::cli {

struct RunOptions {
    std::string model, weights, format, kv_format = "auto", device = "auto";
    std::string activations = "auto";

    std::vector<std::string> prompts;
    std::string prompts_file, system;
    bool chat = false;
    i64 random_prompt_tokens = 0;

    i64 max_tokens = 128, min_tokens = 0;
    int num_sequences = 1;
    std::vector<std::string> stop_strings;
    std::vector<i32> stop_tokens;
    bool include_stop = false, ignore_eos = false;

    // Greedy, unless `sample` or a temperature says otherwise; then what is not given is the model's own.
    bool sample = false;
    std::optional<float> temperature, top_p, min_p, repetition_penalty;
    std::optional<int> top_k, logprobs;
    u64 seed = 0;
    float presence_penalty = 0, frequency_penalty = 0;
    std::vector<std::string> logit_bias;  // "ID=BIAS", several separated by commas

    EngineOptions engine{.max_sequences = 64};

    bool json = false;
};

void add_run_options(CLI::App& verb, RunOptions& options);

// Caller errors: options that contradict each other.
Status check_run_options(const RunOptions& options);

Result<SamplingParameters> sampling_of(const RunOptions& options, const GenerationDefaults& defaults);

}  // namespace warpwright::cli
