// SPDX-License-Identifier: Apache-2.0
#include "bench/peers.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

namespace warpwright::bench {

Result<Peers> Peers::read(const std::string& path) {
    Peers peers;
    if (path.empty()) return peers;
    std::ifstream file(path);
    if (!file) return caller_error("cannot read " + path);
    for (std::string line; std::getline(file, line);) {
        const auto json = nlohmann::json::parse(line, nullptr, false);
        if (!json.is_object() || !json.contains("us") || !json["us"].is_number()) continue;
        peers.times_[json.value("op", "") + " " + json.value("problem", "")].push_back(
            {json.value("peer", ""), json["us"].get<double>()});
    }
    for (auto& [key, times] : peers.times_) {
        std::stable_sort(times.begin(), times.end(),
                         [](const PeerTime& a, const PeerTime& b) { return a.us < b.us; });
    }
    return peers;
}

const std::vector<PeerTime>& Peers::of(const std::string& op, const std::string& problem) const {
    static const std::vector<PeerTime> none;
    const auto found = times_.find(op + " " + problem);
    return found == times_.end() ? none : found->second;
}

}  // namespace warpwright::bench
