// SPDX-License-Identifier: Apache-2.0
// Tokenizers and chat templates.
#include "c/text.h"

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/json_fields.h"

using namespace warpwright;
using namespace warpwright::c;

Result<std::unique_ptr<ww_tokenizer>> ww_tokenizer::load(const std::string& folder) {
    WW_ASSIGN(Tokenizer tokenizer, Tokenizer::load(folder));
    WW_ASSIGN(SpecialTokens special_tokens, load_special_tokens(folder));
    return std::make_unique<ww_tokenizer>(
        ww_tokenizer{std::move(tokenizer), std::move(special_tokens), ChatTemplate::load(folder)});
}

std::optional<i32> ww_tokenizer::end_token() const {
    for (const auto& [name, text] : special_tokens) {
        if (name == "eos_token") return tokenizer.find(text);
    }
    return std::nullopt;
}

ww_status ww_tokenizer_load(const char* model, ww_tokenizer** tokenizer) {
    return guarded([&]() -> Status {
        WW_TRY(need(model, "ww_tokenizer_load", "a model's folder"));
        WW_TRY(need(tokenizer, "ww_tokenizer_load", "where to put the tokenizer"));
        WW_ASSIGN(auto loaded, ww_tokenizer::load(model));
        *tokenizer = loaded.release();
        return {};
    });
}

void ww_tokenizer_free(ww_tokenizer* tokenizer) {
    delete tokenizer;
}

ww_status ww_tokenizer_json(const ww_tokenizer* tokenizer, char** json) {
    return guarded([&]() -> Status {
        WW_TRY(need(tokenizer, "ww_tokenizer_json", "a tokenizer"));
        WW_TRY(need(json, "ww_tokenizer_json", "where to put the text"));
        nlohmann::ordered_json facts{{"vocab_size", tokenizer->tokenizer.vocab_size()},
                                     {"special_tokens", nlohmann::ordered_json::object()},
                                     {"has_chat_template", tokenizer->chat.ok()}};
        for (const auto& [name, text] : tokenizer->special_tokens) facts["special_tokens"][name] = text;
        WW_ASSIGN(*json,
                  new_text(facts.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
        return {};
    });
}

ww_status ww_encode(const ww_tokenizer* tokenizer, const char* text, size_t bytes, int32_t add_special_tokens,
                    int32_t** tokens, size_t* num_tokens) {
    return guarded([&]() -> Status {
        WW_TRY(need(tokenizer, "ww_encode", "a tokenizer"));
        if (bytes > 0) WW_TRY(need(text, "ww_encode", "text"));
        WW_TRY(need(tokens, "ww_encode", "where to put the tokens"));
        WW_TRY(need(num_tokens, "ww_encode", "where to put their number"));
        WW_ASSIGN(const std::vector<i32> ids,
                  tokenizer->tokenizer.encode(bytes > 0 ? std::string_view(text, bytes) : std::string_view(),
                                              add_special_tokens != 0));
        auto* copy = static_cast<int32_t*>(std::malloc(ids.size() * sizeof(int32_t) + 1));
        if (copy == nullptr) return unavailable("out of memory of the host");
        std::copy(ids.begin(), ids.end(), copy);
        *tokens = copy;
        *num_tokens = ids.size();
        return {};
    });
}

ww_status ww_decode(const ww_tokenizer* tokenizer, const int32_t* tokens, size_t num_tokens,
                    int32_t skip_special_tokens, char** text, size_t* bytes) {
    return guarded([&]() -> Status {
        WW_TRY(need(tokenizer, "ww_decode", "a tokenizer"));
        if (num_tokens > 0) WW_TRY(need(tokens, "ww_decode", "tokens"));
        WW_TRY(need(text, "ww_decode", "where to put the text"));
        const std::string decoded =
            tokenizer->tokenizer.decode({tokens, num_tokens}, skip_special_tokens != 0);
        WW_ASSIGN(*text, new_text(decoded));
        if (bytes != nullptr) *bytes = decoded.size();
        return {};
    });
}

ww_status ww_token_bytes(const ww_tokenizer* tokenizer, int32_t token, const char** text, size_t* bytes) {
    return guarded([&]() -> Status {
        WW_TRY(need(tokenizer, "ww_token_bytes", "a tokenizer"));
        WW_TRY(need(text, "ww_token_bytes", "where to put the bytes"));
        WW_TRY(need(bytes, "ww_token_bytes", "where to put their number"));
        const std::string_view found = tokenizer->tokenizer.bytes_of(token);
        *text = found.empty() ? "" : found.data();
        *bytes = found.size();
        return {};
    });
}

ww_status ww_chat_prompt(const ww_tokenizer* tokenizer, const char* variables, char** text) {
    return guarded([&]() -> Status {
        WW_TRY(need(tokenizer, "ww_chat_prompt", "a tokenizer"));
        WW_TRY(need(variables, "ww_chat_prompt", "variables"));
        WW_TRY(need(text, "ww_chat_prompt", "where to put the text"));
        WW_TRY(tokenizer->chat.status());
        WW_TRY(parse_json(variables, "ww_chat_prompt").status());
        const auto parsed = nlohmann::ordered_json::parse(variables);  // in the caller's order
        if (!parsed.is_object()) return caller_error("ww_chat_prompt: expected an object of variables");
        WW_ASSIGN(const std::string rendered, tokenizer->chat->render(parsed));
        WW_ASSIGN(*text, new_text(rendered));
        return {};
    });
}
