// SPDX-License-Identifier: Apache-2.0
#include "device/advice.h"

#include <stdexcept>

#include <fmt/format.h>

#include "device/advice/machine_facts.h"
#include "device/data_table.h"

namespace warpwright {
namespace {

constexpr std::string_view kPath = "data/advice.toml";

using Function = std::optional<Slots> (*)(const Machine&);

[[noreturn]] void broken(std::string_view id, std::string_view what) {
    throw std::logic_error(fmt::format("{}: {}: {}", kPath, id, what));
}

std::map<std::string_view, Function> all_functions() {
    std::map<std::string_view, Function> functions;
    for (const auto rules :
         {advice::run_rules(), advice::build_rules(), advice::library_rules(), advice::parallelism_rules(),
          advice::transport_rules(), advice::system_rules()}) {
        for (const RuleFunction& rule : rules) {
            if (!functions.emplace(rule.id, rule.applies).second) broken(rule.id, "has two functions");
        }
    }
    return functions;
}

struct Rules {
    std::vector<AdviceRule> rules;
    std::vector<Function> functions;  // of each
};

Rules read_rules() {
    std::map<std::string_view, Function> functions = all_functions();
    Rules read;
    for_each_table(kPath, data_file(kPath), "rule", [&](DataTable& table) {
        AdviceRule rule;
        rule.id = table.text("id");
        rule.topic =
            table.one_of("topic", {"run", "build", "libraries", "parallelism", "transport", "system"});
        rule.weight = table.one_of("weight", {"fact", "use", "avoid", "check"});
        rule.when = table.text("when");
        rule.sentence = table.text("sentence");
        rule.sources = table.texts("sources");
        rule.date = table.date("date");
        const auto function = functions.find(rule.id);
        if (function == functions.end()) table.broken("has no function, or is there twice");
        read.functions.push_back(function->second);
        functions.erase(function);
        read.rules.push_back(std::move(rule));
    });
    if (!functions.empty()) broken(functions.begin()->first, "a function without a rule");
    return read;
}

const Rules& rules() {
    static const Rules read = read_rules();
    return read;
}

// The sentence with every {slot} replaced; what is in a slot is text and not looked at again.
std::string filled(const AdviceRule& rule, const Slots& slots) {
    std::string text;
    const std::string& sentence = rule.sentence;
    for (size_t at = 0; at < sentence.size();) {
        const size_t open = sentence.find('{', at);
        text.append(sentence, at, open == std::string::npos ? open : open - at);
        if (open == std::string::npos) break;
        const size_t close = sentence.find('}', open);
        if (close == std::string::npos) broken(rule.id, "a slot without an end");
        const auto slot = slots.find(sentence.substr(open + 1, close - open - 1));
        if (slot == slots.end()) broken(rule.id, "a slot that its function does not fill");
        text += slot->second;
        at = close + 1;
    }
    return text;
}

}  // namespace

std::span<const AdviceRule> advice_rules() {
    return rules().rules;
}

std::vector<Advice> advice_for(const Machine& machine) {
    std::vector<Advice> advice;
    for (size_t i = 0; i < rules().rules.size(); ++i) {
        const AdviceRule& rule = rules().rules[i];
        if (const auto slots = rules().functions[i](machine)) advice.push_back({&rule, filled(rule, *slots)});
    }
    return advice;
}

std::span<const std::string> known_packages() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> read;
        for_each_table(kPath, data_file(kPath), "package",
                       [&](DataTable& table) { read.push_back(table.text("name")); });
        return read;
    }();
    return names;
}

}  // namespace warpwright
