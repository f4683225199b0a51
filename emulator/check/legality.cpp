// SPDX-License-Identifier: Apache-2.0
#include "emulator/check/legality.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "emulator/check/finding.h"
#include "image/embedded.h"

namespace warpwright::emulator {
namespace {

// Bit i: legal for the table's target i.
using TargetMask = u32;

struct TableTarget {
    std::string name;  // "sm_90a"
    int capability = 0;
    char suffix = 0;      // 'a': that GPU only; 'f': its family
    int min_version = 0;  // of PTX
};

struct Form {
    TargetMask targets = 0;
    int min_version = 0;
};

struct Rule {
    std::vector<std::string> modifiers;  // all of them, in the order of the canonical form
    TargetMask targets = 0;
};

// "8.6": 86
int version_number(std::string_view text) {
    const std::size_t dot = text.find('.');
    int major = 0, minor = 0;
    std::from_chars(text.data(), text.data() + std::min(dot, text.size()), major);
    if (dot != text.npos) std::from_chars(text.data() + dot + 1, text.data() + text.size(), minor);
    return 10 * major + minor;
}

struct Table {
    std::vector<TableTarget> targets;
    std::unordered_map<std::string, Form> forms;
    std::unordered_map<std::string, std::vector<Rule>> rules;  // by opcode

    Table() {
        for (const EmbeddedFile& file : embedded_data()) {
            if (file.path == "data/isa.json") read(nlohmann::json::parse(file.text));
        }
        if (targets.empty()) throw std::logic_error("data/isa.json: not compiled into the library");
    }

    void read(const nlohmann::json& root) {
        const auto& versions = root.at("ptx_of_target");
        for (const auto& entry : root.at("targets")) {
            TableTarget target;
            target.name = entry.get<std::string>();
            const char* end = target.name.data() + target.name.size();
            const char* rest = std::from_chars(target.name.data() + 3, end, target.capability).ptr;
            if (rest != end) target.suffix = *rest;
            target.min_version = version_number(versions.at(targets.size()).get<std::string>());
            targets.push_back(std::move(target));
        }
        for (const auto& [name, form] : root.at("forms").items()) {
            const int version = form.at(1).is_null() ? 0 : version_number(form.at(1).get<std::string>());
            forms[name] = {mask_of(form.at(0).get<std::string>()), version};
        }
        for (const auto& rule : root.at("rules")) {
            rules[rule.at(0).get<std::string>()].push_back(
                {rule.at(1).get<std::vector<std::string>>(), mask_of(rule.at(2).get<std::string>())});
        }
    }

    static TargetMask mask_of(std::string_view row) {
        TargetMask mask = 0;
        for (std::size_t i = 0; i < row.size(); ++i) mask |= static_cast<TargetMask>(row[i] != '.') << i;
        return mask;
    }
};

const Table& table() {
    static const Table kTable;
    return kTable;
}

bool contains_in_order(std::span<const std::string_view> parts, std::span<const std::string> wanted) {
    std::size_t found = 0;
    for (const std::string_view part : parts) {
        if (found < wanted.size() && part == wanted[found]) ++found;
    }
    return found == wanted.size();
}

std::vector<std::string_view> split(std::string_view form) {
    std::vector<std::string_view> parts;
    for (std::size_t start = 0; start <= form.size();) {
        const std::size_t end = std::min(form.find('.', start), form.size());
        parts.push_back(form.substr(start, end - start));
        start = end + 1;
    }
    return parts;
}

TargetMask by_rules(const std::string& name) {
    TargetMask mask = (TargetMask{1} << table().targets.size()) - 1;
    const std::vector<std::string_view> parts = split(name);
    const auto apply = [&](std::string_view opcode) {
        const auto rules = table().rules.find(std::string(opcode));
        if (rules == table().rules.end()) return;
        for (const Rule& rule : rules->second) {
            if (contains_in_order(std::span(parts).subspan(1), rule.modifiers)) mask &= rule.targets;
        }
    };
    apply(parts[0]);
    if (const std::size_t slash = parts[0].find('/'); slash != parts[0].npos)
        apply(parts[0].substr(0, slash));
    return mask;
}

// By measurement where there is one.
Form form_named(const std::string& name) {
    const auto measured = table().forms.find(name);
    if (measured != table().forms.end()) return measured->second;
    return {by_rules(name), 0};
}

// "sm_90 or later", or a list.
std::string names_of(TargetMask mask) {
    const auto& targets = table().targets;
    std::string names;
    int first = 0;
    TargetMask later = 0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        if ((mask >> i & 1u) == 0) continue;
        if (first == 0) first = targets[i].capability;
        names += (names.empty() ? "" : ", ") + targets[i].name;
    }
    for (std::size_t i = 0; i < targets.size(); ++i) {
        later |= static_cast<TargetMask>(targets[i].capability >= first) << i;
    }
    if (names.empty()) return "a newer assembler: ptxas 13.0 has it for no target";
    return later == mask ? fmt::format("sm_{} or later", first) : names;
}

bool runs_on(const TableTarget& target, int compute_capability) {
    if (target.suffix == 'a') return target.capability == compute_capability;
    if (target.suffix == 'f' && target.capability / 10 != compute_capability / 10) return false;
    return target.capability <= compute_capability;
}

std::string version_text(int version) {
    return fmt::format("{}.{}", version / 10, version % 10);
}

}  // namespace

std::vector<std::string> measured_forms() {
    std::vector<std::string> names;
    for (const auto& entry : table().forms) names.push_back(entry.first);
    return names;
}

std::optional<u32> measured_targets(const std::string& form) {
    const auto found = table().forms.find(form);
    if (found == table().forms.end()) return {};
    return found->second.targets;
}

u32 targets_by_rule(const std::string& form) {
    return by_rules(form);
}

std::string canonical_form(const Statement& statement) {
    constexpr std::size_t kThreeInputs = 4;
    std::string form = statement.opcode;
    if ((form == "min" || form == "max") && statement.operands.size() == kThreeInputs) form += "/4";
    std::vector<std::string_view> types, others;
    for (const std::string& modifier : statement.modifiers) {
        (type_named(modifier) == Type::none ? others : types).push_back(modifier);
    }
    std::sort(others.begin(), others.end());
    for (const auto& list : {others, types}) {
        for (const std::string_view modifier : list) form.append(".").append(modifier);
    }
    return form;
}

Result<Legality> Legality::of(const Module& module, int compute_capability) {
    const std::string name = module.target.substr(0, module.target.find(','));
    const auto& targets = table().targets;
    const auto found = std::find_if(targets.begin(), targets.end(),
                                    [&](const TableTarget& target) { return target.name == name; });
    if (found == targets.end()) {
        return caller_error(fmt::format("not covered yet: PTX for {}; known are {} to {}", name,
                                        targets.front().name, targets.back().name));
    }
    if (!runs_on(*found, compute_capability)) {
        const char* where = found->suffix == 'a'   ? "runs on that GPU alone"
                            : found->suffix == 'f' ? "runs on its family alone"
                                                   : "runs on later GPUs";
        return caller_error(fmt::format("PTX for {} {}, not on compute capability {}", name, where,
                                        version_text(compute_capability)));
    }
    Legality legality;
    legality.target_ = name;
    legality.column_ = static_cast<int>(found - targets.begin());
    legality.version_ = 10 * module.version_major + module.version_minor;
    if (legality.version_ < found->min_version) {
        return caller_error(fmt::format("{} needs PTX {}, the text says {}", name,
                                        version_text(found->min_version), version_text(legality.version_)));
    }
    return legality;
}

Status Legality::check(const Statement& statement) const {
    const char* const illegal = finding_name(FindingKind::illegal_instruction);
    const auto check_form = [&](const std::string& name, const char* what) -> Status {
        const Form form = form_named(name);
        if ((form.targets >> column_ & 1u) == 0) {
            return caller_error(
                fmt::format("{}{} on {}: needs {}", what, illegal, target_, names_of(form.targets)));
        }
        if (version_ < form.min_version) {
            return caller_error(fmt::format("{}{} in PTX {}: needs PTX {}", what, illegal,
                                            version_text(version_), version_text(form.min_version)));
        }
        return {};
    };
    for (const Operand& operand : statement.operands) {
        if (operand.kind != Operand::Kind::special) continue;
        WW_TRY(check_form(operand.symbol, (operand.symbol + ": ").c_str()));
    }
    return check_form(canonical_form(statement), "");
}

}  // namespace warpwright::emulator
