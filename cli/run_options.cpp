// SPDX-License-Identifier: Apache-2.0
#include "cli/run_options.h"

#include <fmt/format.h>

#include <limits>

#include "cli/verb.h"
#include "engine/request_json.h"

namespace warpwright::cli {

void add_run_options(CLI::App& verb, RunOptions& o) {
    verb.add_option("--model", o.model, "a model's folder")->required()->group("Model");
    verb.add_option("--weights", o.weights, "random:SEED in place of the folder's weights")->group("Model");
    verb.add_option("--format", o.format,
                    "multiply weights in: bf16 or f16 (quantised ones are converted on loading); with random "
                    "weights also a format of quantize")
        ->group("Model");
    verb.add_option("--activations", o.activations,
                    "what quantised weights are multiplied by: 16bit; declared, as 8-bit codes where the "
                    "checkpoint says so; auto, whichever is faster on the device")
        ->capture_default_str()
        ->group("Model");
    verb.add_option("--device", o.device,
                    "auto, cpu, cuda:N, emulated:GPU[,checks=off|bounds|all][,seed=N][,threads=N]")
        ->capture_default_str()
        ->group("Model");

    const std::string prompt = "Prompt";
    verb.add_option("--prompt", o.prompts, "text to continue; several prompts run together")->group(prompt);
    verb.add_option("--prompts-file", o.prompts_file,
                    "a prompt a line: text, a JSON string, or {\"prompt\": text or token ids}; - is stdin")
        ->group(prompt);
    verb.add_flag("--chat", o.chat, "prompts are messages, put into the model's chat template")
        ->group(prompt);
    verb.add_option("--system", o.system, "the system's message before them")->group(prompt);
    verb.add_option("--random-prompt", o.random_prompt_tokens, "a prompt of this many random tokens")
        ->group(prompt);

    const std::string length = "Length and end";
    verb.add_option("--max-tokens", o.max_tokens, "tokens to generate at most")
        ->capture_default_str()
        ->group(length);
    verb.add_option("--min-tokens", o.min_tokens, "nothing ends the text before so many tokens")
        ->capture_default_str()
        ->group(length);
    verb.add_option("--stop", o.stop_strings, "text that ends the output, may be repeated")->group(length);
    verb.add_flag("--include-stop", o.include_stop, "and is part of it")->group(length);
    verb.add_option("--stop-token", o.stop_tokens, "a token id that ends the output, may be repeated")
        ->group(length);
    verb.add_flag("--ignore-eos", o.ignore_eos, "go on after the model's end token")->group(length);
    verb.add_option("-n", o.num_sequences, "outputs for each prompt")->capture_default_str()->group(length);

    const std::string sampling =
        "Sampling (greedy; with --sample or a --temperature, what is not given is generation_config.json's)";
    verb.add_flag("--sample", o.sample, "draw tokens")->group(sampling);
    verb.add_option("--temperature", o.temperature, "0 is greedy")->group(sampling);
    verb.add_option("--top-k", o.top_k, "0 is off")->group(sampling);
    verb.add_option("--top-p", o.top_p, "1 is off")->group(sampling);
    verb.add_option("--min-p", o.min_p, "0 is off")->group(sampling);
    verb.add_option("--seed", o.seed, "of the draws; each output has one of its own, counted from this")
        ->capture_default_str()
        ->group(sampling);
    verb.add_option("--repetition-penalty", o.repetition_penalty,
                    "divides positive logits of tokens of prompt and output; 1 is off")
        ->group(sampling);
    verb.add_option("--presence-penalty", o.presence_penalty,
                    "taken from the logits of tokens of the output, -2 to 2")
        ->group(sampling);
    verb.add_option("--frequency-penalty", o.frequency_penalty, "the same, times how often they are there")
        ->group(sampling);
    verb.add_option("--logit-bias", o.logit_bias, "ID=BIAS,...: added to logits; -inf bans a token")
        ->group(sampling);
    verb.add_option("--logprobs", o.logprobs,
                    "log-probabilities of every chosen token and of the N likeliest, before the above")
        ->group(sampling);

    const std::string engine = "Engine";
    verb.add_option("--context", o.engine.max_context_tokens,
                    "tokens of a sequence, prompt and output (default: the model's limit)")
        ->group(engine);
    verb.add_option("--max-sequences", o.engine.max_sequences, "that run at a time; the others wait")
        ->capture_default_str()
        ->group(engine);
    verb.add_option("--max-batch-tokens", o.engine.max_batch_tokens,
                    "of one pass: longer prompts are read in chunks beside what decodes")
        ->capture_default_str()
        ->group(engine);
    verb.add_option("--cache-tokens", o.engine.cache_tokens,
                    "of all sequences together (default: all their contexts, as far as memory allows)")
        ->group(engine);
    verb.add_option("--page-size", o.engine.page_size_tokens, "tokens in a page of the cache, a power of two")
        ->capture_default_str()
        ->group(engine);
    verb.add_option(
            "--kv-format", o.kv_format,
            "of keys and values in the cache: fp8_e4m3, fp8_e5m2, or bf16 (the model's type, same); auto: "
            "as the checkpoint declares, or else the model's type")
        ->capture_default_str()
        ->group(engine);
    verb.add_flag("--batch-invariant", o.engine.batch_invariant,
                  "the same bits for a sequence whatever runs beside it; slower")
        ->group(engine);

    verb.add_flag("--json", o.json, "tokens, text, timings and the plan, for machines")->group("Output");
    verb.footer(
        "Exit codes: 0; 1 for a negative answer; 2 for bad input; 130 after Ctrl-C, with what was written so "
        "far.");
}

Status check_run_options(const RunOptions& o) {
    if (o.prompts.empty() && o.prompts_file.empty() && o.random_prompt_tokens == 0)
        return caller_error("expected --prompt TEXT (or --prompts-file FILE, or --random-prompt N)");
    if (!o.system.empty() && !o.chat) return caller_error("--system: expected --chat with it");
    if (o.random_prompt_tokens < 0) {
        return caller_error(
            fmt::format("--random-prompt: expected at least 1 token, got {}", o.random_prompt_tokens));
    }
    for (const std::string& text : o.stop_strings) {
        if (text.empty()) return caller_error("--stop: expected text, got an empty string");
    }
    return {};
}

namespace {

Result<std::vector<std::pair<i32, float>>> parse_biases(const std::vector<std::string>& texts) {
    std::vector<std::pair<i32, float>> biases;
    for (const std::string& text : texts) {
        WW_ASSIGN(const FieldTexts settings, parse_settings("--logit-bias", text));
        for (const auto& [name, value] : settings) {
            i64 token = 0;
            double bias = 0;
            WW_TRY(parse_field("--logit-bias", name, token));
            WW_TRY(parse_field("--logit-bias", value, bias));
            if (token < 0 || token > std::numeric_limits<i32>::max())
                return caller_error(fmt::format("--logit-bias: expected a token id, got {}", token));
            biases.emplace_back(static_cast<i32>(token), static_cast<float>(bias));
        }
    }
    return biases;
}

}  // namespace

Result<SamplingParameters> sampling_of(const RunOptions& o, const GenerationDefaults& defaults) {
    const bool draws = o.temperature ? *o.temperature != 0 : o.sample;
    if (!draws && (o.top_k || o.top_p || o.min_p))
        return caller_error("--top-k, --top-p, --min-p: expected --sample or a --temperature with them");
    WW_ASSIGN(SamplingParameters s, resolve_sampling({.draw = o.sample,
                                                      .temperature = o.temperature,
                                                      .top_p = o.top_p,
                                                      .min_p = o.min_p,
                                                      .repetition_penalty = o.repetition_penalty,
                                                      .top_k = o.top_k},
                                                     defaults));
    s.seed = o.seed;
    s.presence_penalty = o.presence_penalty;
    s.frequency_penalty = o.frequency_penalty;
    s.logprobs = o.logprobs;
    WW_ASSIGN(s.logit_bias, parse_biases(o.logit_bias));
    return s;
}

}  // namespace warpwright::cli
