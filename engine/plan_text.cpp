// SPDX-License-Identifier: Apache-2.0
// Plans for people and for machines.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dispatch/explain_json.h"
#include "engine/plan_json.h"

namespace warpwright {
namespace {

std::string bytes_text(i64 bytes) {
    const auto value = static_cast<double>(bytes);
    if (value >= 1e9) return fmt::format("{:.2f} GiB", value / (1 << 30));
    if (value >= 1e6) return fmt::format("{:.1f} MiB", value / (1 << 20));
    return fmt::format("{:.1f} KiB", value / (1 << 10));
}

std::string time_text(double us) {
    if (us >= 1e6) return fmt::format("{:.2f} s", us * 1e-6);
    if (us >= 1e3) return fmt::format("{:.2f} ms", us * 1e-3);
    return fmt::format("{:.1f} us", us);
}

std::string choice_text(const Explanation& explanation) {
    const Candidate* choice = explanation.choice();
    return choice == nullptr ? "no row" : fmt::format("{} {:.1f} us", choice->row, choice->prediction.us);
}

nlohmann::ordered_json phase_json(const PlannedPhase& phase) {
    return {{"tokens", phase.tokens},
            {"predicted_us", phase.total_us()},
            {"compute_us", phase.compute_us},
            {"link_us", phase.link_us}};
}

}  // namespace

nlohmann::ordered_json plan_json(const Plan& plan) {
    nlohmann::ordered_json json;
    json["model"] = {{"name", plan.model},
                     {"architecture", plan.architecture},
                     {"parameters", plan.parameters},
                     {"layers", plan.num_layers}};
    json["target"] = {{"gpu", plan.gpu}, {"count", plan.num_gpus}, {"link", plan.link}};
    json["parallelism"] = {{"tp", plan.num_gpus}, {"pp", 1}, {"ep", 1}, {"why", plan.parallelism_reason}};
    json["memory"] = {{"weights_bytes", plan.weight_bytes},
                      {"kv_bytes_per_token", plan.kv_bytes_per_token},
                      {"workspace_bytes", plan.workspace_bytes},
                      {"capacity_bytes", plan.capacity_bytes},
                      {"max_tokens", plan.max_tokens},
                      {"fits", plan.fits},
                      {"text", plan.fit_text}};
    json["phases"]["prefill"] = phase_json(plan.prefill);
    json["phases"]["decode"] = phase_json(plan.decode);
    json["phases"]["decode"].erase("tokens");
    json["phases"]["decode"]["batch"] = plan.batch;
    json["phases"]["decode"]["context"] = plan.context_tokens;
    json["phases"]["decode"]["tokens_per_s"] = plan.decode_tokens_per_s();
    json["missing"] =
        plan.missing.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(plan.missing);
    json["layers"] = nlohmann::ordered_json::array();
    for (const PlannedLayer& layer : plan.layers) {
        json["layers"].push_back({{"name", layer.name},
                                  {"indices", {layer.first, layer.last}},
                                  {"op", layer.op},
                                  {"format", layer.format},
                                  {"prefill", explanation_json(layer.prefill)},
                                  {"decode", explanation_json(layer.decode)}});
    }
    return json;
}

std::string to_json(const Plan& plan, int indent) {
    return plan_json(plan).dump(indent);
}

std::string to_text(const Plan& plan) {
    std::string text = fmt::format("{} ({}, {:.3g} parameters, {} layers) on {}{}\n", plan.model,
                                   plan.architecture, static_cast<double>(plan.parameters), plan.num_layers,
                                   plan.num_gpus > 1 ? fmt::format("{} x ", plan.num_gpus) : "", plan.gpu);
    text += fmt::format("  parallelism  {}\n", plan.parallelism_reason);
    text += fmt::format("  memory       {} weights, {} cache per token, {} workspace, of {}{}\n",
                        bytes_text(plan.weight_bytes), bytes_text(plan.kv_bytes_per_token),
                        bytes_text(plan.workspace_bytes), bytes_text(plan.capacity_bytes),
                        plan.num_gpus > 1 ? " per GPU" : "");
    text += fmt::format("               {}: {} x {} tokens asked, {} possible; {}\n",
                        plan.fits ? "fits" : "does not fit", plan.batch, plan.context_tokens, plan.max_tokens,
                        plan.fit_text);
    text += fmt::format("  prefill      {} tokens in {} ({:.0f} tokens/s), modelled\n", plan.prompt_tokens,
                        time_text(plan.prefill.total_us()), plan.prefill_tokens_per_s());
    text += fmt::format("  decode       batch {} at {} tokens: {} a step ({:.0f} tokens/s), modelled\n",
                        plan.batch, plan.context_tokens, time_text(plan.decode.total_us()),
                        plan.decode_tokens_per_s());
    if (plan.num_gpus > 1) {
        text += fmt::format("  between GPUs {} of the prefill, {} of a decode step\n",
                            time_text(plan.prefill.link_us), time_text(plan.decode.link_us));
    }
    std::size_t name_width = 0, prefill_width = 0;
    for (const PlannedLayer& layer : plan.layers) {
        name_width = std::max(name_width, layer.name.size());
        prefill_width = std::max(prefill_width, choice_text(layer.prefill).size());
    }
    text +=
        fmt::format("  {:<{}}   x  {:<{}}  {}\n", "layer", name_width, "prefill", prefill_width, "decode");
    for (const PlannedLayer& layer : plan.layers) {
        text +=
            fmt::format("  {:<{}} {:3}  {:<{}}  {}\n", layer.name, name_width, layer.last - layer.first + 1,
                        choice_text(layer.prefill), prefill_width, choice_text(layer.decode));
    }
    if (!plan.missing.empty()) text += "  cannot run: " + plan.missing + "\n";
    return text;
}

}  // namespace warpwright
