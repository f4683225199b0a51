// SPDX-License-Identifier: Apache-2.0
#include "device/nvml.h"

#include <dlfcn.h>

#include <array>
#include <climits>
#include <iterator>

#include <fmt/format.h>

namespace warpwright {
namespace {

constexpr unsigned kMostLinks = 18;  // NVML_NVLINK_MAX_LINKS

// NVML calls that exist; false where the library lacks it or the GPU refuses.
template <class... Parameters, class... Arguments>
bool ask(NvmlResult (*function)(Parameters...), Arguments... arguments) {
    return function != nullptr && function(arguments...) == 0;
}

template <class Function>
void bind(void* library, const char* symbol, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, symbol));
}

void bind_all(void* library, NvmlApi& api) {
    bind(library, "nvmlInit_v2", api.nvmlInit);
    bind(library, "nvmlShutdown", api.nvmlShutdown);
    bind(library, "nvmlSystemGetDriverVersion", api.nvmlSystemGetDriverVersion);
    bind(library, "nvmlDeviceGetHandleByPciBusId_v2", api.nvmlDeviceGetHandleByPciBusId);
    bind(library, "nvmlDeviceGetCurrPcieLinkGeneration", api.nvmlDeviceGetCurrPcieLinkGeneration);
    bind(library, "nvmlDeviceGetCurrPcieLinkWidth", api.nvmlDeviceGetCurrPcieLinkWidth);
    bind(library, "nvmlDeviceGetMaxPcieLinkGeneration", api.nvmlDeviceGetMaxPcieLinkGeneration);
    bind(library, "nvmlDeviceGetMaxPcieLinkWidth", api.nvmlDeviceGetMaxPcieLinkWidth);
    bind(library, "nvmlDeviceGetMigMode", api.nvmlDeviceGetMigMode);
    bind(library, "nvmlDeviceGetEccMode", api.nvmlDeviceGetEccMode);
    bind(library, "nvmlDeviceGetBAR1MemoryInfo", api.nvmlDeviceGetBAR1MemoryInfo);
    bind(library, "nvmlDeviceGetEnforcedPowerLimit", api.nvmlDeviceGetEnforcedPowerLimit);
    bind(library, "nvmlDeviceGetPowerManagementDefaultLimit", api.nvmlDeviceGetPowerManagementDefaultLimit);
    bind(library, "nvmlDeviceGetMaxClockInfo", api.nvmlDeviceGetMaxClockInfo);
    bind(library, "nvmlDeviceGetCpuAffinity", api.nvmlDeviceGetCpuAffinity);
    bind(library, "nvmlDeviceGetMemoryAffinity", api.nvmlDeviceGetMemoryAffinity);
    bind(library, "nvmlDeviceGetNvLinkState", api.nvmlDeviceGetNvLinkState);
    bind(library, "nvmlDeviceGetNvLinkVersion", api.nvmlDeviceGetNvLinkVersion);
    bind(library, "nvmlDeviceGetNvLinkRemoteDeviceType", api.nvmlDeviceGetNvLinkRemoteDeviceType);
    bind(library, "nvmlDeviceGetNvLinkRemotePciInfo_v2", api.nvmlDeviceGetNvLinkRemotePciInfo);
    bind(library, "nvmlDeviceGetTopologyCommonAncestor", api.nvmlDeviceGetTopologyCommonAncestor);
    bind(library, "nvmlDeviceGetP2PStatus", api.nvmlDeviceGetP2PStatus);
}

NvmlDevice device_of(const NvmlApi& nvml, const GpuInfo& gpu) {
    NvmlDevice device = nullptr;
    return !gpu.pci.empty() && ask(nvml.nvmlDeviceGetHandleByPciBusId, gpu.pci.c_str(), &device) ? device
                                                                                                 : nullptr;
}

void read_pcie(const NvmlApi& nvml, NvmlDevice device, PcieLink& link) {
    const auto read = [&](auto function, int& field) {
        unsigned value = 0;
        if (field == 0 && ask(function, device, &value)) field = static_cast<int>(value);
    };
    read(nvml.nvmlDeviceGetCurrPcieLinkGeneration, link.generation);
    read(nvml.nvmlDeviceGetCurrPcieLinkWidth, link.width);
    read(nvml.nvmlDeviceGetMaxPcieLinkGeneration, link.max_generation);
    read(nvml.nvmlDeviceGetMaxPcieLinkWidth, link.max_width);
}

// "0-3,8" of a set of bits.
template <size_t N>
std::string list_of(const std::array<unsigned long, N>& set) {
    constexpr size_t kBits = sizeof(unsigned long) * CHAR_BIT;
    const auto has = [&](size_t bit) {
        return bit < N * kBits && (set[bit / kBits] >> bit % kBits & 1) != 0;
    };
    std::string list;
    for (size_t bit = 0; bit < N * kBits; ++bit) {
        if (!has(bit)) continue;
        size_t last = bit;
        while (has(last + 1)) ++last;
        list += fmt::format("{}{}", list.empty() ? "" : ",", bit);
        if (last > bit) list += fmt::format("-{}", last);
        bit = last;
    }
    return list;
}

void read_affinity(const NvmlApi& nvml, NvmlDevice device, GpuInfo& gpu) {
    std::array<unsigned long, 16> cpus{};
    if (gpu.cpus.empty() && ask(nvml.nvmlDeviceGetCpuAffinity, device, unsigned{cpus.size()}, cpus.data()))
        gpu.cpus = list_of(cpus);
    std::array<unsigned long, 1> nodes{};
    constexpr int kScopeNode = 0;
    if (!gpu.numa_node &&
        ask(nvml.nvmlDeviceGetMemoryAffinity, device, unsigned{nodes.size()}, nodes.data(), kScopeNode) &&
        nodes[0] != 0)
        gpu.numa_node = __builtin_ctzl(nodes[0]);
}

// NVML numbers the revisions of NVLink: 1.0, 2.0, 2.2, 3.0, 3.1, 4.0, 5.0 are 1 to 7. An H200 says 6.
int nvlink_version(unsigned revision) {
    constexpr int kVersions[] = {0, 1, 2, 2, 3, 3, 4, 5};
    return revision < std::size(kVersions) ? kVersions[revision] : 0;
}

// Of one link, both directions, nominal: NVLink 1 has 20 GB/s each way, 2 to 4 have 25, 5 has 50.
double link_gb_s(int version) {
    constexpr double kBoth[] = {0, 40, 50, 50, 50, 100};
    return kBoth[version];
}

std::optional<NvLinks> read_nvlink(const NvmlApi& nvml, NvmlDevice device) {
    constexpr int kGpu = 0, kNpu = 1, kSwitch = 2;
    NvLinks links;
    for (unsigned link = 0; link < kMostLinks; ++link) {
        unsigned active = 0, revision = 0;
        if (!ask(nvml.nvmlDeviceGetNvLinkState, device, link, &active)) continue;
        ++(active != 0 ? links.active : links.inactive);
        if (active == 0) continue;
        if (ask(nvml.nvmlDeviceGetNvLinkVersion, device, link, &revision)) {
            links.version = nvlink_version(revision);
            links.gb_s += link_gb_s(links.version);
        }
        int type = -1;
        if (!ask(nvml.nvmlDeviceGetNvLinkRemoteDeviceType, device, link, &type)) continue;
        if (type == kGpu) links.to = "gpu";
        if (type == kNpu) links.to = "cpu";
        if (type == kSwitch) links.to = "switch";
    }
    if (links.active + links.inactive == 0) return std::nullopt;
    return links;
}

void read_device(const NvmlApi& nvml, NvmlDevice device, GpuInfo& gpu) {
    read_pcie(nvml, device, gpu.pcie);
    read_affinity(nvml, device, gpu);
    gpu.nvlink = read_nvlink(nvml, device);
    unsigned current = 0, pending = 0;
    if (ask(nvml.nvmlDeviceGetMigMode, device, &current, &pending)) gpu.mig = current != 0;
    if (ask(nvml.nvmlDeviceGetEccMode, device, &current, &pending)) gpu.ecc = current != 0;
    NvmlBar1Memory bar1{};
    if (ask(nvml.nvmlDeviceGetBAR1MemoryInfo, device, &bar1)) gpu.bar1_bytes = static_cast<i64>(bar1.total);
    unsigned value = 0;
    if (ask(nvml.nvmlDeviceGetEnforcedPowerLimit, device, &value)) gpu.power_limit_w = value / 1e3;
    if (ask(nvml.nvmlDeviceGetPowerManagementDefaultLimit, device, &value)) gpu.power_default_w = value / 1e3;
    constexpr int kSmClock = 1, kMemoryClock = 2;
    if (ask(nvml.nvmlDeviceGetMaxClockInfo, device, kSmClock, &value))
        gpu.max_sm_mhz = static_cast<int>(value);
    if (ask(nvml.nvmlDeviceGetMaxClockInfo, device, kMemoryClock, &value))
        gpu.max_memory_mhz = static_cast<int>(value);
}

std::string distance_name(int level) {
    switch (level) {
        case 10: return "PIX";
        case 20: return "PXB";
        case 30: return "PHB";
        case 40: return "NODE";
        case 50: return "SYS";
        default: return {};
    }
}

std::string p2p_status_name(int status) {
    constexpr const char* kNames[] = {"ok",
                                      "chipset not supported",
                                      "gpu not supported",
                                      "topology not supported",
                                      "disabled by registry",
                                      "not supported",
                                      "unknown"};
    return status >= 0 && status < 7 ? kNames[status] : "unknown";
}

// Of the links that lead straight to the GPU at this PCI address, both directions.
double direct_gb_s(const NvmlApi& nvml, NvmlDevice device, const std::string& pci) {
    double gb_s = 0;
    for (unsigned link = 0; link < kMostLinks; ++link) {
        unsigned active = 0, revision = 0;
        NvmlPciInfo remote{};
        if (!ask(nvml.nvmlDeviceGetNvLinkState, device, link, &active) || active == 0 ||
            !ask(nvml.nvmlDeviceGetNvLinkRemotePciInfo, device, link, &remote) ||
            fmt::format("{:04x}:{:02x}:{:02x}.0", remote.domain, remote.bus, remote.device) != pci ||
            !ask(nvml.nvmlDeviceGetNvLinkVersion, device, link, &revision))
            continue;
        gb_s += link_gb_s(nvlink_version(revision));
    }
    return gb_s;
}

void read_pair(const NvmlApi& nvml, NvmlDevice from, NvmlDevice to, const Machine& machine, PeerPath& path) {
    int level = 0, status = 0;
    if (ask(nvml.nvmlDeviceGetTopologyCommonAncestor, from, to, &level)) path.distance = distance_name(level);
    constexpr int kRead = 0;
    if (ask(nvml.nvmlDeviceGetP2PStatus, from, to, kRead, &status)) path.status = p2p_status_name(status);
    const auto& links = machine.gpus[static_cast<size_t>(path.from)].nvlink;
    if (path.link != "nvlink" || !links) return;
    // Through a switch all links lead to every GPU.
    path.gb_s = links->to == "switch"
                    ? links->gb_s
                    : direct_gb_s(nvml, from, machine.gpus[static_cast<size_t>(path.to)].pci);
}

}  // namespace

Result<std::unique_ptr<const NvmlApi>> load_nvml(const char* library) {
    void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        const char* reason = dlerror();
        return unavailable(fmt::format("nvml: looked for {}, found none ({})", library,
                                       reason == nullptr ? "no reason given" : reason));
    }
    auto api = std::make_unique<NvmlApi>();
    api->library = library;
    bind_all(handle, *api);
    if (api->nvmlInit == nullptr) return unavailable(fmt::format("nvml: {} has no nvmlInit_v2", library));
    if (const NvmlResult result = api->nvmlInit(); result != 0)
        return unavailable(fmt::format("nvml: nvmlInit: error {}", result));
    return std::unique_ptr<const NvmlApi>(std::move(api));
}

void add_nvml_facts(const NvmlApi& nvml, Machine& machine) {
    std::array<char, 96> version{};
    machine.nvml = nvml.library;
    if (ask(nvml.nvmlSystemGetDriverVersion, version.data(), unsigned{version.size() - 1})) {
        machine.nvml += fmt::format(" ({})", version.data());
        if (machine.driver_release.empty()) machine.driver_release = version.data();
    }
    std::vector<NvmlDevice> devices;
    for (GpuInfo& gpu : machine.gpus) {
        devices.push_back(device_of(nvml, gpu));
        if (devices.back() != nullptr) read_device(nvml, devices.back(), gpu);
    }
    for (PeerPath& path : machine.peers) {
        NvmlDevice from = devices[static_cast<size_t>(path.from)];
        NvmlDevice to = devices[static_cast<size_t>(path.to)];
        if (from != nullptr && to != nullptr) read_pair(nvml, from, to, machine, path);
    }
}

}  // namespace warpwright
