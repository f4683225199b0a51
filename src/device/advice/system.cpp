// SPDX-License-Identifier: Apache-2.0
// Rules: what to look at in the machine and its environment.
#include <fmt/format.h>

#include "device/advice/machine_facts.h"
#include "device/variables.h"

namespace warpwright::advice {
namespace {

std::optional<Slots> nvlink_down(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) {
        return gpu.nvlink && gpu.nvlink->active > 0 && gpu.nvlink->inactive > 0;
    });
    if (gpus.empty()) return std::nullopt;
    const NvLinks& links = *gpus[0]->nvlink;
    return Slots{{"gpus", names_of(gpus)},
                 {"inactive", fmt::to_string(links.inactive)},
                 {"total", fmt::to_string(links.active + links.inactive)}};
}

std::optional<Slots> narrow_slot(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) {
        return gpu.pcie.width > 0 && gpu.pcie.width < gpu.pcie.max_width;
    });
    if (gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)},
                 {"width", fmt::to_string(gpus[0]->pcie.width)},
                 {"max_width", fmt::to_string(gpus[0]->pcie.max_width)}};
}

std::optional<Slots> below_default_power(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) {
        return gpu.power_limit_w && gpu.power_default_w && *gpu.power_limit_w < *gpu.power_default_w - 1;
    });
    if (gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)},
                 {"limit", fmt::format("{:.0f}", *gpus[0]->power_limit_w)},
                 {"default", fmt::format("{:.0f}", *gpus[0]->power_default_w)}};
}

std::optional<Slots> stay_near(const Machine& machine) {
    std::vector<std::string> nearest;
    for (const NumaNode& node : machine.numa) {
        const Gpus gpus = gpus_where(machine, [&](const GpuInfo& gpu) { return gpu.numa_node == node.node; });
        if (!gpus.empty()) nearest.push_back(fmt::format("{}: node {}", names_of(gpus), node.node));
    }
    if (machine.numa.size() < 2 || nearest.empty()) return std::nullopt;
    return Slots{{"nearest", fmt::format("{}", fmt::join(nearest, "; "))}};
}

std::optional<Slots> hidden_gpus(const Machine& machine) {
    const size_t seen = machine.gpus.size(), present = machine.nvidia_devices.size();
    if (seen == 0 || seen >= present) return std::nullopt;
    const std::string* visible = value_of(machine, "CUDA_VISIBLE_DEVICES");
    return Slots{
        {"seen", fmt::to_string(seen)},
        {"present", fmt::to_string(present)},
        {"variable", visible == nullptr ? "" : fmt::format(": CUDA_VISIBLE_DEVICES is \"{}\"", *visible)}};
}

std::optional<Slots> launches_wait(const Machine& machine) {
    for (const char* name : {"CUDA_LAUNCH_BLOCKING", "TRITON_INTERPRET"})
        if (is_set_to(machine, name, "1")) return Slots{{"variable", fmt::format("{}=1", name)}};
    return std::nullopt;
}

std::optional<Slots> choice_forced(const Machine& machine) {
    std::vector<std::string> forced;
    for (const SetVariable& set : machine.variables) {
        const KnownVariable* known = find_variable(set.name);
        const bool forces = known != nullptr && (known->kind == "kernels" || known->kind == "transport");
        if (forces) forced.push_back(fmt::format("{}={}", set.name, set.value));
    }
    if (forced.empty()) return std::nullopt;
    return Slots{{"variables", listed(forced)}};
}

constexpr RuleFunction kRules[] = {
    {"nvlink-down", nvlink_down},
    {"narrow-slot", narrow_slot},
    {"below-default-power", below_default_power},
    {"stay-near", stay_near},
    {"hidden-gpus", hidden_gpus},
    {"launches-wait", launches_wait},
    {"choice-forced", choice_forced},
};

}  // namespace

std::span<const RuleFunction> system_rules() {
    return kRules;
}

}  // namespace warpwright::advice
