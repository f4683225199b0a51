// SPDX-License-Identifier: Apache-2.0
#include "device/advice/machine_facts.h"

#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

namespace warpwright::advice {

std::string listed(const std::vector<std::string>& texts) {
    std::string list;
    for (size_t i = 0; i < texts.size(); ++i) {
        if (i > 0) list += i + 1 == texts.size() ? " and " : ", ";
        list += texts[i];
    }
    return list;
}

std::string names_of(const Gpus& gpus) {
    std::vector<std::string> names;
    for (const GpuInfo* gpu : gpus) names.push_back(gpu->id);
    const auto follows = [&](size_t i) {
        const std::string& id = gpus[i]->id;
        return id == fmt::format("cuda:{}", i + std::strtoul(gpus[0]->id.c_str() + 5, nullptr, 10));
    };
    bool consecutive = gpus.size() > 2;
    for (size_t i = 0; consecutive && i < gpus.size(); ++i)
        consecutive = gpus[i]->id.starts_with("cuda:") && follows(i);
    return consecutive ? fmt::format("{} to {}", names.front(), names.back()) : listed(names);
}

std::optional<Slots> when_any(const Gpus& gpus) {
    if (gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)}};
}

bool is_geforce(const GpuInfo& gpu) {
    return gpu.name.find("GeForce") != std::string::npos;
}

Pairs pairs_of(const Machine& machine) {
    Pairs pairs;
    for (const PeerPath& path : machine.peers) {
        ++pairs.all;
        pairs.access += path.access ? 1 : 0;
        pairs.atomics += path.native_atomics ? 1 : 0;
        pairs.nvlink += path.link == "nvlink" ? 1 : 0;
    }
    return pairs;
}

bool meets_over_pcie(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    const bool kept_apart = pairs.access == 0 && std::ranges::all_of(machine.gpus, is_geforce);
    return machine.gpus.size() > 1 && !pairs.every(pairs.nvlink) && !kept_apart;
}

const std::string* value_of(const Machine& machine, std::string_view name) {
    const auto found = std::ranges::find(machine.variables, name, &SetVariable::name);
    return found == machine.variables.end() ? nullptr : &found->value;
}

bool is_set_to(const Machine& machine, std::string_view name, std::string_view value) {
    const std::string* found = value_of(machine, name);
    return found != nullptr && *found == value;
}

int version_number(std::string_view version) {
    int major = 0, minor = 0;
    const char* end = version.data() + version.size();
    const auto [dot, error] = std::from_chars(version.data(), end, major);
    if (error != std::errc() || major < 0 || major > 10000) return 0;
    if (dot != end && *dot == '.') std::from_chars(dot + 1, end, minor);
    return 100 * major + std::clamp(minor, 0, 99);
}

std::string gib_text(i64 bytes) {
    return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

}  // namespace warpwright::advice
