// SPDX-License-Identifier: Apache-2.0
// A checkpoint's chat template: messages to the text of a prompt, as transformers renders it. Templates are
// programs; steps, text and depth are bounded.
#pragma once

#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/jinja/interpreter.h"
#include "warpwright/status.h"

namespace warpwright {

// "bos_token", "eos_token" and the like, with their text, of a folder's tokenizer_config.json; none without
// it.
using SpecialTokens = std::vector<std::pair<std::string, std::string>>;
Result<SpecialTokens> load_special_tokens(const std::filesystem::path& folder);

class ChatTemplate {
public:
    // chat_template.jinja, else tokenizer_config.json's or chat_template.json's "chat_template"; of several
    // named ones "default". The begin and end tokens' text is tokenizer_config.json's. None is a caller
    // error.
    static Result<ChatTemplate> load(const std::filesystem::path& folder);
    static Result<ChatTemplate> parse(std::string_view source, const std::string& where);

    // `variables` is an object: "messages", "tools", "add_generation_prompt" and whatever else the template
    // knows. What transformers passes and `variables` lacks is passed as None; `now` is what strftime_now
    // tells.
    Result<std::string> render(const nlohmann::ordered_json& variables,
                               std::time_t now = std::time(nullptr)) const;

    jinja::Limits limits;

private:
    std::string where_;
    std::shared_ptr<const jinja::Node> tree_;
    SpecialTokens special_tokens_;
};

}  // namespace warpwright
