// SPDX-License-Identifier: Apache-2.0
// The engine: a handle is the model with its tokenizer, and the texts of the sequences that run.
#include "engine/engine.h"

#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "c/handles.h"
#include "c/text.h"
#include "dispatch/fields.h"
#include "engine/activations.h"
#include "engine/plan_json.h"
#include "engine/request_json.h"
#include "engine/stats_json.h"
#include "engine/weights.h"

using namespace warpwright;
using namespace warpwright::c;
using nlohmann::ordered_json;

namespace {

// A token with what its pointers point to.
struct StepToken {
    ww_token token{};
    std::string text;
    std::vector<ww_token_logprob> top;
};

int32_t finish_of(Finish finish) {
    switch (finish) {
        case Finish::running: return WW_RUNNING;
        case Finish::length: return WW_LENGTH;
        case Finish::stop: return WW_STOP;
    }
    return WW_RUNNING;
}

}  // namespace

struct ww_engine {
    std::mutex mutex;  // of everything below, but `step_tokens` between steps
    std::shared_ptr<Context> context;
    ModelConfig config;
    std::unique_ptr<ww_tokenizer> tokenizer;  // null: the model has none
    Status tokenizer_problem;
    EngineOptions options;
    std::unique_ptr<Engine> engine;
    i64 weights_bytes = 0;
    std::vector<std::string> ignored_tensors;
    double load_s = 0;
    std::map<int, std::optional<OutputText>> outputs;  // of sequences that run; nothing without a tokenizer
    std::vector<StepToken> step_tokens;                // of the last step

    StepToken step_token(Token& token);
};

namespace {

Result<Weights> weights_of(ww_engine& into, const std::string& model, const ww_engine_options& options) {
    LoadProgress progress;
    if (options.progress != nullptr) {
        progress = [&options](i64 done, i64 total) { options.progress(options.user, done, total); };
    }
    const std::string_view weights = text_or_empty(options.weights);
    if (weights.empty()) return load_weights(*into.context, into.config, model, progress);
    i64 seed = 0;
    if (!weights.starts_with("random:") || !parse_field("seed", weights.substr(7), seed).ok()) {
        return caller_error(
            fmt::format("ww_engine_create: weights: expected random:SEED, got '{}'", weights));
    }
    return random_weights(*into.context, into.config, static_cast<u64>(seed), progress);
}

Result<EngineOptions> engine_options(const ww_engine_options& c) {
    for (const int64_t value :
         {c.max_sequences, c.max_context_tokens, c.max_batch_tokens, c.page_size_tokens, c.cache_tokens}) {
        if (value < 0)
            return caller_error(fmt::format("ww_engine_create: expected 0 or more, got {}", value));
    }
    EngineOptions options{.max_context_tokens = c.max_context_tokens,
                          .cache_tokens = c.cache_tokens,
                          .batch_invariant = c.batch_invariant != 0};
    if (c.max_sequences > 0) options.max_sequences = c.max_sequences;
    if (c.max_batch_tokens > 0) options.max_batch_tokens = c.max_batch_tokens;
    options.max_batch_tokens = std::max(options.max_batch_tokens, options.max_sequences);
    if (c.page_size_tokens > 0) options.page_size_tokens = c.page_size_tokens;
    return options;
}

Result<std::unique_ptr<ww_engine>> create(ww_context& context, const std::string& model,
                                          const ww_engine_options& options) {
    auto made = std::make_unique<ww_engine>();
    made->context = context.context;
    WW_ASSIGN(made->options, engine_options(options));
    WW_ASSIGN(made->config, load_config(model));
    WW_ASSIGN(made->config, with_kv_format(std::move(made->config), text_or_empty(options.kv_format)));
    std::error_code error;
    if (std::filesystem::exists(std::filesystem::path(model) / "tokenizer.json", error)) {
        auto tokenizer = ww_tokenizer::load(model);
        made->tokenizer_problem = tokenizer.status();
        if (tokenizer.ok()) made->tokenizer = std::move(*tokenizer);
    }
    if (made->tokenizer != nullptr && made->config.eos_tokens.empty()) {
        if (const auto end = made->tokenizer->end_token()) made->config.eos_tokens.push_back(*end);
    }
    if (options.activations != nullptr) {
        WW_ASSIGN(made->config.activations, parse_activations(options.activations));
    }
    const auto start = std::chrono::steady_clock::now();
    WW_ASSIGN(Weights weights, weights_of(*made, model, options));
    made->load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    made->weights_bytes = weights.bytes;
    made->ignored_tensors = weights.ignored;
    WW_ASSIGN(made->engine, Engine::create(context.context, made->config, std::move(weights), made->options));
    return made;
}

// body(engine) -> Status, alone on the engine.
template <class Body>
ww_status with(const char* function, ww_engine* engine, Body&& body) {
    return guarded([&]() -> Status {
        WW_TRY(need(engine, function, "an engine"));
        const std::lock_guard lock(engine->mutex);
        return body(*engine);
    });
}

template <class Body>
ww_status answer_json(const char* function, ww_engine* engine, char** json, Body&& body) {
    return with(function, engine, [&](ww_engine& locked) -> Status {
        WW_TRY(need(json, function, "where to put the text"));
        WW_ASSIGN(const ordered_json answer, body(locked));
        WW_ASSIGN(*json, new_text(answer.dump(2, ' ', false, ordered_json::error_handler_t::replace)));
        return {};
    });
}

Status add(ww_engine& engine, const char* text, int32_t* first) {
    WW_TRY(engine.tokenizer_problem);
    TextTools tools;
    if (engine.tokenizer != nullptr) {
        const ww_tokenizer& folder = *engine.tokenizer;
        tools = {&folder.tokenizer, folder.chat.ok() ? &*folder.chat : nullptr, folder.end_token()};
    }
    WW_ASSIGN(const TextRequest parsed, parse_request(text, engine.config, tools));
    WW_ASSIGN(*first, engine.engine->add(parsed.request));
    for (int i = 0; i < parsed.request.num_sequences; ++i) {
        auto& output = engine.outputs[*first + i];
        if (tools.tokenizer != nullptr) output.emplace(*tools.tokenizer, parsed.output);
    }
    return {};
}

Status step(ww_engine& engine, int32_t* num_tokens) {
    engine.step_tokens.clear();
    WW_ASSIGN(std::vector<Token> tokens, engine.engine->step());
    for (Token& token : tokens) engine.step_tokens.push_back(engine.step_token(token));
    // why: only now does nothing move any more.
    for (StepToken& entry : engine.step_tokens) {
        entry.token.text = entry.text.c_str();
        entry.token.text_bytes = entry.text.size();
        entry.token.top = entry.top.data();
        entry.token.num_top = static_cast<int32_t>(entry.top.size());
    }
    *num_tokens = static_cast<int32_t>(engine.step_tokens.size());
    return {};
}

ordered_json facts_json(const ww_engine& engine) {
    const ModelConfig& config = engine.config;
    const ModelForms& forms = engine.engine->forms();
    return {
        {"model",
         {{"name", config.name},
          {"architecture", config.architecture},
          {"vocab_size", config.vocab_size},
          {"eos_tokens", config.eos_tokens},
          {"max_position_tokens", config.max_position_tokens},
          {"ignored_fields", config.ignored_fields},
          {"ignored_tensors", engine.ignored_tensors}}},
        {"device", engine.context->device().id()},
        {"weights_bytes", engine.weights_bytes},
        {"activations", activations_name(forms.coded_inputs ? Activations::declared : Activations::bits16)},
        {"activations_reason", forms.activations_reason},
        {"kv_format", kv_type_name(config, engine.engine->kv_format())},
        {"kv_note", forms.kv_note},
        {"max_context_tokens", engine.engine->max_context_tokens()},
        {"cache_tokens", engine.engine->cache_tokens()},
        {"load_s", engine.load_s}};
}

}  // namespace

StepToken ww_engine::step_token(Token& token) {
    StepToken entry;
    entry.token = {.struct_size = sizeof(ww_token),
                   .sequence = token.sequence,
                   .token = token.token,
                   .finish = finish_of(token.finish)};
    const auto output = outputs.find(token.sequence);
    if (output != outputs.end() && output->second) {
        entry.text = output->second->push(token);
        if (output->second->stopped()) {
            entry.token.finish = WW_STOP_STRING;
            engine->cancel(token.sequence);
        }
    }
    if (entry.token.finish != WW_RUNNING) outputs.erase(token.sequence);
    if (token.logprobs != nullptr) {
        entry.token.logprob = token.logprobs->chosen;
        for (const TokenLogprob& top : token.logprobs->top) entry.top.push_back({top.token, top.logprob});
    }
    return entry;
}

ww_status ww_engine_create(ww_context* context, const char* model, const ww_engine_options* options,
                           ww_engine** engine) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_engine_create", "a context"));
        WW_TRY(need(model, "ww_engine_create", "a model"));
        WW_TRY(need(engine, "ww_engine_create", "where to put the engine"));
        ww_engine_options known{};
        if (options != nullptr) {
            WW_ASSIGN(known, read_struct("ww_engine_create", options));
        }
        WW_ASSIGN(auto made, create(*context, model, known));
        *engine = made.release();
        return {};
    });
}

void ww_engine_free(ww_engine* engine) {
    delete engine;
}

const ww_tokenizer* ww_engine_tokenizer(const ww_engine* engine) {
    return engine == nullptr ? nullptr : engine->tokenizer.get();
}

ww_status ww_engine_json(ww_engine* engine, char** json) {
    return answer_json("ww_engine_json", engine, json,
                       [](ww_engine& e) -> Result<ordered_json> { return facts_json(e); });
}

ww_status ww_engine_add(ww_engine* engine, const char* request, int32_t* first_sequence) {
    return with("ww_engine_add", engine, [&](ww_engine& e) -> Status {
        WW_TRY(need(request, "ww_engine_add", "a request"));
        WW_TRY(need(first_sequence, "ww_engine_add", "where to put the sequence"));
        return add(e, request, first_sequence);
    });
}

ww_status ww_engine_cancel(ww_engine* engine, int32_t sequence, int32_t* cancelled) {
    return with("ww_engine_cancel", engine, [&](ww_engine& e) -> Status {
        const bool was_there = e.engine->cancel(sequence);
        e.outputs.erase(sequence);
        if (cancelled != nullptr) *cancelled = was_there ? 1 : 0;
        return {};
    });
}

int32_t ww_engine_idle(ww_engine* engine) {
    if (engine == nullptr) return 1;
    const std::lock_guard lock(engine->mutex);
    return engine->engine->idle() ? 1 : 0;
}

ww_status ww_engine_step(ww_engine* engine, int32_t* num_tokens) {
    return with("ww_engine_step", engine, [&](ww_engine& e) -> Status {
        WW_TRY(need(num_tokens, "ww_engine_step", "where to put the number of tokens"));
        return step(e, num_tokens);
    });
}

const ww_token* ww_engine_token(const ww_engine* engine, int32_t index) {
    if (engine == nullptr || index < 0 || static_cast<std::size_t>(index) >= engine->step_tokens.size())
        return nullptr;
    return &engine->step_tokens[static_cast<std::size_t>(index)].token;
}

ww_status ww_engine_stats_json(ww_engine* engine, char** json) {
    return answer_json("ww_engine_stats_json", engine, json, [](ww_engine& e) -> Result<ordered_json> {
        const EngineStats stats = e.engine->stats();
        return ordered_json{{"timings", timings_json(stats, e.load_s)}, {"stats", stats_json(stats)}};
    });
}

ww_status ww_engine_plan(ww_engine* engine, int64_t batch, int64_t prompt_tokens, int64_t context_tokens,
                         char** json) {
    return answer_json("ww_engine_plan", engine, json, [&](ww_engine& e) -> Result<ordered_json> {
        PlanOptions options{.batch = batch == 0 ? e.options.max_sequences : batch,
                            .context_tokens = context_tokens,
                            .prompt_tokens = prompt_tokens,
                            .batch_invariant = e.options.batch_invariant};
        WW_ASSIGN(const Plan plan, plan_model(e.config, e.engine->forms(), e.context->target(), options));
        return plan_json(plan);
    });
}
