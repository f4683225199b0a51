// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "device/advice.h"
#include "device/variables.h"
#include "inspect/container/printable.h"
#include "inspect/wrapped.h"

namespace warpwright::cli {
namespace {

using inspect::printable;

constexpr size_t kColumns = 110;

double gib(i64 bytes) {
    return static_cast<double>(bytes) / (1 << 30);
}

void print_wrapped(const std::string& label, std::string_view text) {
    fmt::print("{}", inspect::wrapped(label, text, kColumns));
}

void print_item(std::string_view label, const std::string& text) {
    if (!text.empty()) print_wrapped(fmt::format("{:<9}", label), printable(text));
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts)
        if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
    return text;
}

void print_host(const Machine& m) {
    print_item("CPU",
               fmt::format("{}, {} cores, {:.1f} GiB ({:.1f} free), {}", m.host.model, m.host.num_cores,
                           gib(m.host.memory_bytes), gib(m.host.free_bytes), m.host.simd));
    const std::string machine = m.system.virtual_machine.value_or(false) ? "virtual machine" : "";
    print_item("system", joined({m.system.product, m.system.architecture,
                                 m.system.kernel.empty() ? "" : "Linux " + m.system.kernel, machine,
                                 m.system.container.empty() ? "" : "in " + m.system.container}));
    for (const NumaNode& node : m.numa) {
        if (m.numa.size() > 1)
            print_item("NUMA",
                       fmt::format("{}: CPUs {}, {:.1f} GiB", node.node, node.cpus, gib(node.memory_bytes)));
    }
    std::vector<std::string> iommu;
    if (!m.system.iommu_units.empty()) iommu.push_back(fmt::format("{} units", m.system.iommu_units.size()));
    if (!m.system.parameters.empty()) iommu.push_back(fmt::format("{}", fmt::join(m.system.parameters, " ")));
    print_item("IOMMU", joined(iommu));
}

void print_driver(const Machine& m) {
    if (!m.cuda_problem.empty()) return print_item("driver", m.cuda_problem);
    print_item("driver",
               joined({fmt::format("{} (CUDA {})", m.driver_release, m.driver_version),
                       m.newest_ptx.empty() ? "" : "PTX up to " + m.newest_ptx, m.nvml, m.nvml_problem}));
}

std::string pcie_text(const PcieLink& link) {
    if (link.width == 0) return {};
    std::string text = fmt::format("PCIe {}.0 x{}", link.generation, link.width);
    if (link.generation != link.max_generation || link.width != link.max_width)
        text += fmt::format(" of {}.0 x{}", link.max_generation, link.max_width);
    return text;
}

std::string nvlink_text(const GpuInfo& gpu) {
    if (!gpu.nvlink || gpu.nvlink->active + gpu.nvlink->inactive == 0) return {};
    const NvLinks& links = *gpu.nvlink;
    if (links.active == 0) return "NVLink without a link that is up";
    return fmt::format("NVLink {} with {} of {} links{}{}", links.version, links.active,
                       links.active + links.inactive, links.to.empty() ? "" : " to a " + links.to,
                       links.gb_s > 0 ? fmt::format(" ({:.0f} GB/s)", links.gb_s) : "");
}

// "on" and "off" where it is told, nothing where it is not.
std::string switched(const char* what, const std::optional<bool>& value) {
    return value ? fmt::format("{} {}", what, *value ? "on" : "off") : std::string{};
}

std::string model_text(const GpuInfo& gpu) {
    const TargetFacts& f = gpu.target.facts;
    return joined(
        {fmt::format("{} = {}", gpu.name, gpu.target.id),
         fmt::format("compute capability {}.{}", f.compute_capability / 10, f.compute_capability % 10),
         fmt::format("{} SMs", f.num_sms),
         fmt::format("{:.1f} GiB{}", gib(f.memory_bytes), gpu.integrated ? " unified" : ""),
         fmt::format("{} KiB shared per block", f.shared_per_block_bytes / 1024),
         fmt::format("{} MiB L2", f.l2_bytes >> 20)});
}

std::string place_text(const GpuInfo& gpu) {
    const auto number = [](const auto& value, const char* format) {
        return value ? fmt::format(fmt::runtime(format), *value) : std::string{};
    };
    return joined({gpu.pci, pcie_text(gpu.pcie), nvlink_text(gpu), number(gpu.numa_node, "NUMA node {}"),
                   gpu.cpus.empty() ? "" : "CPUs " + gpu.cpus, gpu.iommu.empty() ? "" : "IOMMU " + gpu.iommu,
                   switched("multicast", gpu.multicast), switched("ECC", gpu.ecc), switched("MIG", gpu.mig),
                   gpu.bar1_bytes ? fmt::format("BAR1 {:.1f} GiB", gib(*gpu.bar1_bytes)) : "",
                   number(gpu.power_limit_w, "{:.0f} W"), number(gpu.max_sm_mhz, "{} MHz")});
}

// What is the same as of the GPU before is not said again.
void print_gpus(const std::vector<GpuInfo>& gpus) {
    std::string model;
    for (const GpuInfo& gpu : gpus) {
        const bool same = model_text(gpu) == model;
        model = model_text(gpu);
        print_item(gpu.id, same ? "the same" : model);
        print_item("", place_text(gpu));
    }
}

std::string path_text(const PeerPath& path) {
    return joined({path.access ? path.link : "no access", path.native_atomics ? "remote atomics" : "",
                   path.distance, path.gb_s > 0 ? fmt::format("{:.0f} GB/s", path.gb_s) : "",
                   path.access || path.status == "ok" ? "" : path.status});
}

// Pairs of which the same is said, in one line.
void print_peers(const Machine& m) {
    std::vector<std::pair<std::string, std::vector<std::string>>> groups;
    for (const PeerPath& path : m.peers) {
        const std::string text = path_text(path);
        const auto same = std::ranges::find(groups, text, [](const auto& group) { return group.first; });
        auto& pairs = same != groups.end() ? same->second
                                           : groups.emplace_back(text, std::vector<std::string>{}).second;
        pairs.push_back(fmt::format("{} -> {}", path.from, path.to));
    }
    for (const auto& [text, pairs] : groups) {
        const bool all = groups.size() == 1 && pairs.size() > 2;
        print_item("peers", fmt::format("{}: {}",
                                        all ? fmt::format("all {} pairs", pairs.size())
                                            : fmt::format("{}", fmt::join(pairs, ", ")),
                                        text));
    }
}

void print_devices(const Machine& m) {
    for (const PciBridge& bridge : m.bridges) {
        const char* acs = !bridge.acs_redirect   ? "ACS not readable"
                          : *bridge.acs_redirect ? "ACS redirects"
                                                 : "";
        print_item("bridge", *acs == '\0' ? "" : fmt::format("{}: {}", bridge.pci, acs));
    }
    for (const NetworkCard& card : m.network)
        print_item("network", joined({card.name, card.kind, card.rate, card.active ? "up" : "down",
                                      card.numa_node ? fmt::format("NUMA node {}", *card.numa_node) : ""}));
}

void print_software(const Machine& m) {
    for (const ToolkitInfo& toolkit : m.toolkits)
        print_item("toolkit", fmt::format("{} ({}){}", toolkit.path,
                                          toolkit.version.empty() ? "version not told" : toolkit.version,
                                          toolkit.has_nvcc ? "" : ", no nvcc"));
    for (const NvrtcInfo& nvrtc : m.nvrtc)
        print_item("NVRTC",
                   nvrtc.path + (nvrtc.problem.empty() ? fmt::format(" ({}.{})", nvrtc.major, nvrtc.minor)
                                                       : ": " + nvrtc.problem));
    if (m.nvrtc.empty()) print_item("NVRTC", "none found");
    print_item("pack", m.pack);
    for (const PackageInfo& package : m.packages) {
        std::vector<std::string> parts = {package.name +
                                          (package.version.empty() ? "" : " " + package.version)};
        for (const PackageVerdict& verdict : package.verdicts) {
            parts.push_back(fmt::format(
                "{} on {}{}", verdict.runs, verdict.target,
                verdict.num_bad == 0
                    ? ""
                    : fmt::format(" (nothing in {} of {} files)", verdict.num_bad, verdict.num_files)));
        }
        print_item("package", joined(parts));
    }
    for (const SetVariable& set : m.variables) {
        const KnownVariable* known = find_variable(set.name);
        print_item("set",
                   fmt::format("{}={}{}", set.name, set.value,
                               known == nullptr ? "" : fmt::format("  ({}: {})", known->of, known->does)));
    }
}

void print_advice(const Machine& m) {
    std::string topic;
    for (const Advice& advice : advice_for(m)) {
        if (advice.rule->topic != topic) {
            topic = advice.rule->topic;
            fmt::print("\n{}\n", topic);
        }
        print_wrapped(fmt::format("  {:<7}", advice.rule->weight == "fact" ? "so" : advice.rule->weight),
                      fmt::format("{} [{}]", printable(advice.text), advice.rule->id));
    }
    fmt::print("\nrules in brackets: data/advice.toml and --json have their conditions and sources\n");
}

}  // namespace

void print_machine(const Machine& m) {
    if (m.origin != "probed") print_item("origin", m.origin);
    print_host(m);
    print_driver(m);
    print_gpus(m.gpus);
    print_peers(m);
    print_devices(m);
    print_software(m);
    print_advice(m);
}

void print_known_variables(const Machine& m) {
    std::string of;
    for (const KnownVariable& variable : known_variables()) {
        if (variable.of != of) fmt::print("\n{}\n", of = variable.of);
        const auto set = std::ranges::find(m.variables, variable.name, &SetVariable::name);
        const std::string value = set == m.variables.end() ? "" : "=" + printable(set->value);
        print_wrapped("  ", fmt::format("{}{} ({}): {}", variable.name, value, variable.kind, variable.does));
    }
}

}  // namespace warpwright::cli
