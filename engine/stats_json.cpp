// SPDX-License-Identifier: Apache-2.0
#include "engine/stats_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace warpwright {

using nlohmann::ordered_json;

namespace {

// Of every layer that has experts: tokens by expert, and the largest number beside the mean.
ordered_json experts_json(const std::vector<std::vector<i64>>& layers) {
    ordered_json list = ordered_json::array();
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
        const std::vector<i64>& tokens = layers[layer];
        const double sum = std::accumulate(tokens.begin(), tokens.end(), 0.0);
        if (tokens.empty()) continue;
        const auto most = static_cast<double>(*std::max_element(tokens.begin(), tokens.end()));
        list.push_back({{"layer", layer},
                        {"tokens_per_expert", tokens},
                        {"imbalance", sum > 0 ? most * static_cast<double>(tokens.size()) / sum : 0}});
    }
    return list;
}

}  // namespace

ordered_json timings_json(const EngineStats& stats, double load_s) {
    const auto per_s = [](i64 tokens, double s) { return s > 0 ? static_cast<double>(tokens) / s : 0; };
    return {{"load_s", load_s},
            {"prefill_tokens_per_s", per_s(stats.prefill_tokens, stats.prefill_s)},
            {"decode_tokens_per_s", per_s(stats.decode_tokens, stats.decode_s)}};
}

ordered_json stats_json(const EngineStats& stats) {
    const double host_s = stats.decode_passes > 0 ? stats.decode_host_s / double(stats.decode_passes) : 0;
    ordered_json json{
        {"prefill_passes", stats.prefill_passes},     {"decode_passes", stats.decode_passes},
        {"read_tokens", stats.scheduler.read_tokens}, {"reused_tokens", stats.scheduler.reused_tokens},
        {"preemptions", stats.scheduler.preemptions}, {"cache_pages", stats.scheduler.num_pages},
        {"host_us_per_decode_pass", host_s * 1e6}};
    if (!stats.expert_tokens.empty()) json["experts"] = experts_json(stats.expert_tokens);
    return json;
}

}  // namespace warpwright
