// SPDX-License-Identifier: Apache-2.0
// A log as text -> what diagnose finds in it.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "inspect/diagnose/diagnose.h"

namespace warpwright::diagnose {

// `chunk`: how many bytes arrive at once.
inline Report diagnose(std::string_view log, int compute_capability = 0, size_t chunk = 1 << 20) {
    static std::map<int, Matcher> matchers;
    Matcher& matcher =
        matchers.try_emplace(compute_capability, catalogue(), compute_capability).first->second;
    Diagnoser diagnoser(matcher);
    diagnoser.begin("log");
    while (!log.empty()) {
        const std::span<char> room = diagnoser.room();
        const size_t size = std::min({room.size(), log.size(), chunk});
        std::memcpy(room.data(), log.data(), size);
        diagnoser.filled(size);
        log.remove_prefix(size);
    }
    diagnoser.finish();
    return diagnoser.report();
}

}  // namespace warpwright::diagnose
