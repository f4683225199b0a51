// SPDX-License-Identifier: Apache-2.0
#include "cli/run_prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/chat_template.h"
#include "engine/json_fields.h"

namespace warpwright::cli {
namespace {

constexpr i64 kMaxFileBytes = i64{1} << 30;

// A prompt as it was given.
struct Source {
    std::string where;  // "--prompt", "prompts.txt, line 3"
    std::string text;
    std::vector<i32> tokens;  // in place of text
};

Result<std::string> read_all(const std::string& path) {
    if (path != "-") return read_text_file(path, kMaxFileBytes);
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

Result<std::vector<i32>> token_ids(const nlohmann::json& list, const std::string& where) {
    std::vector<i32> tokens;
    for (const auto& value : list) {
        if (!value.is_number_integer()) {
            return caller_error(fmt::format("{}: prompt: expected text or token ids, got {} among them",
                                            where, describe_json(value)));
        }
        const auto token = value.get<i64>();
        if (token < 0 || token > std::numeric_limits<i32>::max())
            return caller_error(fmt::format("{}: prompt: {} is no token id", where, token));
        tokens.push_back(static_cast<i32>(token));
    }
    if (tokens.empty()) return caller_error(where + ": prompt: expected at least one token, got none");
    return tokens;
}

// A line that begins like a JSON object or string is one; every other line is the text itself.
Result<Source> parse_line(const std::string& line, std::string where) {
    if (line[0] != '{' && line[0] != '"') return Source{std::move(where), line, {}};
    WW_ASSIGN(const nlohmann::json value, parse_json(line, where));
    if (value.is_string()) return Source{std::move(where), value.get<std::string>(), {}};
    Fields fields(value, where);
    const nlohmann::json* prompt = fields.find("prompt");
    if (prompt == nullptr) return caller_error(where + ": expected a field prompt");
    if (const auto unread = fields.unread(); !unread.empty())
        return caller_error(fmt::format("{}: unknown field {}", where, printable(unread[0], 80)));
    WW_TRY(fields.status());
    if (prompt->is_string()) return Source{std::move(where), prompt->get<std::string>(), {}};
    if (!prompt->is_array()) {
        return caller_error(
            fmt::format("{}: prompt: expected text or token ids, got {}", where, describe_json(*prompt)));
    }
    WW_ASSIGN(std::vector<i32> tokens, token_ids(*prompt, where));
    return Source{std::move(where), {}, std::move(tokens)};
}

Result<std::vector<Source>> parse_file(const std::string& path) {
    WW_ASSIGN(const std::string content, read_all(path));
    std::vector<Source> sources;
    for (std::size_t start = 0, number = 1; start < content.size(); ++number) {
        const std::size_t end = std::min(content.find('\n', start), content.size());
        std::string line = content.substr(start, end - start);
        if (line.ends_with('\r')) line.pop_back();
        start = end + 1;
        if (line.empty()) continue;
        WW_ASSIGN(Source source, parse_line(line, fmt::format("{}, line {}", path, number)));
        sources.push_back(std::move(source));
    }
    if (sources.empty()) return caller_error(path + ": expected a prompt a line, got none");
    return sources;
}

// The prompt that the checkpoint's template makes of a message by the user, with the answer to come.
Result<std::string> chat_prompt(const ChatTemplate& chat, const std::string& system,
                                const std::string& text) {
    nlohmann::ordered_json messages = nlohmann::ordered_json::array();
    if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
    messages.push_back({{"role", "user"}, {"content", text}});
    return chat.render({{"messages", messages}, {"add_generation_prompt", true}});
}

// Adds tokenizer_config.json's end token to those that end a text. In a dialogue it ends the turn, which the
// end of a text need not be.
Status add_end_token(const RunOptions& options, const Tokenizer& tokenizer, ModelConfig& config) {
    if (!options.chat && !config.eos_tokens.empty()) return {};
    WW_ASSIGN(const SpecialTokens tokens, load_special_tokens(options.model));
    for (const auto& [name, text] : tokens) {
        const auto id = name == "eos_token" ? tokenizer.find(text) : std::nullopt;
        const bool known =
            std::find(config.eos_tokens.begin(), config.eos_tokens.end(), id) != config.eos_tokens.end();
        if (id && !known) config.eos_tokens.push_back(*id);
    }
    return {};
}

std::vector<i32> random_tokens(i64 count, i64 vocab_size) {
    std::vector<i32> tokens(static_cast<std::size_t>(count));
    u32 state = 12345;
    for (i32& token : tokens) {
        state = state * 1664525u + 1013904223u;
        token = static_cast<i32>(state % static_cast<u32>(vocab_size));
    }
    return tokens;
}

}  // namespace

Result<Prompts> read_prompts(const RunOptions& options, ModelConfig& config) {
    std::vector<Source> sources;
    for (const std::string& text : options.prompts) {
        sources.push_back({"--prompt", text, {}});
    }
    if (!options.prompts_file.empty()) {
        WW_ASSIGN(std::vector<Source> lines, parse_file(options.prompts_file));
        std::ranges::move(lines, std::back_inserter(sources));
    }
    Prompts prompts;
    std::optional<ChatTemplate> chat;
    if (options.chat) {
        WW_ASSIGN(chat, ChatTemplate::load(options.model));
    }
    if (options.chat || !options.stop_strings.empty() ||
        std::ranges::any_of(sources, [](const Source& source) { return source.tokens.empty(); })) {
        WW_ASSIGN(Tokenizer loaded, Tokenizer::load(options.model));
        prompts.tokenizer = std::make_unique<Tokenizer>(std::move(loaded));
        WW_TRY(add_end_token(options, *prompts.tokenizer, config));
    }
    for (Source& source : sources) {
        if (!source.tokens.empty()) {
            prompts.all.push_back({{}, std::move(source.tokens)});
            continue;
        }
        if (source.text.empty()) return caller_error(source.where + ": expected text, got an empty string");
        std::string text = source.text;
        if (chat) {
            WW_ASSIGN(text, chat_prompt(*chat, options.system, source.text));
        }
        auto tokens = prompts.tokenizer->encode(text, !chat);  // a template has the begin token itself
        if (!tokens.ok()) {
            return caller_error(options.prompts_file.empty()
                                    ? tokens.status().message()
                                    : fmt::format("{}: {}", source.where, tokens.status().message()));
        }
        prompts.all.push_back({chat ? std::string() : source.text, std::move(*tokens)});
    }
    if (options.random_prompt_tokens > 0)
        prompts.all.push_back({{}, random_tokens(options.random_prompt_tokens, config.vocab_size)});
    return prompts;
}

}  // namespace warpwright::cli
