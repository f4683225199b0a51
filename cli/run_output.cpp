// SPDX-License-Identifier: Apache-2.0
#include "cli/run_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/plan_json.h"
#include "engine/stats_json.h"

namespace warpwright::cli {
namespace {

using nlohmann::ordered_json;

double per_s(i64 tokens, double s) {
    return s > 0 ? static_cast<double>(tokens) / s : 0;
}

std::string token_text(const Tokenizer* tokenizer, i32 token) {
    return tokenizer == nullptr ? std::string() : std::string(tokenizer->bytes_of(token));
}

ordered_json logprobs_json(const Output& output, const Tokenizer* tokenizer) {
    ordered_json list = ordered_json::array();
    const auto entry = [&](i32 token, float logprob) {
        return ordered_json{{"token", token}, {"text", token_text(tokenizer, token)}, {"logprob", logprob}};
    };
    for (std::size_t i = 0; i < output.logprobs.size(); ++i) {
        ordered_json chosen = entry(output.tokens[i], output.logprobs[i].chosen);
        chosen["top"] = ordered_json::array();
        for (const TokenLogprob& top : output.logprobs[i].top)
            chosen["top"].push_back(entry(top.token, top.logprob));
        list.push_back(std::move(chosen));
    }
    return list;
}

ordered_json sampling_json(const SamplingParameters& s) {
    if (s.temperature == 0) return {{"greedy", true}, {"repetition_penalty", s.repetition_penalty}};
    return {{"greedy", false},
            {"temperature", s.temperature},
            {"top_k", s.top_k},
            {"top_p", s.top_p},
            {"min_p", s.min_p},
            {"seed", s.seed},
            {"repetition_penalty", s.repetition_penalty}};
}

}  // namespace

ordered_json to_json(const RunResult& result, const Tokenizer* tokenizer) {
    ordered_json json;
    json["sequences"] = ordered_json::array();
    for (const Output& output : result.outputs) {
        ordered_json one{{"prompt", output.prompt},
                         {"index", output.index},
                         {"prompt_tokens", result.prompts[output.prompt]},
                         {"tokens", output.tokens},
                         {"text", output.text ? output.text->text() : ""},
                         {"finish", output.finish}};
        if (output.text && output.text->stopped()) one["stop_string"] = output.text->stop_string();
        if (result.sampling.logprobs) one["logprobs"] = logprobs_json(output, tokenizer);
        json["sequences"].push_back(std::move(one));
    }
    json["sampling"] = sampling_json(result.sampling);
    json["timings"] = timings_json(result.stats, result.load_s);
    json["stats"] = stats_json(result.stats);
    json["plan"] = plan_json(result.plan);
    return json;
}

std::string logprobs_text(const Output& output, const Tokenizer* tokenizer) {
    // Quoted, so that spaces and line ends can be seen.
    const auto quoted = [&](i32 token) {
        if (tokenizer == nullptr) return fmt::format("{}", token);
        return nlohmann::json(token_text(tokenizer, token))
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    };
    std::string text;
    for (std::size_t i = 0; i < output.logprobs.size(); ++i) {
        text += fmt::format("{:10.4f}  {:<16}", output.logprobs[i].chosen, quoted(output.tokens[i]));
        for (const TokenLogprob& top : output.logprobs[i].top)
            text += fmt::format("  {} {:.4f}", quoted(top.token), top.logprob);
        text += '\n';
    }
    return text;
}

std::string summary_text(const RunResult& result, const std::string& device) {
    const EngineStats& stats = result.stats;
    std::string text = fmt::format(
        "{}: loaded in {:.2f} s; prefill {} tokens at {:.0f} tokens/s; decode {} tokens at {:.0f} tokens/s",
        device, result.load_s, stats.prefill_tokens, per_s(stats.prefill_tokens, stats.prefill_s),
        stats.decode_tokens, per_s(stats.decode_tokens, stats.decode_s));
    if (stats.scheduler.reused_tokens > 0)
        text += fmt::format("; {} prompt tokens from the cache", stats.scheduler.reused_tokens);
    if (stats.scheduler.preemptions > 0) text += fmt::format("; {} preemptions", stats.scheduler.preemptions);
    return text;
}

}  // namespace warpwright::cli
