// SPDX-License-Identifier: Apache-2.0
// Rules: how the GPUs here exchange data, and what stands in the way.
#include <fmt/format.h>

#include "device/advice/machine_facts.h"

namespace warpwright::advice {
namespace {

bool reach_over_pcie(const Machine& machine) {
    return std::ranges::any_of(machine.peers, [](const PeerPath& path) { return path.link == "pcie"; });
}

std::optional<Slots> one_shot_at_two(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    if (machine.gpus.size() != 2 || !pairs.every(pairs.access)) return std::nullopt;
    return Slots{};
}

std::optional<Slots> no_peer_access_geforce(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, is_geforce);
    if (gpus.size() < 2 || pairs_of(machine).access > 0) return std::nullopt;
    return when_any(gpus);
}

std::optional<Slots> peer_access_missing(const Machine& machine) {
    std::vector<std::string> pairs;
    std::string status;
    for (const PeerPath& path : machine.peers) {
        const GpuInfo& from = machine.gpus[static_cast<size_t>(path.from)];
        const GpuInfo& to = machine.gpus[static_cast<size_t>(path.to)];
        const auto should_reach = [](const GpuInfo& gpu) {
            return !is_geforce(gpu) && !gpu.mig.value_or(false) && !gpu.integrated;
        };
        if (path.access || path.from > path.to || !should_reach(from) || !should_reach(to)) continue;
        pairs.push_back(fmt::format("{} and {}", from.id, to.id));
        if (status.empty() && !path.status.empty() && path.status != "ok")
            status = fmt::format(" ({})", path.status);
    }
    if (pairs.empty()) return std::nullopt;
    constexpr size_t kShown = 3;
    std::string text =
        fmt::format("{}", fmt::join(pairs.begin(), pairs.begin() + std::min(kShown, pairs.size()), "; "));
    if (pairs.size() > kShown) text += fmt::format("; and {} more pairs", pairs.size() - kShown);
    return Slots{{"pairs", text}, {"status", status}};
}

std::optional<Slots> no_remote_atomics(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    if (pairs.access == 0 || pairs.atomics >= pairs.access) return std::nullopt;
    return Slots{};
}

std::optional<Slots> acs_redirects(const Machine& machine) {
    if (!meets_over_pcie(machine)) return std::nullopt;
    std::vector<std::string> bridges;
    for (const PciBridge& bridge : machine.bridges)
        if (bridge.acs_redirect.value_or(false)) bridges.push_back(bridge.pci);
    if (bridges.empty()) return std::nullopt;
    return Slots{{"bridges", listed(bridges)}};
}

std::optional<Slots> iommu_translates(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) { return gpu.iommu == "translated"; });
    if (!meets_over_pcie(machine) || gpus.empty()) return std::nullopt;
    const std::vector<std::string>& words = machine.system.parameters;
    return Slots{{"gpus", names_of(gpus)},
                 {"parameters", words.empty() ? "" : fmt::format(" ({})", fmt::join(words, " "))}};
}

std::optional<Slots> acs_unread(const Machine& machine) {
    const bool unread =
        std::ranges::any_of(machine.bridges, [](const PciBridge& bridge) { return !bridge.acs_redirect; });
    if (!meets_over_pcie(machine) || !unread) return std::nullopt;
    return Slots{};
}

std::optional<Slots> window_smaller_than_memory(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) {
        return gpu.bar1_bytes && *gpu.bar1_bytes > 0 && *gpu.bar1_bytes < gpu.target.facts.memory_bytes;
    });
    if (!meets_over_pcie(machine) || gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)},
                 {"bar1", gib_text(*gpus[0]->bar1_bytes)},
                 {"memory", gib_text(gpus[0]->target.facts.memory_bytes)}};
}

std::optional<Slots> no_custom_all_reduce(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    if (machine.gpus.size() < 3 || pairs.every(pairs.nvlink)) return std::nullopt;
    return Slots{};
}

std::optional<Slots> nccl_level(const Machine& machine) {
    if (value_of(machine, "NCCL_P2P_LEVEL") != nullptr) return std::nullopt;
    const auto crosses = [&](std::string_view distance) {
        return std::ranges::any_of(machine.peers, [&](const PeerPath& path) {
            return path.link == "pcie" && path.distance == distance;
        });
    };
    if (crosses("SYS")) return Slots{{"distance", "between sockets (SYS)"}};
    if (crosses("NODE")) return Slots{{"distance", "several host bridges (NODE)"}};
    if (crosses("PHB")) return Slots{{"distance", "a host bridge (PHB)"}};
    return std::nullopt;
}

std::optional<Slots> nccl_symmetric_kernels(const Machine& machine) {
    if (!reach_over_pcie(machine)) return std::nullopt;
    return Slots{};
}

std::optional<Slots> multicast(const Machine& machine) {
    const bool all = std::ranges::all_of(machine.gpus, [](const GpuInfo& gpu) {
        return gpu.multicast.value_or(false) && gpu.nvlink && gpu.nvlink->to == "switch";
    });
    if (machine.gpus.size() < 2 || !all) return std::nullopt;
    return Slots{};
}

std::optional<Slots> no_multicast(const Machine& machine) {
    if (machine.gpus.size() < 2) return std::nullopt;
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return gpu.multicast == false; }));
}

std::optional<Slots> no_rdma(const Machine& machine) {
    const bool has = std::ranges::any_of(machine.network, &NetworkCard::active);
    if (machine.gpus.size() < 2 || has) return std::nullopt;
    return Slots{};
}

std::optional<Slots> spark_pair(const Machine& machine) {
    const Gpus gpus =
        gpus_where(machine, [](const GpuInfo& gpu) { return capability_of(gpu) == 121 && gpu.integrated; });
    const auto card = std::ranges::find_if(machine.network, &NetworkCard::active);
    if (gpus.empty() || card == machine.network.end()) return std::nullopt;
    return Slots{{"card", card->name}, {"rate", card->rate}};
}

std::optional<Slots> peer_access_switched_off(const Machine& machine) {
    if (pairs_of(machine).access == 0) return std::nullopt;
    for (const auto& [name, value] :
         {std::pair{"NCCL_P2P_DISABLE", "1"}, {"NCCL_P2P_LEVEL", "LOC"}, {"NVSHMEM_DISABLE_P2P", "1"}}) {
        if (is_set_to(machine, name, value)) return Slots{{"variable", fmt::format("{}={}", name, value)}};
    }
    return std::nullopt;
}

constexpr RuleFunction kRules[] = {
    {"one-shot-at-two", one_shot_at_two},
    {"no-peer-access-geforce", no_peer_access_geforce},
    {"peer-access-missing", peer_access_missing},
    {"no-remote-atomics", no_remote_atomics},
    {"acs-redirects", acs_redirects},
    {"iommu-translates", iommu_translates},
    {"acs-unread", acs_unread},
    {"window-smaller-than-memory", window_smaller_than_memory},
    {"no-custom-all-reduce", no_custom_all_reduce},
    {"nccl-level", nccl_level},
    {"nccl-symmetric-kernels", nccl_symmetric_kernels},
    {"multicast", multicast},
    {"no-multicast", no_multicast},
    {"no-rdma", no_rdma},
    {"spark-pair", spark_pair},
    {"peer-access-switched-off", peer_access_switched_off},
};

}  // namespace

std::span<const RuleFunction> transport_rules() {
    return kRules;
}

}  // namespace warpwright::advice
