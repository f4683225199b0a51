// SPDX-License-Identifier: Apache-2.0
#include "device/sysfs.h"

#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "device/folder_entries.h"

namespace warpwright {
namespace {

namespace fs = std::filesystem;

// The file's first line without the blanks around it; empty when there is none.
std::string line_of(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    const auto first = line.find_first_not_of(" \t");
    if (first == std::string::npos) return {};
    return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

std::optional<int> number_of(const fs::path& path) {
    const std::string line = line_of(path);
    int value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    return error == std::errc() && end != line.data() ? std::optional(value) : std::nullopt;
}

std::optional<int> numa_node_of(const fs::path& device) {
    const auto node = number_of(device / "numa_node");
    return node && *node >= 0 ? node : std::nullopt;  // -1: the firmware does not tell
}

std::string name_of_link(const fs::path& path) {
    std::error_code error;
    return fs::read_symlink(path, error).filename().string();
}

// "32.0 GT/s PCIe" -> 5.
int generation_of(const std::string& speed) {
    constexpr std::pair<std::string_view, int> kSpeeds[] = {
        {"2.5 ", 1}, {"5.0 ", 2},  {"5 ", 2},  {"8.0 ", 3},  {"8 ", 3}, {"16.0 ", 4},
        {"16 ", 4},  {"32.0 ", 5}, {"32 ", 5}, {"64.0 ", 6}, {"64 ", 6}};
    for (const auto& [text, generation] : kSpeeds)
        if (speed.starts_with(text)) return generation;
    return 0;
}

void read_pcie(const fs::path& device, PcieLink& link) {
    link.generation = generation_of(line_of(device / "current_link_speed"));
    link.max_generation = generation_of(line_of(device / "max_link_speed"));
    // 63 lanes are what the kernel reports of a link that it cannot read.
    const auto lanes = [&](const char* file) {
        const int width = number_of(device / file).value_or(0);
        return width > 0 && width <= 32 ? width : 0;
    };
    link.width = lanes("current_link_width");
    link.max_width = lanes("max_link_width");
}

// Addresses between the root and the device, outermost first.
std::vector<std::string> bridges_above(const fs::path& device) {
    std::error_code error;
    std::vector<std::string> bridges;
    for (const fs::path& part : fs::read_symlink(device, error)) {
        const std::string name = part.string();
        if (name.size() == 12 && name[4] == ':' && name[7] == ':' && name[10] == '.') bridges.push_back(name);
    }
    if (!bridges.empty()) bridges.pop_back();  // the device itself
    return bridges;
}

void add_bridge(const fs::path& devices, const std::string& pci, std::vector<PciBridge>& found) {
    if (std::ranges::find(found, pci, &PciBridge::pci) != found.end()) return;
    std::ifstream file(devices / pci / "config", std::ios::binary);
    const std::string config{std::istreambuf_iterator<char>(file), {}};
    found.push_back(
        {pci, acs_redirect({reinterpret_cast<const unsigned char*>(config.data()), config.size()})});
}

void read_gpu(const fs::path& devices, GpuInfo& gpu, std::vector<PciBridge>& bridges) {
    const fs::path device = devices / gpu.pci;
    std::error_code error;
    if (gpu.pci.empty() || !fs::exists(device, error)) return;
    read_pcie(device, gpu.pcie);
    gpu.numa_node = numa_node_of(device);
    gpu.cpus = line_of(device / "local_cpulist");
    const std::string type = line_of(device / "iommu_group" / "type");
    if (!type.empty()) gpu.iommu = type == "identity" ? "passthrough" : "translated";
    for (const std::string& pci : bridges_above(device)) add_bridge(devices, pci, bridges);
}

void read_system(const fs::path& root, SystemFacts& system) {
    utsname name{};
    if (uname(&name) == 0) {
        system.architecture = name.machine;
        system.kernel = name.release;
    }
    for (const char* file : {"product_name", "board_name"})
        if (system.product.empty()) system.product = line_of(root / "sys/class/dmi/id" / file);
    if (system.product.empty()) system.product = line_of(root / "proc/device-tree/model");
    while (!system.product.empty() && system.product.back() == '\0') system.product.pop_back();
    std::error_code error;
    if (fs::exists(root / ".dockerenv", error)) system.container = "docker";
    if (fs::exists(root / "run/.containerenv", error)) system.container = "podman";
    std::ifstream cpu(root / "proc/cpuinfo");
    for (std::string line; std::getline(cpu, line);) {
        if (!line.starts_with("flags")) continue;
        system.virtual_machine = line.find(" hypervisor") != std::string::npos;
        break;
    }
    for (const fs::path& unit : folder_entries(root / "sys/class/iommu"))
        system.iommu_units.push_back(unit.filename().string());
    std::istringstream words(line_of(root / "proc/cmdline"));
    for (std::string word; words >> word;) {
        for (const char* part : {"iommu", "acs", "aspm"}) {
            if (word.find(part) == std::string::npos) continue;
            system.parameters.push_back(word);
            break;
        }
    }
}

void read_numa(const fs::path& root, std::vector<NumaNode>& nodes) {
    for (const fs::path& folder : folder_entries(root / "sys/devices/system/node")) {
        const std::string name = folder.filename().string();
        NumaNode node;
        const auto [end, error] = std::from_chars(name.data() + std::min<size_t>(4, name.size()),
                                                  name.data() + name.size(), node.node);
        if (!name.starts_with("node") || error != std::errc() || end != name.data() + name.size()) continue;
        node.cpus = line_of(folder / "cpulist");
        std::ifstream file(folder / "meminfo");  // "Node 0 MemTotal:  8123 kB"
        for (std::string word; file >> word;) {
            if (word == "MemTotal:" && file >> node.memory_bytes) node.memory_bytes *= 1024;
        }
        nodes.push_back(std::move(node));
    }
    std::ranges::sort(nodes, {}, &NumaNode::node);
}

void read_network(const fs::path& root, std::vector<NetworkCard>& cards) {
    for (const fs::path& folder : folder_entries(root / "sys/class/infiniband")) {
        NetworkCard card;
        card.name = folder.filename().string();
        const fs::path port = folder / "ports/1";
        card.kind = line_of(port / "link_layer");
        card.rate = line_of(port / "rate");
        card.active = line_of(port / "state").find("ACTIVE") != std::string::npos;  // "4: ACTIVE"
        card.pci = name_of_link(folder / "device");
        card.numa_node = numa_node_of(folder / "device");
        cards.push_back(std::move(card));
    }
}

}  // namespace

std::optional<bool> acs_redirect(std::span<const unsigned char> config) {
    constexpr size_t kExtended = 0x100;
    constexpr unsigned kAcs = 0x000d;
    constexpr unsigned kRequestRedirect = 1u << 2, kCompletionRedirect = 1u << 3;
    const auto word = [&](size_t at) {
        return static_cast<unsigned>(config[at]) | static_cast<unsigned>(config[at + 1]) << 8;
    };
    if (config.size() < kExtended + 4) return std::nullopt;
    size_t at = kExtended;
    for (int i = 0; i < 1024 && at >= kExtended && at + 8 <= config.size(); ++i) {  // a list may be a ring
        if (word(at) == kAcs) return (word(at + 6) & (kRequestRedirect | kCompletionRedirect)) != 0;
        at = word(at + 2) >> 4;
    }
    return false;
}

void add_sysfs_facts(Machine& machine, const std::string& root_path) {
    const fs::path root = root_path.empty() ? "/" : root_path;
    read_system(root, machine.system);
    read_numa(root, machine.numa);
    read_network(root, machine.network);
    const fs::path devices = root / "sys/bus/pci/devices";
    for (const fs::path& device : folder_entries(devices)) {
        if (line_of(device / "vendor") != "0x10de" || !line_of(device / "class").starts_with("0x03"))
            continue;
        machine.nvidia_devices.push_back(
            {device.filename().string(), line_of(device / "device"), name_of_link(device / "driver")});
    }
    for (GpuInfo& gpu : machine.gpus) read_gpu(devices, gpu, machine.bridges);
}

}  // namespace warpwright
