// SPDX-License-Identifier: Apache-2.0
// What follows from a machine: which parallelism, which transports, which libraries to leave alone, and what
// to look at. A rule is a table of data/advice.toml (its condition and sentence in words, and where that is
// known from) and a function of the same id, in src/device/advice/, that says whether a machine meets the
// condition.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/machine.h"

namespace warpwright {

struct AdviceRule {
    std::string id;        // "no-remote-atomics"
    std::string topic;     // "run", "build", "libraries", "parallelism", "transport" or "system"
    std::string weight;    // "fact"; "use", "avoid": a recommendation; "check": something may be wrong
    std::string when;      // the condition in words
    std::string sentence;  // {slots} are filled in by the function
    std::vector<std::string> sources;  // pages, threads, or "measured: ..."
    std::string date;                  // when they were read, YYYY-MM-DD
};

// In the order of the file, which is the order of advice. A flaw in it is a bug and throws std::logic_error;
// so does a rule without a function, and a function without a rule.
std::span<const AdviceRule> advice_rules();

struct Advice {
    const AdviceRule* rule = nullptr;
    std::string text;
};
std::vector<Advice> advice_for(const Machine& machine);

// Names of Python packages that have or call CUDA code, lower case with underscores: [[package]] of the file.
std::span<const std::string> known_packages();

// What a rule's function answers: the values of its sentence's slots, or that the condition is not met.
using Slots = std::map<std::string, std::string>;
struct RuleFunction {
    std::string_view id;
    std::optional<Slots> (*applies)(const Machine& machine);
};

}  // namespace warpwright
