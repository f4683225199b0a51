// SPDX-License-Identifier: Apache-2.0
// What this machine is, as data: its CPU, its GPUs and the paths between them, its driver and compilers.
//
// Everything is optional but the CPU: what a machine does not tell is empty, and nothing is guessed in its
// place. machine_json.h writes a Machine down and reads it again, so that advice (advice.h) can be given for
// a machine that is elsewhere.
#pragma once

#include <optional>
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

struct SystemFacts {
    std::string architecture;              // "x86_64"
    std::string kernel;                    // "6.8.0-50-generic"
    std::string product;                   // the board's or computer's name; empty in most containers
    std::string container;                 // "docker", "podman", or empty
    std::optional<bool> virtual_machine;   // none: the CPU does not tell
    std::vector<std::string> iommu_units;  // of /sys/class/iommu: "dmar0", "ivhd0"
    std::vector<std::string> parameters;   // of the kernel's command line, those about IOMMU, ACS and ASPM
};

struct NumaNode {
    int node = 0;
    std::string cpus;  // "0-31,64-95"
    i64 memory_bytes = 0;
};

struct PcieLink {  // 0: not told
    int generation = 0, width = 0;
    int max_generation = 0, max_width = 0;  // what GPU and slot can do together
};

// All NVLink links of one GPU.
struct NvLinks {
    int active = 0, inactive = 0;
    int version = 0;
    std::string to;   // "switch", "gpu" or "cpu"; empty: not told
    double gb_s = 0;  // of the active ones together, both directions, nominal
};

struct GpuInfo {
    std::string id;                 // "cuda:0"
    std::string name;               // the driver's
    std::string uuid;               // "GPU-xxxxxxxx-..."
    std::string pci;                // "0000:01:00.0"
    bool integrated = false;        // shares the host's memory
    bool clusters = false;          // launches thread block clusters
    std::optional<bool> multicast;  // stores to several GPUs at once, by the NVLink switch
    Target target;                  // the listed GPU where known, measured facts on top
    int images = 0;                 // kernel images in this binary for its build target

    PcieLink pcie;
    std::optional<int> numa_node;
    std::string cpus;   // near it: "0-31"
    std::string iommu;  // "translated", "passthrough", or empty: no IOMMU group, or not told
    std::optional<NvLinks> nvlink;
    std::optional<bool> mig, ecc;
    std::optional<i64> bar1_bytes;  // the window through which others reach its memory
    std::optional<double> power_limit_w, power_default_w;
    std::optional<int> max_sm_mhz, max_memory_mhz;
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
    // How far apart in the PCI tree, in the words of nvidia-smi topo: "PIX" one switch, "PXB" several, "PHB"
    // a host bridge, "NODE" several in one NUMA node, "SYS" between sockets.
    std::string distance;
    std::string status;  // why there is no access, in NVML's words: "gpu not supported"; empty: not told
    double gb_s = 0;     // both directions, nominal; 0: not known
};

// A bridge between a GPU and the CPU.
struct PciBridge {
    std::string pci;
    // ACS sends what one GPU writes to another up to the CPU. None: the configuration space may not be read.
    std::optional<bool> acs_redirect;
};

struct NetworkCard {
    std::string name;  // "mlx5_0"
    std::string kind;  // "InfiniBand" or "Ethernet" (RoCE)
    std::string rate;  // "400 Gb/sec (4X NDR)"
    bool active = false;
    std::string pci;
    std::optional<int> numa_node;
};

// A display or compute device of NVIDIA's on the PCI bus, whether a driver knows it or not.
struct NvidiaDevice {
    std::string pci;
    std::string device;  // PCI device id: "0x2330"
    std::string driver;  // that is bound to it: "nvidia", "nouveau", "vfio-pci"; empty: none
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

// Of the list in data/variables.toml.
struct SetVariable {
    std::string name;
    std::string value;
};

struct PackageVerdict {
    std::string target;  // id of a GPU here
    // Of all files with device code together: "native", "jit"; "no": nothing in any of them; "partly": some
    // files, or kernels of some file. Libraries that choose by GPU hold kernels for others on purpose.
    std::string runs;
    int num_files = 0;      // with device code
    int num_bad = 0;        // of them, those in which nothing runs
    std::string text, fix;  // of the first bad file
};

// A Python package that has, or calls, CUDA code.
struct PackageInfo {
    std::string name;
    std::string version;                   // empty: not told
    std::string path;                      // the folder of packages that it is in
    std::vector<PackageVerdict> verdicts;  // none unless its files were inspected
};

struct Machine {
    std::string origin;  // "probed", or what a composed one was composed from
    HostFacts host;
    SystemFacts system;
    std::vector<NumaNode> numa;
    std::string driver_library;  // "libcuda.so.1"; empty without a driver
    std::string driver_version;  // of CUDA, as the driver implements it: "13.0"
    std::string driver_release;  // of the kernel module: "580.95.05"; empty when it does not tell
    std::string newest_ptx;      // that the driver compiles: "9.0"; empty: unknown
    std::string cuda_problem;    // why there is no GPU; empty when there is one
    std::string nvml;            // "libnvidia-ml.so.1 (580.95.05)"; empty without
    std::string nvml_problem;
    std::vector<GpuInfo> gpus;
    std::vector<PeerPath> peers;  // every ordered pair
    std::vector<NvidiaDevice> nvidia_devices;
    std::vector<PciBridge> bridges;
    std::vector<NetworkCard> network;
    std::vector<ToolkitInfo> toolkits;
    std::vector<NvrtcInfo> nvrtc;
    std::vector<PackageInfo> packages;
    std::vector<SetVariable> variables;
    std::string pack;  // the kernel images in this binary, in words
};

HostFacts read_host_facts();

// "GPU-xxxxxxxx-..." as nvidia-smi writes it.
std::string uuid_text(const CuUuid& uuid);

// Of the kernel module, "580.95.05"; empty when it does not tell.
std::string driver_release();

// NVRTC libraries, in the order looked at: the project's .local folder, LD_LIBRARY_PATH and the loader's own
// search, installed toolkits, Python wheels. Each file once.
std::vector<NvrtcInfo> find_nvrtc(const std::string& project_directory);

// Folders of toolkits below `root`, each once.
std::vector<ToolkitInfo> find_toolkits(const std::string& root = "/usr/local");

// The one whose nvcc PATH leads to, where it is not among them yet.
void add_toolkit_on_path(std::vector<ToolkitInfo>& toolkits);

// site-packages and dist-packages: of the active environment, of the python3 on PATH, of this user and of
// this machine.
std::vector<std::string> python_folders();

// Installed packages of those that data/advice.toml knows, by their metadata alone.
std::vector<PackageInfo> find_packages(const std::vector<std::string>& folders);

// `project_directory` is where .local is looked for. Never fails: what is missing is empty or says why.
Machine probe_machine(const std::string& project_directory = ".");

}  // namespace warpwright
