// SPDX-License-Identifier: Apache-2.0
// Rules: how to spread a model over the GPUs here.
#include <set>

#include <fmt/format.h>

#include "device/advice/machine_facts.h"

namespace warpwright::advice {
namespace {

std::string count_of(const Machine& machine) {
    return fmt::to_string(machine.gpus.size());
}

// "both", "all 8".
std::string all_of(const Machine& machine) {
    return machine.gpus.size() == 2 ? "both" : "all " + count_of(machine);
}

std::optional<Slots> one_gpu(const Machine& machine) {
    if (machine.gpus.size() != 1) return std::nullopt;
    return Slots{};
}

std::optional<Slots> tensor_parallel_over_nvlink(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    if (!pairs.every(pairs.nvlink)) return std::nullopt;
    return Slots{{"all", all_of(machine)}};
}

std::optional<Slots> tensor_parallel_over_pcie(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    if (!pairs.every(pairs.access) || pairs.nvlink > 0) return std::nullopt;
    return Slots{{"all", all_of(machine)}};
}

std::optional<Slots> pipeline_without_peer_access(const Machine& machine) {
    if (machine.gpus.size() < 2 || pairs_of(machine).access > 0) return std::nullopt;
    return Slots{};
}

// GPUs that NVLink joins, each group in the order of its first GPU.
std::vector<Gpus> islands_of(const Machine& machine) {
    std::vector<size_t> island(machine.gpus.size());
    for (size_t i = 0; i < island.size(); ++i) island[i] = i;
    for (const PeerPath& path : machine.peers) {
        if (path.link != "nvlink") continue;
        const size_t from = island[static_cast<size_t>(path.from)];
        const size_t to = island[static_cast<size_t>(path.to)];
        std::ranges::replace(island, std::max(from, to), std::min(from, to));
    }
    std::vector<Gpus> islands(island.size());
    for (size_t i = 0; i < island.size(); ++i) islands[island[i]].push_back(&machine.gpus[i]);
    std::erase_if(islands, [](const Gpus& gpus) { return gpus.size() < 2; });
    return islands;
}

std::optional<Slots> nvlink_islands(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    if (pairs.nvlink == 0 || pairs.every(pairs.nvlink)) return std::nullopt;
    std::string text;
    for (const Gpus& gpus : islands_of(machine)) text += (text.empty() ? "" : "; ") + names_of(gpus);
    return Slots{{"islands", text}};
}

// GPUs that a token goes to when k of its experts, spread evenly over the ranks, are drawn at random.
double expected_ranks(double ranks, int experts = 256, int k = 8) {
    double misses = 1;  // that none of the k is on a given rank
    for (int i = 0; i < k; ++i) misses *= (experts - experts / ranks - i) / (experts - i);
    return ranks * (1 - misses);
}

std::optional<Slots> expert_parallel_of_few(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    if (!pairs.every(pairs.access) || machine.gpus.size() > 4) return std::nullopt;
    return Slots{{"count", count_of(machine)},
                 {"ranks", fmt::format("{:.2f}", expected_ranks(static_cast<double>(machine.gpus.size())))}};
}

std::optional<Slots> expert_parallel_of_many(const Machine& machine) {
    const Pairs pairs = pairs_of(machine);
    const auto count = static_cast<double>(machine.gpus.size());
    if (!pairs.every(pairs.nvlink) || count < 8) return std::nullopt;
    return Slots{{"count", count_of(machine)},
                 {"ranks", fmt::format("{:.2f}", expected_ranks(count))},
                 {"factor", fmt::format("{:.1f}", count / expected_ranks(count))}};
}

std::optional<Slots> unequal_gpus(const Machine& machine) {
    std::vector<std::string> models;
    for (const GpuInfo& gpu : machine.gpus)
        if (std::ranges::find(models, gpu.target.id) == models.end()) models.push_back(gpu.target.id);
    if (models.size() < 2) return std::nullopt;
    return Slots{{"models", listed(models)}};
}

std::optional<Slots> sockets_apart(const Machine& machine) {
    std::set<int> nodes;
    for (const PeerPath& path : machine.peers) {
        const auto from = machine.gpus[static_cast<size_t>(path.from)].numa_node;
        const auto to = machine.gpus[static_cast<size_t>(path.to)].numa_node;
        if (path.link != "nvlink" && from && to && *from != *to) nodes.insert({*from, *to});
    }
    if (nodes.empty()) return std::nullopt;
    std::vector<std::string> names;
    for (const int node : nodes) names.push_back(fmt::to_string(node));
    return Slots{{"nodes", listed(names)}};
}

constexpr RuleFunction kRules[] = {
    {"one-gpu", one_gpu},
    {"tensor-parallel-over-nvlink", tensor_parallel_over_nvlink},
    {"tensor-parallel-over-pcie", tensor_parallel_over_pcie},
    {"pipeline-without-peer-access", pipeline_without_peer_access},
    {"nvlink-islands", nvlink_islands},
    {"expert-parallel-of-few", expert_parallel_of_few},
    {"expert-parallel-of-many", expert_parallel_of_many},
    {"unequal-gpus", unequal_gpus},
    {"sockets-apart", sockets_apart},
};

}  // namespace

std::span<const RuleFunction> parallelism_rules() {
    return kRules;
}

}  // namespace warpwright::advice
