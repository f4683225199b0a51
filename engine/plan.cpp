// SPDX-License-Identifier: Apache-2.0
#include "warpwright/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/operation.h"
#include "engine/engine.h"
#include "engine/layers.h"
#include "engine/parameters.h"

namespace warpwright {
namespace {

// A plan is for an engine with its default options.
constexpr i64 kPageSizeTokens = EngineOptions{}.page_size_tokens;
constexpr i64 kMaxBatchTokens = EngineOptions{}.max_batch_tokens;

double gib(i64 bytes) {
    return static_cast<double>(bytes) / (1 << 30);
}

// Explains one phase and adds its time. Layers are visited in the order of `calls`.
Status explain_phase(const Target& target, const std::vector<LayerCall>& calls, PlannedPhase& phase,
                     std::vector<Explanation>& explanations, std::string& missing) {
    for (const LayerCall& call : calls) {
        WW_ASSIGN(const Operation* operation, find_operation(call.op));
        WW_ASSIGN(Explanation explanation, operation->explain(target, call.problem, {}));
        if (const Candidate* choice = explanation.choice()) {
            phase.compute_us += choice->prediction.us * (call.last - call.first + 1);
        } else if (missing.empty()) {
            missing = fmt::format("{}: {}", call.name, no_row_error(explanation, {}).message());
        }
        explanations.push_back(std::move(explanation));
    }
    return {};
}

struct LinkChoice {
    std::string kind = "none";
    double gb_s = 0;  // both directions
    bool peer_access = false;
};

Result<LinkChoice> choose_link(const Target& target, const std::string& wanted) {
    std::string kinds;
    for (const Link& link : target.links) {
        if (wanted.empty() || link.kind == wanted) return LinkChoice{link.kind, link.gb_s, link.peer_access};
        kinds += (kinds.empty() ? "" : ", ") + link.kind;
    }
    if (wanted.empty()) return LinkChoice{};
    return caller_error(
        fmt::format("{} has no link '{}'; it has: {}", target.id, wanted, kinds.empty() ? "none" : kinds));
}

// A ring all-reduce of `bytes` over n GPUs moves 2 (n-1)/n of them each way; without peer access they go
// through the host and cost twice. Modelled: 8 us to start (NCCL on 4 GPUs of one H200 host: 15.8 us at 16
// KiB).
double all_reduce_us(const LinkChoice& link, int num_gpus, double bytes) {
    if (num_gpus == 1) return 0;
    const double one_way_gb_s = std::max(link.gb_s, 1.0) / 2 * (link.peer_access ? 0.8 : 0.4);
    return 8.0 + 2 * num_gpus + 2.0 * (num_gpus - 1) / num_gpus * bytes / one_way_gb_s * 1e-3;
}

double link_us(const ModelConfig& config, const LinkChoice& link, int num_gpus, i64 tokens, i64 sequences) {
    const double hidden_bytes = static_cast<double>(tokens) * config.hidden_size * dtype_bytes(config.dtype);
    const double logits_bytes = static_cast<double>(sequences) * config.vocab_size * 4;
    // After o_proj and down_proj of every layer, after the split embedding, and the gathering of logits.
    return num_gpus == 1 ? 0
                         : (2 * config.num_layers + 1) * all_reduce_us(link, num_gpus, hidden_bytes) +
                               all_reduce_us(link, num_gpus, logits_bytes / 2);
}

struct Memory {
    i64 weight_bytes = 0, kv_bytes = 0, workspace_bytes = 0, capacity_bytes = 0;
    i64 max_tokens() const {
        return std::max<i64>(0, capacity_bytes - weight_bytes - workspace_bytes) / std::max<i64>(kv_bytes, 1);
    }
};

Memory memory_of(const ModelConfig& shard, const Target& target, i64 batch) {
    Memory memory;
    memory.weight_bytes = num_parameters(shard) * dtype_bytes(shard.dtype);
    memory.kv_bytes = kv_bytes_per_token(shard);
    memory.workspace_bytes =
        activation_bytes(shard, {std::max(kMaxBatchTokens, batch), batch, kMaxBatchTokens, 1});
    memory.capacity_bytes =
        static_cast<i64>(static_cast<double>(target.facts.memory_bytes) * kUsableMemoryShare);
    return memory;
}

std::string what_would_fit(const ModelConfig& config, const Target& target, const Plan& plan,
                           const Memory& memory) {
    std::vector<std::string> ways;
    for (int gpus = plan.num_gpus * 2; gpus <= 64; gpus *= 2) {
        const auto shard = shard_config(config, gpus);
        if (!shard.ok()) continue;
        if (memory_of(*shard, target, plan.batch).max_tokens() >= plan.batch * plan.context_tokens) {
            ways.push_back(fmt::format("{} GPUs", gpus));
            break;
        }
    }
    if (const i64 context = memory.max_tokens() / plan.batch; context > 0) {
        ways.push_back(fmt::format("a context of {} at batch {}", context, plan.batch));
    }
    if (const i64 batch = memory.max_tokens() / plan.context_tokens; batch > 0) {
        ways.push_back(fmt::format("batch {} at this context", batch));
    }
    std::string text;
    for (const std::string& way : ways) text += (text.empty() ? "" : ", or ") + way;
    return text.empty() ? "no number of these GPUs up to 64 holds it" : "what fits: " + text;
}

void fill_memory(const ModelConfig& config, const ModelConfig& shard, const Target& target, Plan& plan) {
    const Memory memory = memory_of(shard, target, plan.batch);
    plan.weight_bytes = memory.weight_bytes;
    plan.kv_bytes_per_token = memory.kv_bytes;
    plan.workspace_bytes = memory.workspace_bytes;
    plan.capacity_bytes = memory.capacity_bytes;
    plan.max_tokens = memory.max_tokens();
    const i64 needed =
        plan.weight_bytes + plan.workspace_bytes + plan.batch * plan.context_tokens * plan.kv_bytes_per_token;
    plan.fits = needed <= plan.capacity_bytes;
    if (plan.fits) {
        plan.fit_text = fmt::format("{:.1f} GiB to spare", gib(plan.capacity_bytes - needed));
    } else {
        plan.fit_text = fmt::format("{:.1f} GiB too much per GPU; {}", gib(needed - plan.capacity_bytes),
                                    what_would_fit(config, target, plan, memory));
    }
}

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

}  // namespace

Result<Plan> plan_model(const ModelConfig& config, const Target& target, const PlanOptions& options) {
    Plan plan;
    plan.model = config.name;
    plan.architecture = config.architecture;
    plan.parameters = num_parameters(config);
    plan.num_layers = config.num_layers;
    plan.gpu = target.id;
    plan.num_gpus = options.num_gpus;
    WW_TRY(check_options(config, plan, options));
    LinkChoice link;
    if (plan.num_gpus > 1) {
        WW_ASSIGN(link, choose_link(target, options.link));
    }
    plan.link = link.kind;
    plan.parallelism_reason = plan.num_gpus == 1
                                  ? "one GPU"
                                  : fmt::format(
                                        "tensor parallel: every layer split over {} GPUs, {} all-reduces a "
                                        "pass over {}{}",
                                        plan.num_gpus, 2 * config.num_layers + 1, link.kind,
                                        link.peer_access ? "" : " through the host (no peer access)");
    WW_ASSIGN(const ModelConfig shard, shard_config(config, plan.num_gpus));
    fill_memory(config, shard, target, plan);

    // A prefill is read in passes of at most kMaxBatchTokens; the largest pass is explained, the time is for
    // all.
    const i64 pass_tokens = std::min(plan.prompt_tokens, kMaxBatchTokens);
    const ForwardShape prefill{pass_tokens, 1, pass_tokens, plan.prompt_tokens};
    const ForwardShape decode{plan.batch, plan.batch, 1, plan.context_tokens};
    const std::vector<LayerCall> prefill_calls = layer_calls(shard, prefill, kPageSizeTokens);
    const std::vector<LayerCall> decode_calls = layer_calls(shard, decode, kPageSizeTokens);
    std::vector<Explanation> prefill_explanations, decode_explanations;
    WW_TRY(explain_phase(target, prefill_calls, plan.prefill, prefill_explanations, plan.missing));
    WW_TRY(explain_phase(target, decode_calls, plan.decode, decode_explanations, plan.missing));
    const double passes = static_cast<double>(plan.prompt_tokens) / static_cast<double>(pass_tokens);
    plan.prefill.tokens = plan.prompt_tokens;
    plan.prefill.compute_us *= passes;
    plan.prefill.link_us = passes * link_us(config, link, plan.num_gpus, pass_tokens, 1);
    plan.decode.tokens = plan.batch;
    plan.decode.link_us = link_us(config, link, plan.num_gpus, plan.batch, plan.batch);
    for (std::size_t i = 0; i < prefill_calls.size(); ++i) {
        const LayerCall& call = prefill_calls[i];
        plan.layers.push_back({call.name, call.first, call.last, call.op, call.format,
                               std::move(prefill_explanations[i]), std::move(decode_explanations[i])});
    }
    return plan;
}

}  // namespace warpwright
