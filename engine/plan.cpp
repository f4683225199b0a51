// SPDX-License-Identifier: Apache-2.0
#include "warpwright/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "device/named_target.h"
#include "dispatch/operation.h"
#include "engine/activations.h"
#include "engine/config.h"
#include "engine/latent_forward.h"
#include "engine/layers.h"
#include "engine/parameters.h"
#include "engine/plan_memory.h"
#include "engine/plan_times.h"
#include "engine/weight_forms.h"

namespace warpwright {
namespace {

Status check_options(const ModelConfig& config, Plan& plan, const PlanOptions& options) {
    if (options.num_gpus < 1)
        return caller_error(fmt::format("gpus: expected at least 1, got {}", options.num_gpus));
    if (options.batch < 1)
        return caller_error(fmt::format("batch: expected at least 1, got {}", options.batch));
    if (options.context_tokens < 0 || options.prompt_tokens < 0) {
        return caller_error("context and prompt: expected at least 1");
    }
    plan.batch = options.batch;
    plan.context_tokens = options.context_tokens == 0 ? std::min<i64>(2048, config.max_position_tokens)
                                                      : options.context_tokens;
    if (plan.context_tokens > config.max_position_tokens) {
        return caller_error(fmt::format("context: {} allows {} tokens, got {}", config.name,
                                        config.max_position_tokens, plan.context_tokens));
    }
    plan.prompt_tokens =
        options.prompt_tokens == 0 ? std::max<i64>(1, plan.context_tokens / 2) : options.prompt_tokens;
    if (plan.prompt_tokens > plan.context_tokens) {
        return caller_error(fmt::format("prompt: {} tokens do not fit a context of {}", plan.prompt_tokens,
                                        plan.context_tokens));
    }
    return {};
}

std::string parallelism_reason(const ModelConfig& config, const Plan& plan, const LinkChoice& link) {
    if (plan.num_gpus == 1) return "one GPU";
    return fmt::format("tensor parallel: every layer split over {} GPUs, {} all-reduces a pass over {}{}",
                       plan.num_gpus, 2 * config.num_layers + 1, link.kind,
                       link.peer_access ? "" : " through the host (no peer access)");
}

Result<Explanation> explain_call(const Target& target, const LayerCall& call, bool batch_invariant) {
    if (call.absent) return Explanation{};
    WW_ASSIGN(const Operation* operation, find_operation(call.op));
    return operation->explain(target, call.problem, {.batch_invariant = batch_invariant});
}

// Of every call, and into plan.missing the first without a row.
Result<std::vector<Explanation>> explain_calls(const Target& target, const std::vector<LayerCall>& calls,
                                               Plan& plan) {
    std::vector<Explanation> explanations;
    for (const LayerCall& call : calls) {
        WW_ASSIGN(Explanation explanation, explain_call(target, call, plan.batch_invariant));
        if (!call.absent && explanation.choice() == nullptr && plan.missing.empty())
            plan.missing = fmt::format("{}: {}", call.name, no_row_error(explanation, {}).message());
        explanations.push_back(std::move(explanation));
    }
    return explanations;
}

void add_time(const LayerCall& call, const Explanation& explanation, double passes, PhaseTimes& times) {
    if (const Candidate* choice = explanation.choice())
        times.add(call.op, choice->prediction, passes * static_cast<double>(call.count()));
}

// A prompt is read in passes of at most kMaxBatchTokens. The last, which sees the most keys, is the one that
// is explained; the time is that of up to kSampledPasses evenly spaced ones, since only attention differs
// between them.
Result<std::vector<Explanation>> plan_prefill(const ModelConfig& shard, const ModelForms& forms,
                                              const Target& target, const PhaseTimes& no_times, Plan& plan,
                                              double link_us) {
    constexpr i64 kSampledPasses = 4;
    const i64 pass_tokens = std::min(plan.prompt_tokens, kMaxBatchTokens);
    const double passes = static_cast<double>(plan.prompt_tokens) / static_cast<double>(pass_tokens);
    const auto calls_at = [&](i64 kv_tokens) -> Result<std::vector<LayerCall>> {
        ForwardShape shape{pass_tokens, 1, pass_tokens, kv_tokens};
        WW_ASSIGN(shape.expands,
                  expands_latents(target, shard, forms, shape, kPageSizeTokens,
                                  std::max(kMaxBatchTokens, plan.batch), plan.batch_invariant));
        return layer_calls(shard, forms, shape, kPageSizeTokens, plan.batch_invariant);
    };
    WW_ASSIGN(const std::vector<LayerCall> last, calls_at(plan.prompt_tokens));
    WW_ASSIGN(std::vector<Explanation> explanations, explain_calls(target, last, plan));

    PhaseTimes times = no_times;
    const i64 samples = std::min(kSampledPasses, (plan.prompt_tokens + pass_tokens - 1) / pass_tokens);
    for (i64 sample = 0; sample < samples; ++sample) {
        // Keys that the middle one of the passes sees that this sample stands for.
        const i64 kv_tokens = (plan.prompt_tokens * (2 * sample + 1) / samples + pass_tokens) / 2;
        WW_ASSIGN(const std::vector<LayerCall> calls, calls_at(kv_tokens));
        for (std::size_t i = 0; i < calls.size(); ++i) {
            const double share = passes / static_cast<double>(samples);
            if (calls[i].absent == last[i].absent && calls[i].problem == last[i].problem) {
                add_time(calls[i], explanations[i], share, times);
            } else {
                WW_ASSIGN(const Explanation explanation,
                          explain_call(target, calls[i], plan.batch_invariant));
                add_time(calls[i], explanation, share, times);
            }
        }
    }
    plan.prefill = times.phase(plan.prompt_tokens, passes * link_us);
    return explanations;
}

// `forms` are those of a shard; null: what the config lets expect.
// What does not depend on the GPU, of a config and options: found when it is first asked for.
struct KnownForms {
    FormsOfInputs inputs;
    FormsOfShards shards;
};

Result<Plan> plan_with(const ModelConfig& config, const ModelForms* known_forms, const Target& target,
                       const PlanOptions& options, KnownForms& known) {
    Plan plan;
    plan.model = config.name;
    plan.architecture = config.architecture;
    plan.parameters = num_parameters(config);
    plan.num_layers = config.num_layers;
    plan.ignored_fields = config.ignored_fields;
    plan.gpu = target.id;
    plan.unsure = target.unsure;
    plan.num_gpus = options.num_gpus;
    plan.batch_invariant = options.batch_invariant;
    if (const Status runs = check_runs(config); !runs.ok()) plan.missing = runs.message();
    WW_TRY(check_options(config, plan, options));
    LinkChoice link;
    if (plan.num_gpus > 1) {
        WW_ASSIGN(link, choose_link(target, options.link));
    }
    plan.link = link.kind;
    plan.parallelism_reason = parallelism_reason(config, plan, link);
    WW_ASSIGN(const ModelConfig shard, shard_config(config, plan.num_gpus));
    ModelForms expected;
    std::string activations_reason = known_forms == nullptr ? "" : known_forms->activations_reason;
    if (known_forms == nullptr) {
        WW_ASSIGN(const ModelConfig decided, with_activations(shard, target, known.inputs));
        activations_reason = decided.activations_reason;
        if (decided.activations == Activations::automatic) {
            WW_ASSIGN(known_forms, forms_of_decided(decided, known.inputs));
        } else {
            WW_ASSIGN(expected, expected_forms(decided));
        }
    }
    const ModelForms& forms = known_forms == nullptr ? expected : *known_forms;
    plan.weight_formats = forms.formats;
    plan.weight_notes = forms.notes;
    plan.kv_format = kv_type_name(config, forms.kv_format);
    plan.kv_note = forms.kv_note;
    plan.activations = activations_name(forms.coded_inputs ? Activations::declared : Activations::bits16);
    plan.activations_reason = activations_reason;
    plan_memory(config, shard, forms, target, known.shards, plan);

    const PhaseTimes no_times(target.facts);
    const i64 pass_tokens = std::min(plan.prompt_tokens, kMaxBatchTokens);
    WW_ASSIGN(std::vector<Explanation> prefill,
              plan_prefill(shard, forms, target, no_times, plan,
                           link_us(config, link, plan.num_gpus, pass_tokens, 1)));

    const ForwardShape step{plan.batch, plan.batch, 1, plan.context_tokens};
    const std::vector<LayerCall> calls =
        layer_calls(shard, forms, step, kPageSizeTokens, plan.batch_invariant);
    WW_ASSIGN(std::vector<Explanation> decode, explain_calls(target, calls, plan));
    PhaseTimes times = no_times;
    for (std::size_t i = 0; i < calls.size(); ++i) add_time(calls[i], decode[i], 1, times);
    plan.decode = times.phase(plan.batch, link_us(config, link, plan.num_gpus, plan.batch, plan.batch));

    for (std::size_t i = 0; i < calls.size(); ++i) {
        const LayerCall& call = calls[i];
        plan.layers.push_back(
            {call.name, call.layers, call.op, call.format, std::move(prefill[i]), std::move(decode[i])});
    }
    return plan;
}

// The model as the options would have it.
Result<ModelConfig> formed_config(const ModelConfig& config, const PlanOptions& options) {
    WW_ASSIGN(ModelConfig formed, with_format(config, options.format));
    if (!options.kv_format.empty()) {
        WW_ASSIGN(formed, with_kv_format(std::move(formed), options.kv_format));
    }
    WW_ASSIGN(const Activations activations, parse_activations(options.activations));
    if (activations != Activations::automatic) formed.activations = activations;
    return formed;
}

// Of weights that are numbers, which are the same on every GPU; else none.
std::optional<ModelForms> forms_everywhere(const ModelConfig& formed, const PlanOptions& options) {
    if (formed.quantization != nullptr || formed.activations == Activations::declared || options.num_gpus < 1)
        return {};
    const Result<ModelConfig> shard = shard_config(formed, options.num_gpus);
    if (!shard.ok()) return {};
    Result<ModelForms> forms = expected_forms(shard.value());
    return forms.ok() ? std::optional(std::move(forms).value()) : std::nullopt;
}

}  // namespace

Result<Plan> plan_model(const ModelConfig& config, const Target& target, const PlanOptions& options) {
    WW_ASSIGN(const ModelConfig formed, formed_config(config, options));
    KnownForms known;
    return plan_with(formed, nullptr, target, options, known);
}

Result<Plan> plan_model(const ModelConfig& config, const ModelForms& forms, const Target& target,
                        const PlanOptions& options) {
    KnownForms known;
    return plan_with(config, &forms, target, options, known);
}

std::vector<PlanPoint> plan_points(const ModelConfig& config, std::span<const Target> targets,
                                   std::span<const PlanOptions> options) {
    // What does not depend on the GPU, of each of the options.
    std::vector<Result<ModelConfig>> formed;
    std::vector<std::optional<ModelForms>> forms;
    for (const PlanOptions& wanted : options) {
        formed.push_back(formed_config(config, wanted));
        forms.push_back(formed.back().ok() ? forms_everywhere(formed.back().value(), wanted) : std::nullopt);
    }
    std::vector<KnownForms> known(options.size());
    std::vector<PlanPoint> points;
    for (const Target& target : targets) {
        for (std::size_t i = 0; i < options.size(); ++i) {
            PlanPoint point{.gpu = target.id, .options = options[i]};
            auto plan = formed[i].ok() ? plan_with(formed[i].value(), forms[i] ? &*forms[i] : nullptr, target,
                                                   options[i], known[i])
                                       : Result<Plan>(formed[i].status());
            if (plan.ok()) {
                point.plan = std::move(plan).value();
            } else {
                point.refused = plan.status().message();
            }
            points.push_back(std::move(point));
        }
    }
    return points;
}

Result<Plan> plan_model(std::string_view model, std::string_view gpu, const PlanOptions& options) {
    WW_ASSIGN(const ModelConfig config, load_config(model));
    WW_ASSIGN(const Target target, named_target(gpu));
    return plan_model(config, target, options);
}

}  // namespace warpwright
