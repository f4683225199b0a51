// SPDX-License-Identifier: Apache-2.0
#include "engine/request_json.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/json_fields.h"

namespace warpwright {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr i64 kMaxTokens = i64{1} << 40;
constexpr i32 kMaxToken = std::numeric_limits<i32>::max();

std::optional<float> number(Fields& fields, const char* key) {
    constexpr double kMost = std::numeric_limits<float>::max();
    const auto value = fields.number_or_none(key, -kMost, kMost);
    return value ? std::optional(static_cast<float>(*value)) : std::nullopt;
}

std::optional<int> whole_number(Fields& fields, const char* key) {
    constexpr int kMost = std::numeric_limits<int>::max();
    const auto value = fields.integer_or_none(key, -kMost, kMost, std::nullopt);
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

std::vector<i32> token_ids(Fields& fields, const char* key, const json& list) {
    std::vector<i32> tokens;
    for (const json& value : list) {
        if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > kMaxToken) {
            fields.fail(
                fmt::format("'{}': expected token ids, got {} among them", key, describe_json(value)));
            break;
        }
        tokens.push_back(value.get<i32>());
    }
    return tokens;
}

std::vector<std::string> stop_strings(Fields& fields) {
    const json* stop = fields.find("stop");
    if (stop == nullptr) return {};
    std::vector<std::string> texts;
    for (const json& value : stop->is_array() ? *stop : json::array({*stop})) {
        if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
            fields.fail(
                fmt::format("'stop': expected texts that are not empty, got {}", describe_json(value)));
            break;
        }
        texts.push_back(value.get<std::string>());
    }
    return texts;
}

std::vector<std::pair<i32, float>> biases(Fields& fields) {
    std::vector<std::pair<i32, float>> list;
    if (fields.find("logit_bias") == nullptr) return list;
    const json* object = fields.object("logit_bias");
    if (object == nullptr) return list;
    for (const auto& [name, bias] : object->items()) {
        i32 token = -1;
        const char* end = name.data() + name.size();
        const auto [parsed, error] = std::from_chars(name.data(), end, token);
        if (error != std::errc() || parsed != end || token < 0) {
            fields.fail(fmt::format("'logit_bias': expected token ids, got '{}'", printable(name, 40)));
        } else if (!bias.is_number() && !bias.is_null()) {
            fields.fail(fmt::format("'logit_bias': expected a number or null for token {}, got {}", token,
                                    describe_json(bias)));
        }
        if (!fields.status().ok()) break;
        list.emplace_back(token,
                          bias.is_null() ? -std::numeric_limits<float>::infinity() : bias.get<float>());
    }
    return list;
}

Result<SamplingParameters> sampling(Fields& fields, const GenerationDefaults& model) {
    const SamplingWishes wishes{.draw = fields.flag_or("sample", false),
                                .temperature = number(fields, "temperature"),
                                .top_p = number(fields, "top_p"),
                                .min_p = number(fields, "min_p"),
                                .repetition_penalty = number(fields, "repetition_penalty"),
                                .top_k = whole_number(fields, "top_k")};
    SamplingParameters chosen;
    if (auto resolved = resolve_sampling(wishes, model); resolved.ok()) {
        chosen = std::move(*resolved);
    } else {
        fields.fail(resolved.status().message());
    }
    chosen.seed = static_cast<u64>(fields.integer_or("seed", 0, std::numeric_limits<i64>::max(), 0));
    chosen.presence_penalty = number(fields, "presence_penalty").value_or(0);
    chosen.frequency_penalty = number(fields, "frequency_penalty").value_or(0);
    chosen.logprobs = whole_number(fields, "logprobs");
    chosen.logit_bias = biases(fields);
    WW_TRY(fields.status());
    return chosen;
}

// The prompt that the chat template makes of the messages. `text` once more: objects in their own order, as a
// template may print them.
Result<std::string> chat_text(std::string_view text, const ChatTemplate* chat) {
    if (chat == nullptr) return caller_error("request: 'messages': the model's folder has no chat template");
    const ordered_json request = ordered_json::parse(text);
    ordered_json variables{{"messages", request.at("messages")}, {"add_generation_prompt", true}};
    if (request.contains("template")) variables.update(request.at("template"));
    return chat->render(variables);
}

Result<std::vector<i32>> prompt_tokens(Fields& fields, std::string_view text, const TextTools& tools) {
    const json* prompt = fields.find("prompt");
    const json* messages = fields.find("messages");
    const json* variables = fields.find("template");
    const bool adds_special_tokens = fields.flag_or("add_special_tokens", true);
    if ((prompt == nullptr) == (messages == nullptr))
        return caller_error("request: expected either 'prompt' or 'messages'");
    if (messages != nullptr && !messages->is_array())
        return caller_error(
            fmt::format("request: 'messages': expected an array, got {}", describe_json(*messages)));
    if (variables != nullptr && (messages == nullptr || !variables->is_object()))
        return caller_error("request: 'template': expected an object, with 'messages' beside it");
    if (prompt != nullptr && prompt->is_array()) return token_ids(fields, "prompt", *prompt);
    if (prompt != nullptr && !prompt->is_string()) {
        return caller_error(
            fmt::format("request: 'prompt': expected text or token ids, got {}", describe_json(*prompt)));
    }
    if (tools.tokenizer == nullptr)
        return caller_error("request: 'prompt': expected token ids, the model has no tokenizer");
    if (prompt != nullptr)
        return tools.tokenizer->encode(prompt->get_ref<const std::string&>(), adds_special_tokens);
    WW_ASSIGN(const std::string rendered, chat_text(text, tools.chat));
    return tools.tokenizer->encode(rendered, false);  // a template has the begin token itself
}

template <class T, class Default>
T given_or(const std::optional<T>& given, const std::optional<Default>& model, T fallback) {
    if (given) return *given;
    return model ? static_cast<T>(*model) : fallback;
}

}  // namespace

Result<SamplingParameters> resolve_sampling(const SamplingWishes& wishes,
                                            const GenerationDefaults& defaults) {
    SamplingParameters chosen;
    const bool draws = wishes.temperature ? *wishes.temperature != 0 : wishes.draw;
    if (!draws) {
        if (wishes.top_k || wishes.top_p || wishes.min_p)
            return caller_error("top_k, top_p, min_p: expected sample or a temperature with them");
        chosen.repetition_penalty = wishes.repetition_penalty.value_or(1);
        return chosen;
    }
    const GenerationDefaults model = defaults.do_sample == false ? GenerationDefaults{} : defaults;
    chosen.temperature = given_or(wishes.temperature, model.temperature, 1.f);
    chosen.top_k = given_or(wishes.top_k, model.top_k, 0);
    chosen.top_p = given_or(wishes.top_p, model.top_p, 1.f);
    chosen.min_p = given_or(wishes.min_p, model.min_p, 0.f);
    chosen.repetition_penalty = given_or(wishes.repetition_penalty, model.repetition_penalty, 1.f);
    return chosen;
}

Result<TextRequest> parse_request(std::string_view text, const ModelConfig& config, const TextTools& tools) {
    WW_ASSIGN(const json value, parse_json(text, "request"));
    Fields fields(value, "request");
    TextRequest parsed;
    Request& request = parsed.request;
    request.max_tokens = fields.integer_or("max_tokens", 1, kMaxTokens, request.max_tokens);
    request.min_tokens = fields.integer_or("min_tokens", 0, kMaxTokens, 0);
    request.num_sequences = static_cast<int>(fields.integer_or("num_sequences", 1, 1 << 20, 1));
    request.stop_at_eos = !fields.flag_or("ignore_eos", false);
    if (const json* tokens = fields.find("stop_tokens");
        tokens != nullptr && fields.array("stop_tokens") != nullptr)
        request.stop_tokens = token_ids(fields, "stop_tokens", *tokens);
    parsed.output = {.stop = stop_strings(fields),
                     .include_stop = fields.flag_or("include_stop", false),
                     .min_tokens = request.min_tokens};
    WW_ASSIGN(request.sampling, sampling(fields, config.generation));
    WW_ASSIGN(request.prompt, prompt_tokens(fields, text, tools));
    WW_TRY(fields.status());
    if (const auto unread = fields.unread(); !unread.empty())
        return caller_error(fmt::format("request: unknown field {}", printable(unread[0], 80)));
    if (!parsed.output.stop.empty() && tools.tokenizer == nullptr)
        return caller_error("request: 'stop': expected none, the model has no tokenizer");
    if (value.contains("messages") && request.stop_at_eos && tools.end_of_turn)
        request.stop_tokens.push_back(*tools.end_of_turn);
    return parsed;
}

}  // namespace warpwright
