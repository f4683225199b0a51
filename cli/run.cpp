// SPDX-License-Identifier: Apache-2.0
// warpwright run: generate text.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/notes.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "engine/chat_template.h"
#include "engine/config.h"
#include "engine/engine.h"
#include "engine/json_fields.h"
#include "engine/plan_json.h"
#include "engine/tokenizer.h"
#include "engine/weights.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string model, device = "auto", weights, system;
    std::vector<std::string> prompts;
    i64 max_tokens = 128;
    i64 context_tokens = 0;
    i64 random_prompt_tokens = 0;
    SamplingParameters sampling;
    bool json = false, ignore_eos = false, chat = false;
};

struct Generated {
    std::vector<i32> prompt, tokens;
    Finish finish = Finish::running;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<Weights> weights_of(Context& context, const ModelConfig& config, const Options& options) {
    Progress progress("weights");
    const auto show = [&](i64 done, i64 total) { progress.update(done, total); };
    if (options.weights.empty()) return load_weights(context, config, options.model, show);
    if (!options.weights.starts_with("random:")) {
        return caller_error(fmt::format("--weights: expected random:SEED, got '{}'", options.weights));
    }
    i64 seed = 0;
    WW_TRY(parse_field("--weights random", std::string_view(options.weights).substr(7), seed));
    return random_weights(context, config, static_cast<u64>(seed), show);
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
Status add_end_token(const Options& options, const Tokenizer& tokenizer, ModelConfig& config) {
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

// Token ids of every prompt; a tokenizer is needed for text only.
Result<std::vector<std::vector<i32>>> prompts_of(const Options& options, const ModelConfig& config,
                                                 const Tokenizer* tokenizer, const ChatTemplate* chat) {
    std::vector<std::vector<i32>> prompts;
    for (const std::string& text : options.prompts) {
        if (text.empty()) return caller_error("--prompt: expected text, got an empty string");
        if (chat != nullptr) {
            WW_ASSIGN(const std::string dialogue, chat_prompt(*chat, options.system, text));
            WW_ASSIGN(auto ids, tokenizer->encode(dialogue, false));  // the template has the begin token
            prompts.push_back(std::move(ids));
            continue;
        }
        WW_ASSIGN(auto ids, tokenizer->encode(text));
        prompts.push_back(std::move(ids));
    }
    if (options.random_prompt_tokens > 0) {
        std::vector<i32> ids(static_cast<std::size_t>(options.random_prompt_tokens));
        u32 state = 12345;
        for (i32& id : ids) {
            state = state * 1664525u + 1013904223u;
            id = static_cast<i32>(state % static_cast<u32>(config.vocab_size));
        }
        prompts.push_back(std::move(ids));
    }
    return prompts;
}

nlohmann::ordered_json result_json(const std::vector<Generated>& all, const Tokenizer* tokenizer,
                                   double load_s, const EngineStats& times, const Plan& plan) {
    nlohmann::ordered_json json;
    json["sequences"] = nlohmann::ordered_json::array();
    for (const Generated& one : all) {
        json["sequences"].push_back({{"prompt_tokens", one.prompt},
                                     {"tokens", one.tokens},
                                     {"text", tokenizer == nullptr ? "" : tokenizer->decode(one.tokens)},
                                     {"finish", finish_name(one.finish)}});
    }
    const auto per_s = [](i64 tokens, double s) { return s > 0 ? static_cast<double>(tokens) / s : 0; };
    json["timings"] = {{"load_s", load_s},
                       {"prefill_tokens_per_s", per_s(times.prefill_tokens, times.prefill_s)},
                       {"decode_tokens_per_s", per_s(times.decode_tokens, times.decode_s)}};
    json["plan"] = plan_json(plan);
    return json;
}

// One sequence streams; several are printed when all are done.
Status generate(Engine& engine, const Tokenizer* tokenizer, bool stream, std::vector<Generated>& all) {
    std::unique_ptr<TokenStream> text;
    if (stream) text = std::make_unique<TokenStream>(*tokenizer);
    while (!engine.idle()) {
        WW_ASSIGN(const std::vector<Token> tokens, engine.step());
        for (const Token& token : tokens) {
            Generated& one = all[static_cast<std::size_t>(token.sequence)];
            one.tokens.push_back(token.token);
            one.finish = token.finish;
            if (!stream) continue;
            fmt::print("{}", text->push(token.token));
            std::fflush(stdout);
        }
    }
    if (stream) fmt::print("{}\n", text->finish());
    return {};
}

int run(const Options& options) {
    if (options.prompts.empty() && options.random_prompt_tokens == 0) {
        return report(caller_error("expected --prompt TEXT (or --random-prompt N)"));
    }
    if (!options.system.empty() && !options.chat)
        return report(caller_error("--system: expected --chat with it"));
    WW_CLI_ASSIGN(ModelConfig config, load_config(options.model));
    note_ignored_fields(config);
    std::unique_ptr<Tokenizer> tokenizer;
    std::unique_ptr<ChatTemplate> chat;
    if (options.chat) {
        WW_CLI_ASSIGN(ChatTemplate loaded, ChatTemplate::load(options.model));
        chat = std::make_unique<ChatTemplate>(std::move(loaded));
    }
    if (!options.prompts.empty()) {
        WW_CLI_ASSIGN(Tokenizer loaded, Tokenizer::load(options.model));
        tokenizer = std::make_unique<Tokenizer>(std::move(loaded));
        if (const Status status = add_end_token(options, *tokenizer, config); !status.ok())
            return report(status);
    }
    WW_CLI_ASSIGN(const auto prompts, prompts_of(options, config, tokenizer.get(), chat.get()));
    WW_CLI_ASSIGN(const auto context, Context::open(options.device));

    const auto start = std::chrono::steady_clock::now();
    WW_CLI_ASSIGN(Weights weights, weights_of(*context, config, options));
    const double load_s = seconds_since(start);
    for (const std::string& what : weights.ignored) {
        fmt::print(stderr, "{}: ignored, this model does not need it: {}\n", options.model,
                   printable(what, 200));
    }
    EngineOptions engine_options;
    engine_options.max_context_tokens = options.context_tokens;
    engine_options.max_sequences = std::min<i64>(static_cast<i64>(prompts.size()), 64);
    WW_CLI_ASSIGN(const auto engine, Engine::create(context, config, std::move(weights), engine_options));

    std::vector<Generated> all;
    i64 longest = 0;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        Request request{prompts[i], options.max_tokens, options.sampling, !options.ignore_eos};
        request.sampling.seed += i;
        WW_CLI_ASSIGN(const int id, engine->add(request));
        (void)id;
        all.push_back({prompts[i], {}, Finish::running});
        longest = std::max(longest, static_cast<i64>(prompts[i].size()));
    }
    PlanOptions plan_options;
    plan_options.batch = static_cast<i64>(prompts.size());
    plan_options.prompt_tokens = longest;
    plan_options.context_tokens = std::min(longest + options.max_tokens, engine->max_context_tokens());
    WW_CLI_ASSIGN(const Plan plan, plan_model(config, context->target(), plan_options));

    const bool stream = !options.json && prompts.size() == 1 && tokenizer != nullptr;
    if (stream && !options.chat) fmt::print("{}", options.prompts[0]);
    if (const Status status = generate(*engine, tokenizer.get(), stream, all); !status.ok())
        return report(status);

    const EngineStats times = engine->stats();
    if (options.json) {
        const auto json = result_json(all, tokenizer.get(), load_s, times, plan);
        fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
        return 0;
    }
    if (!stream && tokenizer != nullptr) {
        for (std::size_t i = 0; i < options.prompts.size(); ++i) {
            fmt::print("[{}] {}{}\n", i, options.chat ? "" : options.prompts[i],
                       tokenizer->decode(all[i].tokens));
        }
    }
    std::fflush(stdout);  // the text stands before the figures where both go to one terminal
    fmt::print(
        stderr,
        "{}: loaded in {:.2f} s; prefill {} tokens at {:.0f} tokens/s; decode {} tokens at {:.0f} tokens/s\n",
        context->device().id(), load_s, times.prefill_tokens,
        static_cast<double>(times.prefill_tokens) / std::max(times.prefill_s, 1e-9), times.decode_tokens,
        static_cast<double>(times.decode_tokens) / std::max(times.decode_s, 1e-9));
    return 0;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("run", "generate text with a model");
    verb->add_option("--model", options->model, "a model's folder")->required();
    verb->add_option("--prompt", options->prompts, "text to continue; several prompts run together");
    verb->add_flag("--chat", options->chat, "--prompt is a message, put into the model's chat template");
    verb->add_option("--system", options->system, "the system's message before it");
    verb->add_option("--random-prompt", options->random_prompt_tokens, "a prompt of this many random tokens");
    verb->add_option("--device", options->device,
                     "auto, cpu, cuda:N, emulated:GPU[,checks=off|bounds|all][,seed=N][,threads=N]")
        ->capture_default_str();
    verb->add_option("--max-tokens", options->max_tokens, "tokens to generate at most")
        ->capture_default_str();
    verb->add_option("--context", options->context_tokens,
                     "tokens of cache per sequence (default: the model's limit)");
    verb->add_option("--temperature", options->sampling.temperature, "0 is greedy")->capture_default_str();
    verb->add_option("--top-k", options->sampling.top_k, "0 is off")->capture_default_str();
    verb->add_option("--top-p", options->sampling.top_p, "1 is off")->capture_default_str();
    verb->add_option("--min-p", options->sampling.min_p, "0 is off")->capture_default_str();
    verb->add_option("--seed", options->sampling.seed, "of the draws")->capture_default_str();
    verb->add_option("--weights", options->weights, "random:SEED in place of the folder's weights");
    verb->add_flag("--ignore-eos", options->ignore_eos, "go on after a stop token");
    verb->add_flag("--json", options->json, "tokens, text, timings and the plan, for machines");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
