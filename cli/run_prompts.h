// SPDX-License-Identifier: Apache-2.0
// The prompts of warpwright run: from the command line, from a file, random ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/run_options.h"
#include "engine/tokenizer.h"

namespace warpwright::cli {

struct Prompt {
    std::string text;  // as it is shown before its continuation; empty for messages and token ids
    std::vector<i32> tokens;
};

struct Prompts {
    std::vector<Prompt> all;
    std::unique_ptr<Tokenizer>
        tokenizer;  // of the model's folder, where some prompt or a stop string is text
};

// `config` gets the end token of a dialogue. Caller errors name the file and the line.
Result<Prompts> read_prompts(const RunOptions& options, ModelConfig& config);

}  // namespace warpwright::cli
