// SPDX-License-Identifier: Apache-2.0
#include "device/machine.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "device/cuda_api.h"
#include "device/cuda_target.h"

namespace warpwright {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNvrtcNames[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};

// The folder's entries in name order; nothing for a folder that is not there or may not be read.
std::vector<fs::path> entries_of(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        entries.push_back(it->path());
    }
    std::sort(entries.begin(), entries.end());
    return entries;
}

bool starts_with(const fs::path& path, std::string_view prefix) {
    return path.filename().string().rfind(prefix, 0) == 0;
}

// Libraries found so far, each file once, however many names lead to it.
class NvrtcList {
public:
    void add_file(const fs::path& path) {
        std::error_code error;
        const fs::path real = fs::canonical(path, error);
        if (error || !seen_.insert(real.string()).second) return;
        add(path.string());
    }
    void add_folder(const fs::path& folder) {
        for (const char* name : kNvrtcNames) add_file(folder / name);
    }
    // Below `folder`, up to a depth that holds an unpacked wheel.
    void add_tree(const fs::path& folder, int depth) {
        add_folder(folder);
        std::error_code error;
        for (const fs::path& entry : entries_of(folder)) {
            if (depth > 0 && fs::is_directory(fs::symlink_status(entry, error))) add_tree(entry, depth - 1);
        }
    }
    // site-packages: the wheels of CUDA 13 share one folder, those of CUDA 12 have one each.
    void add_site_packages(const fs::path& folder) {
        add_folder(folder / "nvidia" / "cu13" / "lib");
        add_folder(folder / "nvidia" / "cuda_nvrtc" / "lib");
    }
    // Every python3.x below a prefix such as a virtual environment.
    void add_python_prefix(const fs::path& prefix) {
        for (const fs::path& python : entries_of(prefix / "lib")) {
            if (!starts_with(python, "python3")) continue;
            add_site_packages(python / "site-packages");
            add_site_packages(python / "dist-packages");
        }
    }
    // What dlopen finds by itself: the cache of ldconfig, a run path.
    void add_by_name(const char* name) {
        void* library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
        if (library == nullptr) return;
        Dl_info info{};
        void* symbol = dlsym(library, "nvrtcVersion");
        if (symbol != nullptr && dladdr(symbol, &info) != 0 && info.dli_fname != nullptr)
            add_file(info.dli_fname);
        dlclose(library);
    }

    std::vector<NvrtcInfo> take() { return std::move(found_); }

private:
    void add(const std::string& path) {
        NvrtcInfo info;
        info.path = path;
        void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
        if (library == nullptr) {
            const char* reason = dlerror();
            info.problem = reason == nullptr ? "does not load" : reason;
        } else {
            const auto version = reinterpret_cast<int (*)(int*, int*)>(dlsym(library, "nvrtcVersion"));
            if (version == nullptr || version(&info.major, &info.minor) != 0)
                info.problem = "does not tell its version";
            dlclose(library);
        }
        found_.push_back(std::move(info));
    }

    std::set<std::string> seen_;
    std::vector<NvrtcInfo> found_;
};

// "13.0.2" of version.json's {"cuda": {"name": ..., "version": "13.0.2"}, ...}.
std::string toolkit_version(const fs::path& toolkit) {
    std::ifstream file(toolkit / "version.json");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::size_t at = text.find("\"cuda\"");
    for (const std::string_view mark : {"\"version\"", ":", "\""}) {
        if (at != std::string::npos) at = text.find(mark, at);
        if (at != std::string::npos) at += mark.size();
    }
    if (at == std::string::npos) return {};
    return text.substr(at, text.find('"', at) - at);
}

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
    CuUuid uuid{};
    if (api.cuDeviceGetUuid(&uuid, device) == cu::kSuccess) gpu.uuid = uuid_text(uuid);
    return gpu;
}

PeerPath read_peer(const CudaApi& api, int from, int to) {
    PeerPath path{from, to, false, false, 0, "none"};
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

std::vector<NvrtcInfo> find_nvrtc(const std::string& project_directory) {
    NvrtcList list;
    list.add_tree(fs::path(project_directory) / ".local", 7);
    if (const char* search = std::getenv("LD_LIBRARY_PATH")) {
        std::string_view rest = search;
        while (!rest.empty()) {
            const std::string_view folder = rest.substr(0, rest.find(':'));
            if (!folder.empty()) list.add_folder(folder);
            rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
        }
    }
    for (const char* name : kNvrtcNames) list.add_by_name(name);
    for (const ToolkitInfo& toolkit : find_toolkits()) {
        list.add_folder(fs::path(toolkit.path) / "lib64");
        list.add_folder(fs::path(toolkit.path) / "lib");
    }
    if (const char* environment = std::getenv("VIRTUAL_ENV")) list.add_python_prefix(environment);
    if (const char* environment = std::getenv("CONDA_PREFIX")) list.add_python_prefix(environment);
    if (const char* home = std::getenv("HOME")) list.add_python_prefix(fs::path(home) / ".local");
    list.add_python_prefix("/usr/local");
    list.add_python_prefix("/usr");
    return list.take();
}

std::vector<ToolkitInfo> find_toolkits(const std::string& root) {
    std::vector<ToolkitInfo> found;
    std::set<std::string> seen;
    std::error_code error;
    for (const fs::path& entry : entries_of(root)) {
        if (!starts_with(entry, "cuda") || !fs::is_directory(entry, error)) continue;
        if (!seen.insert(fs::canonical(entry, error).string()).second) continue;
        ToolkitInfo toolkit;
        toolkit.path = entry.string();
        toolkit.version = toolkit_version(entry);
        toolkit.has_nvcc = fs::exists(entry / "bin" / "nvcc", error);
        found.push_back(std::move(toolkit));
    }
    return found;
}

Machine probe_machine(const std::string& project_directory) {
    Machine machine;
    machine.host = read_host_facts();
    machine.driver_release = driver_release();
    const Status status = read_gpus(machine);
    if (!status.ok()) machine.cuda_problem = status.message();
    machine.toolkits = find_toolkits();
    machine.nvrtc = find_nvrtc(project_directory);
    return machine;
}

}  // namespace warpwright
