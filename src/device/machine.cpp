// SPDX-License-Identifier: Apache-2.0
#include "device/machine.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "device/cuda_api.h"
#include "device/cuda_target.h"
#include "device/nvml.h"
#include "device/ptx_versions.h"
#include "device/sysfs.h"
#include "device/variables.h"
#include "image/pack.h"

namespace warpwright {
namespace {

Result<GpuInfo> read_gpu(const CudaApi& api, int ordinal) {
    CuDevice device = 0;
    WW_TRY(api.status(api.cuDeviceGet(&device, ordinal), "cuDeviceGet"));
    WW_ASSIGN(const CudaAttributes attributes, read_cuda_attributes(api, device));
    GpuInfo gpu;
    gpu.id = fmt::format("cuda:{}", ordinal);
    gpu.name = attributes.name;
    gpu.target = make_cuda_target(attributes, targets());
    // What follows is for people: where the driver does not tell, it stays empty.
    const auto attribute = [&](cu::DeviceAttribute which) {
        int value = 0;
        return api.cuDeviceGetAttribute(&value, which, device) == cu::kSuccess ? value : 0;
    };
    gpu.pci = fmt::format("{:04x}:{:02x}:{:02x}.0", attribute(cu::kPciDomainId), attribute(cu::kPciBusId),
                          attribute(cu::kPciDeviceId));
    gpu.integrated = attribute(cu::kIntegrated) != 0;
    gpu.clusters = attribute(cu::kClusterLaunch) != 0;
    int multicast = 0;  // drivers before 12.1 do not know it
    if (api.cuDeviceGetAttribute(&multicast, cu::kMulticastSupported, device) == cu::kSuccess)
        gpu.multicast = multicast != 0;
    const auto is_for_it = [&](const Pack::Entry& entry) {
        return entry.build_target == gpu.target.facts.build_target;
    };
    gpu.images = static_cast<int>(std::ranges::count_if(Pack::linked().entries(), is_for_it));
    CuUuid uuid{};
    if (api.cuDeviceGetUuid(&uuid, device) == cu::kSuccess) gpu.uuid = uuid_text(uuid);
    return gpu;
}

PeerPath read_peer(const CudaApi& api, int from, int to) {
    PeerPath path;
    path.from = from;
    path.to = to;
    path.link = "none";
    CuDevice first = 0;
    CuDevice second = 0;
    if (api.cuDeviceGet(&first, from) != cu::kSuccess || api.cuDeviceGet(&second, to) != cu::kSuccess)
        return path;
    const auto attribute = [&](cu::P2pAttribute which) {
        int value = 0;
        return api.cuDeviceGetP2PAttribute(&value, which, first, second) == cu::kSuccess ? value : 0;
    };
    path.access = attribute(cu::kP2pAccessSupported) != 0;
    path.native_atomics = attribute(cu::kP2pNativeAtomicSupported) != 0;
    path.performance_rank = attribute(cu::kP2pPerformanceRank);
    if (path.access) path.link = path.native_atomics ? "nvlink" : "pcie";
    return path;
}

// Both directions of a link as it could be, in gigabytes per second: 8b/10b coding up to generation 2,
// 128b/130b up to 5, none in flits.
double pcie_gb_s(const PcieLink& link) {
    constexpr double kPerLane[] = {0, 0.25, 0.5, 0.985, 1.969, 3.938, 7.877};
    const size_t generation = static_cast<size_t>(std::clamp(link.max_generation, 0, 6));
    return 2 * kPerLane[generation] * link.width;  // a link that is asleep keeps its width
}

Status read_gpus(Machine& machine) {
    WW_ASSIGN(const CudaApi* api, cuda_api());
    machine.driver_library = api->library;
    machine.driver_version = cuda_version_text(api->driver_version);
    WW_ASSIGN(const int count, cuda_device_count(*api));
    for (int i = 0; i < count; ++i) {
        WW_ASSIGN(GpuInfo gpu, read_gpu(*api, i));
        machine.gpus.push_back(std::move(gpu));
    }
    for (int from = 0; from < count; ++from) {
        for (int to = 0; to < count; ++to) {
            if (from != to) machine.peers.push_back(read_peer(*api, from, to));
        }
    }
    return {};
}

}  // namespace

std::string uuid_text(const CuUuid& uuid) {
    std::string text = "GPU";
    for (int i = 0; i < 16; ++i) {
        if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += fmt::format("{:02x}", uuid.bytes[i]);
    }
    return text;
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  ...": the first word with two dots or one.
std::string driver_release() {
    std::ifstream file("/proc/driver/nvidia/version");
    for (std::string word; file >> word;) {
        const bool numeric = word.find_first_not_of("0123456789.") == std::string::npos;
        if (numeric && word.find('.') != std::string::npos) return word;
    }
    return {};
}

Machine probe_machine(const std::string& project_directory) {
    Machine machine;
    machine.origin = "probed";
    machine.host = read_host_facts();
    machine.driver_release = driver_release();
    const Status status = read_gpus(machine);
    if (!status.ok()) machine.cuda_problem = status.message();
    machine.newest_ptx = newest_ptx(machine.driver_version);
    add_sysfs_facts(machine);
    if (auto nvml = load_nvml(); nvml.ok()) {
        add_nvml_facts(*nvml.value(), machine);
        if (nvml.value()->nvmlShutdown != nullptr) nvml.value()->nvmlShutdown();
    } else {
        machine.nvml_problem = nvml.status().message();
    }
    for (PeerPath& path : machine.peers) {
        const auto rate = [&](int gpu) { return pcie_gb_s(machine.gpus[static_cast<size_t>(gpu)].pcie); };
        if (path.link == "pcie") path.gb_s = std::min(rate(path.from), rate(path.to));
    }
    machine.toolkits = find_toolkits();
    add_toolkit_on_path(machine.toolkits);
    machine.nvrtc = find_nvrtc(project_directory);
    machine.packages = find_packages(python_folders());
    machine.variables = set_variables();
    machine.pack = Pack::linked().summary();
    return machine;
}

}  // namespace warpwright
