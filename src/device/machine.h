// SPDX-License-Identifier: Apache-2.0
// What this machine is, as data: its CPU, its GPUs and the paths between them, its driver and compilers.
#pragma once

#include <string>
#include <vector>

#include "device/cuda_api.h"
#include "warpwright/target.h"

namespace warpwright {

struct HostFacts {
    std::string model;        // "AMD EPYC 9654", or "unknown"
    int num_cores = 1;        // that this process may use
    int num_cores_total = 1;  // of the machine, hyperthreads counted
    int max_mhz = 0;          // 0: the kernel does not tell
    i64 memory_bytes = 0;     // of the machine, or the control group's limit when that is lower
    i64 free_bytes = 0;       // that could be taken now
    std::string simd;         // "avx512", "avx2", "sse4", "neon" or "scalar"
};

struct GpuInfo {
    std::string id;           // "cuda:0"
    std::string name;         // the driver's
    std::string uuid;         // "GPU-xxxxxxxx-..."
    std::string pci;          // "0000:01:00.0"
    bool integrated = false;  // shares the host's memory
    bool clusters = false;    // launches thread block clusters
    Target target;            // the listed GPU where known, measured facts on top
};

// One direction between two GPUs.
struct PeerPath {
    int from = 0;
    int to = 0;
    bool access = false;          // loads and stores reach the other GPU's memory
    bool native_atomics = false;  // so do atomics
    int performance_rank = 0;     // the driver's, lower is faster
    // "nvlink" or "pcie", deduced: NVLink is what carries native atomics between GPUs. "none" without access.
    std::string link;
};

struct NvrtcInfo {
    std::string path;
    int major = 0;
    int minor = 0;
    std::string problem;  // why it cannot be used; empty when it can
};

struct ToolkitInfo {
    std::string path;
    std::string version;  // "13.0.2", or empty when the folder does not say
    bool has_nvcc = false;
};

struct Machine {
    HostFacts host;
    std::string driver_library;  // "libcuda.so.1"; empty without a driver
    std::string driver_version;  // of CUDA, as the driver implements it: "13.0"
    std::string driver_release;  // of the kernel module: "580.95.05"; empty when it does not tell
    std::string cuda_problem;    // why there is no GPU; empty when there is one
    std::vector<GpuInfo> gpus;
    std::vector<PeerPath> peers;  // every ordered pair
    std::vector<ToolkitInfo> toolkits;
    std::vector<NvrtcInfo> nvrtc;
};

HostFacts read_host_facts();

// "GPU-xxxxxxxx-..." as nvidia-smi writes it.
std::string uuid_text(const CuUuid& uuid);

// Of the kernel module, "580.95.05"; empty when it does not tell.
std::string driver_release();

// NVRTC libraries, in the order looked at: the project's .local folder, LD_LIBRARY_PATH and the loader's own
// search, installed toolkits, Python wheels. Each file once.
std::vector<NvrtcInfo> find_nvrtc(const std::string& project_directory);

std::vector<ToolkitInfo> find_toolkits(const std::string& root = "/usr/local");

// `project_directory` is where .local is looked for. Never fails: what is missing is empty or says why.
Machine probe_machine(const std::string& project_directory = ".");

}  // namespace warpwright
