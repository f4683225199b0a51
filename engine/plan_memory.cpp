// SPDX-License-Identifier: Apache-2.0
#include "engine/plan_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/layers.h"

namespace warpwright {
namespace {

double gib(i64 bytes) {
    return static_cast<double>(bytes) / (1 << 30);
}

class Memory {
public:
    Memory(const ModelConfig& shard, const ModelForms& forms, const Target& target)
        : weight_bytes(forms.weight_bytes),
          kv_bytes_per_token(warpwright::kv_bytes_per_token(shard, forms.kv_format)),
          capacity_bytes(
              static_cast<i64>(static_cast<double>(target.facts.memory_bytes) * kUsableMemoryShare)),
          shard_(shard),
          forms_(forms) {}

    i64 workspace_bytes(i64 batch, i64 context) const {
        return activation_bytes(shard_, forms_,
                                {std::max(kMaxBatchTokens, batch), batch, kMaxBatchTokens, context});
    }
    // Of the cache, beside a batch's workspace, where every sequence has the longest context that fits.
    i64 max_tokens(i64 batch) const {
        const i64 without = workspace_bytes(batch, 0);
        const i64 of_context = workspace_bytes(batch, 1) - without;  // for each token of it
        const i64 room = std::max<i64>(0, capacity_bytes - weight_bytes - without);
        return room * batch / std::max<i64>(kv_bytes_per_token * batch + of_context, 1);
    }
    bool holds(i64 batch, i64 context) const { return max_tokens(batch) / context >= batch; }
    i64 max_batch(i64 context) const {
        i64 fits = 0, above = max_tokens(1) / context + 1;
        while (above - fits > 1) {
            const i64 middle = fits + (above - fits) / 2;
            (holds(middle, context) ? fits : above) = middle;
        }
        return fits;
    }

    const i64 weight_bytes, kv_bytes_per_token, capacity_bytes;

private:
    const ModelConfig& shard_;
    const ModelForms& forms_;
};

std::string what_would_fit(const ModelConfig& config, const ModelConfig& shard, const ModelForms& forms,
                           const Target& target, FormsOfShards& known, const Plan& plan) {
    std::vector<std::string> ways;
    const Memory here(shard, forms, target);
    for (int gpus = plan.num_gpus * 2; gpus <= 64 && target.facts.build_target != BuildTarget::host;
         gpus *= 2) {
        // What is divided takes at least this much; listing a shard's weights takes longer.
        if (here.weight_bytes * plan.num_gpus / gpus > here.capacity_bytes) continue;
        const auto more = shard_config(config, gpus);
        if (!more.ok()) continue;
        auto found = known.find(gpus);
        if (found == known.end()) found = known.emplace(gpus, expected_forms(*more)).first;
        auto& forms_of_more = found->second;
        if (!forms_of_more.ok()) continue;
        forms_of_more->kv_format = forms.kv_format;
        if (!Memory(*more, *forms_of_more, target).holds(plan.batch, plan.context_tokens)) continue;
        ways.push_back(fmt::format("{} GPUs", gpus));
        break;
    }
    ModelForms with_codes = forms;
    with_codes.kv_format = KvFormat::fp8_e4m3;
    if (forms.kv_format == KvFormat::same &&
        Memory(shard, with_codes, target).holds(plan.batch, plan.context_tokens)) {
        ways.emplace_back("keys and values in fp8_e4m3");
    }
    if (plan.max_context_tokens > 0) {
        ways.push_back(fmt::format("a context of {} at batch {}", plan.max_context_tokens, plan.batch));
    }
    if (plan.max_batch > 0) ways.push_back(fmt::format("batch {} at this context", plan.max_batch));
    return ways.empty() ? "no number of these GPUs up to 64 holds it"
                        : fmt::format("what fits: {}", fmt::join(ways, ", or "));
}

// Windowed layers see the end of a context, yet their pages are not given back.
std::string cache_note(const ModelConfig& config, i64 context_tokens) {
    std::vector<i64> windows;
    for (const i64 window : config.windows) {
        if (window != 0 && window < context_tokens) windows.push_back(window);
    }
    if (windows.empty()) return "";
    return fmt::format("{} of {} layers see the last {} tokens, but keep them all", windows.size(),
                       config.num_layers, windows.front());
}

}  // namespace

void plan_memory(const ModelConfig& config, const ModelConfig& shard, const ModelForms& forms,
                 const Target& target, FormsOfShards& known, Plan& plan) {
    const Memory memory(shard, forms, target);
    plan.weight_bytes = memory.weight_bytes;
    plan.kv_bytes_per_token = memory.kv_bytes_per_token;
    plan.workspace_bytes = memory.workspace_bytes(plan.batch, plan.context_tokens);
    plan.capacity_bytes = memory.capacity_bytes;
    plan.max_tokens = memory.max_tokens(plan.batch);
    plan.max_context_tokens = std::min(plan.max_tokens / plan.batch, config.max_position_tokens);
    plan.max_batch = memory.max_batch(plan.context_tokens);
    plan.cache_note = cache_note(config, plan.context_tokens);
    plan.fits = plan.free_bytes() >= 0;
    plan.fit_text = plan.fits ? fmt::format("{:.1f} GiB to spare", gib(plan.free_bytes()))
                              : fmt::format("{:.1f} GiB too much per GPU; {}", gib(-plan.free_bytes()),
                                            what_would_fit(config, shard, forms, target, known, plan));
}

}  // namespace warpwright
