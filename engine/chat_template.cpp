// SPDX-License-Identifier: Apache-2.0
#include "engine/chat_template.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/json_fields.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr i64 kMaxTemplateBytes = 1 << 20;
constexpr i64 kMaxConfigBytes = 16 << 20;

constexpr const char* kConfigName = "tokenizer_config.json";

// An object; empty when there is no such file.
Result<json> read_config(const fs::path& file) {
    std::error_code ignored;
    if (!fs::exists(file, ignored)) return json::object();
    WW_ASSIGN(const std::string text, read_text_file(file, kMaxConfigBytes));
    WW_ASSIGN(json config, parse_json(text, file.string(), false));
    if (!config.is_object()) {
        return caller_error(
            fmt::format("{}: expected an object, got {}", file.string(), describe_json(config)));
    }
    return config;
}

// The text of "chat_template": text, or a list of named ones.
Result<std::string> template_of(const json& value, const std::string& where) {
    if (value.is_string()) return value.get<std::string>();
    if (!value.is_array()) {
        return caller_error(
            fmt::format("{}: 'chat_template': expected text or a list, got {}", where, describe_json(value)));
    }
    for (const json& entry : value) {
        Fields fields(entry, where + ": chat_template");
        const std::string name = fields.text("name");
        const std::string text = fields.text("template");
        WW_TRY(fields.status());
        if (name == "default") return text;
    }
    return caller_error(
        fmt::format("{}: 'chat_template': expected one named 'default' among {}", where, value.size()));
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const std::string& where) {
    if (source.size() > kMaxTemplateBytes) {
        return caller_error(fmt::format("{}: chat template: expected at most {} bytes, got {}", where,
                                        kMaxTemplateBytes, source.size()));
    }
    if (const auto position = find_invalid_utf8(source)) {
        return caller_error(fmt::format("{}: chat template: expected UTF-8, got byte 0x{:02x} at position {}",
                                        where, static_cast<u8>(source[*position]), *position));
    }
    ChatTemplate parsed;
    parsed.where_ = where;
    try {
        parsed.tree_ = jinja::parse(jinja::tokenize(source));
    } catch (const jinja::Error& error) {
        return caller_error(fmt::format("{}: chat template: {}", where, error.what()));
    }
    return parsed;
}

Result<SpecialTokens> load_special_tokens(const fs::path& folder) {
    WW_ASSIGN(const json config, read_config(folder / kConfigName));
    SpecialTokens tokens;
    for (const char* name :
         {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"}) {
        if (!config.contains(name)) continue;
        const json& token = config[name];
        if (token.is_string())
            tokens.emplace_back(name, token.get<std::string>());
        else if (token.is_object() && token.contains("content") && token["content"].is_string())
            tokens.emplace_back(name, token["content"].get<std::string>());
    }
    return tokens;
}

Result<ChatTemplate> ChatTemplate::load(const fs::path& folder) {
    std::error_code ignored;
    const fs::path config_file = folder / kConfigName;
    WW_ASSIGN(const json config, read_config(config_file));
    std::string source;
    std::string where;
    const fs::path own_file = folder / "chat_template.jinja";
    const fs::path older_file = folder / "chat_template.json";
    if (fs::exists(own_file, ignored)) {
        where = own_file.string();
        WW_ASSIGN(source, read_text_file(own_file, kMaxTemplateBytes));
    } else if (config.contains("chat_template") && !config["chat_template"].is_null()) {
        where = config_file.string();
        WW_ASSIGN(source, template_of(config["chat_template"], where));
    } else if (fs::exists(older_file, ignored)) {
        where = older_file.string();
        WW_ASSIGN(const std::string text, read_text_file(older_file, kMaxConfigBytes));
        WW_ASSIGN(const json older, parse_json(text, where, false));
        if (!older.is_object() || !older.contains("chat_template")) {
            return caller_error(fmt::format("{}: 'chat_template' is missing", where));
        }
        WW_ASSIGN(source, template_of(older["chat_template"], where));
    } else {
        return caller_error(
            fmt::format("{}: expected a chat template in tokenizer_config.json or chat_template.jinja, "
                        "got none",
                        folder.string()));
    }
    WW_ASSIGN(ChatTemplate loaded, parse(source, where));
    WW_ASSIGN(loaded.special_tokens_, load_special_tokens(folder));
    return loaded;
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& variables, std::time_t now) const {
    try {
        std::vector<std::pair<std::string, jinja::Value>> names;
        names.emplace_back("tools", jinja::None{});
        names.emplace_back("documents", jinja::None{});
        names.emplace_back("add_generation_prompt", false);
        for (const auto& [name, text] : special_tokens_) names.emplace_back(name, text);
        for (const auto& [name, value] : variables.items())
            names.emplace_back(name, jinja::Value::from_json(value));
        jinja::Interpreter interpreter(limits, now);
        return interpreter.render(*tree_, std::move(names));
    } catch (const jinja::Error& error) {
        return caller_error(fmt::format("{}: chat template: {}", where_, error.what()));
    }
}

}  // namespace warpwright
