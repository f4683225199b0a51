// SPDX-License-Identifier: Apache-2.0
#include "engine/stats_json.h"

#include <nlohmann/json.hpp>

namespace warpwright {

using nlohmann::ordered_json;

ordered_json timings_json(const EngineStats& stats, double load_s) {
    const auto per_s = [](i64 tokens, double s) { return s > 0 ? static_cast<double>(tokens) / s : 0; };
    return {{"load_s", load_s},
            {"prefill_tokens_per_s", per_s(stats.prefill_tokens, stats.prefill_s)},
            {"decode_tokens_per_s", per_s(stats.decode_tokens, stats.decode_s)}};
}

ordered_json stats_json(const EngineStats& stats) {
    const double host_s = stats.decode_passes > 0 ? stats.decode_host_s / double(stats.decode_passes) : 0;
    return {{"prefill_passes", stats.prefill_passes},     {"decode_passes", stats.decode_passes},
            {"read_tokens", stats.scheduler.read_tokens}, {"reused_tokens", stats.scheduler.reused_tokens},
            {"preemptions", stats.scheduler.preemptions}, {"cache_pages", stats.scheduler.num_pages},
            {"host_us_per_decode_pass", host_s * 1e6}};
}

}  // namespace warpwright
