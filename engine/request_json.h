// SPDX-License-Identifier: Apache-2.0
// A request as JSON: what is asked of the engine by callers that are not C++. The fields are listed in
// include/warpwright/c.h, ww_engine_add.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/chat_template.h"
#include "engine/config.h"
#include "engine/output_text.h"
#include "engine/request.h"
#include "engine/tokenizer.h"

namespace warpwright {

// How tokens are to be chosen, as far as that is said.
struct SamplingWishes {
    bool draw = false;  // also without a temperature
    std::optional<float> temperature, top_p, min_p, repetition_penalty;
    std::optional<int> top_k;
};

// Greedy, unless the wishes draw or have a temperature; what they leave open is then the model's own. Caller
// error: filters without a draw.
Result<SamplingParameters> resolve_sampling(const SamplingWishes& wishes, const GenerationDefaults& model);

struct TextRequest {
    Request request;
    OutputTextOptions output;
};

// What a model's folder has to make tokens of text. Null: it has none, and only token ids can be asked for.
struct TextTools {
    const Tokenizer* tokenizer = nullptr;
    const ChatTemplate* chat = nullptr;
    std::optional<i32> end_of_turn;  // ends the answer to messages
};

// Caller errors name the field. Ranges are checked when the request is added.
Result<TextRequest> parse_request(std::string_view text, const ModelConfig& config, const TextTools& tools);

}  // namespace warpwright
