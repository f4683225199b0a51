// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "c/guard.h"
#include "engine/chat_template.h"
#include "engine/tokenizer.h"

// A model's tokenizer, the names of its special tokens, and its chat template where it has a readable one.
struct ww_tokenizer {
    warpwright::Tokenizer tokenizer;
    warpwright::SpecialTokens special_tokens;
    warpwright::Result<warpwright::ChatTemplate> chat;

    static warpwright::Result<std::unique_ptr<ww_tokenizer>> load(const std::string& folder);
    std::optional<warpwright::i32> end_token() const;  // tokenizer_config.json's
};
