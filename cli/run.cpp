// SPDX-License-Identifier: Apache-2.0
// warpwright run: generate text.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/notes.h"
#include "cli/progress.h"
#include "cli/run_options.h"
#include "cli/run_output.h"
#include "cli/run_prompts.h"
#include "cli/verb.h"
#include "engine/activations.h"
#include "engine/json_fields.h"
#include "engine/weights.h"

namespace warpwright::cli {
namespace {

constexpr int kInterrupted = 130;

// While one of these lives Ctrl-C is taken note of; a second one ends the program as usual.
class Interrupts {
public:
    Interrupts() {
        struct sigaction action {};
        action.sa_handler = [](int) { seen_ = 1; };
        action.sa_flags = static_cast<int>(SA_RESETHAND);
        sigaction(SIGINT, &action, &before_);
    }
    ~Interrupts() { sigaction(SIGINT, &before_, nullptr); }
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;
    static bool seen() { return seen_ != 0; }

private:
    static inline volatile std::sig_atomic_t seen_ = 0;
    struct sigaction before_ {};
};

// As --format says. What is stored as numbers stays so: `quantize` writes other checkpoints.
Result<ModelConfig> formed(const ModelConfig& config, const RunOptions& options) {
    WW_ASSIGN(ModelConfig other, with_format(config, options.format));
    if (other.dequantise || !options.weights.empty()) return other;
    return caller_error(
        fmt::format("--format: expected bf16 or f16 for the weights of a folder, or --weights random:SEED "
                    "with {}; `warpwright "
                    "quantize --format {}` makes a checkpoint of them",
                    options.format, options.format));
}

Result<Weights> weights_of(Context& context, const ModelConfig& config, const RunOptions& options) {
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

// Queues every output of every prompt; the engine numbers them in this order.
Status add_all(Engine& engine, const RunOptions& options, const Prompts& prompts, RunResult& result) {
    for (std::size_t i = 0; i < prompts.all.size(); ++i) {
        Request request{.prompt = prompts.all[i].tokens,
                        .max_tokens = options.max_tokens,
                        .sampling = result.sampling,
                        .stop_at_eos = !options.ignore_eos,
                        .stop_tokens = options.stop_tokens,
                        .min_tokens = options.min_tokens,
                        .num_sequences = options.num_sequences};
        request.sampling.seed += i * static_cast<u64>(options.num_sequences);
        WW_TRY(engine.add(request).status());
        for (int index = 0; index < options.num_sequences; ++index) {
            Output output{.prompt = i, .index = index};
            if (prompts.tokenizer != nullptr) {
                output.text.emplace(*prompts.tokenizer,
                                    OutputTextOptions{.stop = options.stop_strings,
                                                      .include_stop = options.include_stop,
                                                      .min_tokens = options.min_tokens});
            }
            result.outputs.push_back(std::move(output));
        }
        result.prompts.push_back(prompts.all[i].tokens);
    }
    return {};
}

// Until all sequences have ended, or Ctrl-C. A single one is shown as it grows.
Status generate(Engine& engine, bool stream, std::vector<Output>& outputs) {
    const Interrupts interrupts;
    const auto show = [&](const std::string& text) {
        if (!stream) return;
        fmt::print("{}", text);
        std::fflush(stdout);
    };
    while (!engine.idle() && !Interrupts::seen()) {
        WW_ASSIGN(std::vector<Token> tokens, engine.step());
        for (Token& token : tokens) {
            Output& output = outputs[static_cast<std::size_t>(token.sequence)];
            output.tokens.push_back(token.token);
            if (token.logprobs != nullptr) output.logprobs.push_back(std::move(*token.logprobs));
            if (token.finish != Finish::running) output.finish = finish_name(token.finish);
            if (!output.text) continue;
            show(output.text->push(token));
            if (!output.text->stopped()) continue;
            output.finish = "stop_string";
            engine.cancel(token.sequence);
        }
    }
    for (Output& output : outputs) {
        if (output.text) show(output.text->finish());
    }
    if (stream) fmt::print("\n");
    return {};
}

void print_texts(const Prompts& prompts, const RunOptions& options, const RunResult& result, bool streamed) {
    for (const Output& output : result.outputs) {
        const std::string number = options.num_sequences == 1
                                       ? fmt::format("{}", output.prompt)
                                       : fmt::format("{}.{}", output.prompt, output.index);
        if (!streamed && output.text)
            fmt::print("[{}] {}{}\n", number, prompts.all[output.prompt].text, output.text->text());
        if (result.sampling.logprobs) fmt::print("{}", logprobs_text(output, prompts.tokenizer.get()));
    }
    std::fflush(stdout);  // the text stands before the figures where both go to one terminal
}

Result<Plan> plan_of(const ModelConfig& config, const Context& context, const RunOptions& options,
                     const Engine& engine, const RunResult& result) {
    i64 longest = 0;
    for (const auto& prompt : result.prompts) longest = std::max<i64>(longest, std::ssize(prompt));
    PlanOptions plan;
    plan.batch = std::min<i64>(std::ssize(result.outputs), options.engine.max_sequences);
    plan.prompt_tokens = longest;
    plan.context_tokens = std::min(longest + options.max_tokens, engine.max_context_tokens());
    plan.batch_invariant = options.engine.batch_invariant;
    return plan_model(config, engine.forms(), context.target(), plan);
}

int run(const RunOptions& options) {
    if (const Status status = check_run_options(options); !status.ok()) return report(status);
    WW_CLI_ASSIGN(ModelConfig config, load_config(options.model));
    note_ignored_fields(config);
    if (!options.format.empty()) {
        WW_CLI_ASSIGN(config, formed(config, options));
    }
    WW_CLI_ASSIGN(config, with_kv_format(std::move(config), options.kv_format));
    WW_CLI_ASSIGN(config.activations, parse_activations(options.activations));
    RunResult result;
    WW_CLI_ASSIGN(result.sampling, sampling_of(options, config.generation));
    WW_CLI_ASSIGN(const Prompts prompts, read_prompts(options, config));
    WW_CLI_ASSIGN(const auto context, Context::open(options.device));

    const auto start = std::chrono::steady_clock::now();
    WW_CLI_ASSIGN(Weights weights, weights_of(*context, config, options));
    result.load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (options.weights.empty()) note_quantization(config, weights.forms);
    note_kv_format(config, weights.forms);
    for (const std::string& what : weights.ignored) {
        fmt::print(stderr, "{}: ignored, this model does not need it: {}\n", options.model,
                   printable(what, 200));
    }
    EngineOptions engine_options = options.engine;
    engine_options.counts_experts = options.json;
    engine_options.max_sequences = std::min(
        options.engine.max_sequences, i64{std::max(options.num_sequences, 1)} * std::ssize(prompts.all));
    WW_CLI_ASSIGN(const auto engine, Engine::create(context, config, std::move(weights), engine_options));
    if (const Status status = add_all(*engine, options, prompts, result); !status.ok()) return report(status);
    WW_CLI_ASSIGN(result.plan, plan_of(config, *context, options, *engine, result));

    const bool stream = !options.json && result.outputs.size() == 1 && prompts.tokenizer != nullptr;
    if (stream) fmt::print("{}", prompts.all[0].text);
    if (const Status status = generate(*engine, stream, result.outputs); !status.ok()) return report(status);
    result.stats = engine->stats();
    if (options.json) {
        const auto json = to_json(result, prompts.tokenizer.get());
        fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
        print_texts(prompts, options, result, stream);
        fmt::print(stderr, "{}\n", summary_text(result, context->device().id()));
    }
    return Interrupts::seen() ? kInterrupted : 0;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
    auto options = std::make_shared<RunOptions>();
    CLI::App* verb = app.add_subcommand("run", "generate text with a model");
    add_run_options(*verb, *options);
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
