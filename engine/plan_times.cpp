// SPDX-License-Identifier: Apache-2.0
#include "engine/plan_times.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/cost.h"

namespace warpwright {
namespace {

// In the order in which they are shown.
constexpr std::string_view kKinds[] = {"products", "attention", "norms", "element-wise",
                                       "routing",  "sampling",  "other", "between GPUs"};

std::string_view kind_of(std::string_view op) {
    if (op == "gemm" || op == "quantized_gemm" || op == "scaled_gemm" || op == "grouped_gemm" ||
        op == "quantized_experts")
        return "products";
    if (op == "attention" || op == "mla" || op == "index_logits" || op == "index_topk") return "attention";
    if (op == "rmsnorm") return "norms";
    if (op == "rope" || op == "kv_append" || op == "latent_append" || op == "gated_activation" ||
        op == "embedding" || op == "quantize" || op == "dequantize")
        return "element-wise";
    if (op.starts_with("moe_")) return "routing";
    if (op == "sample" || op == "logits") return "sampling";
    return "other";
}

void add_to(std::vector<TimePart>& parts, std::string_view name, double us) {
    for (TimePart& part : parts) {
        if (part.name == name) {
            part.us += us;
            return;
        }
    }
    parts.push_back({std::string(name), us});
}

// A ring all-reduce of `bytes` over n GPUs moves 2 (n-1)/n of them each way; without peer access they go
// through the host and cost twice. Modelled: 8 us to start (NCCL on 4 GPUs of one H200 host: 15.8 us at 16
// KiB).
double all_reduce_us(const LinkChoice& link, int num_gpus, double bytes) {
    const double one_way_gb_s = std::max(link.gb_s, 1.0) / 2 * (link.peer_access ? 0.8 : 0.4);
    return 8.0 + 2 * num_gpus + 2.0 * (num_gpus - 1) / num_gpus * bytes / one_way_gb_s * 1e-3;
}

}  // namespace

PhaseTimes::PhaseTimes(const TargetFacts& facts) : start_us_(start_up_us(facts, kCosts)) {}

void PhaseTimes::add(std::string_view op, const Prediction& prediction, double times) {
    const double start_us = std::min(start_us_, prediction.us);
    add_to(kinds_, kind_of(op), prediction.us * times);
    add_to(limits_, "launch", start_us * times);
    add_to(limits_, prediction.bound, (prediction.us - start_us) * times);
    total_us_ += prediction.us * times;
}

PlannedPhase PhaseTimes::phase(i64 tokens, double link_us) const {
    PlannedPhase phase{.tokens = tokens, .compute_us = total_us_, .link_us = link_us, .limits = limits_};
    std::vector<TimePart> kinds = kinds_;
    add_to(kinds, "between GPUs", link_us);
    add_to(phase.limits, "link", link_us);
    const auto no_time = [](const TimePart& part) { return part.us <= 0; };
    std::erase_if(kinds, no_time);
    std::erase_if(phase.limits, no_time);
    for (const std::string_view name : kKinds) {
        std::copy_if(kinds.begin(), kinds.end(), std::back_inserter(phase.kinds),
                     [&](const TimePart& part) { return part.name == name; });
    }
    std::stable_sort(phase.limits.begin(), phase.limits.end(),
                     [](const TimePart& a, const TimePart& b) { return a.us > b.us; });
    return phase;
}

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

double link_us(const ModelConfig& config, const LinkChoice& link, int num_gpus, i64 tokens, i64 sequences) {
    if (num_gpus == 1) return 0;
    const double hidden_bytes = static_cast<double>(tokens) * config.hidden_size * dtype_bytes(config.dtype);
    const double logits_bytes = static_cast<double>(sequences) * config.vocab_size * 4;
    // After o_proj and down_proj of every layer, after the split embedding, and the gathering of logits.
    return (2 * config.num_layers + 1) * all_reduce_us(link, num_gpus, hidden_bytes) +
           all_reduce_us(link, num_gpus, logits_bytes / 2);
}

}  // namespace warpwright
