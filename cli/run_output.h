// SPDX-License-Identifier: Apache-2.0
// What warpwright run has generated, as text for people and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/run_options.h"
#include "engine/output_text.h"
#include "warpwright/plan.h"

namespace warpwright::cli {

struct Output {
    std::size_t prompt = 0;  // which one
    int index = 0;           // which output of it
    std::vector<i32> tokens;
    std::vector<Logprobs> logprobs;  // one a token, where asked for
    std::optional<OutputText> text;  // without a tokenizer there is none
    // "length"; "stop": a token that ends the text; "stop_string"; "interrupted": by Ctrl-C
    std::string finish = "interrupted";
};

struct RunResult {
    std::vector<std::vector<i32>> prompts;
    std::vector<Output> outputs;
    SamplingParameters sampling;
    double load_s = 0;
    EngineStats stats;
    Plan plan;
};

nlohmann::ordered_json to_json(const RunResult& result, const Tokenizer* tokenizer);

// One line a token: its log-probability, its text, and the likeliest tokens with theirs.
std::string logprobs_text(const Output& output, const Tokenizer* tokenizer);

// "cpu: loaded in 0.12 s; prefill 9 tokens at 812 tokens/s; ...", what is worth saying of the schedule too.
std::string summary_text(const RunResult& result, const std::string& device);

}  // namespace warpwright::cli
