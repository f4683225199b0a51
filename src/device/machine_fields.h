// SPDX-License-Identifier: Apache-2.0
// The JSON form of a Machine, described once for both directions: fields(archive, value) calls
// archive(key, field) for each. An archive writes the field, or reads it. Keys are only ever added: Python
// and the C ABI hand them out.
#pragma once

#include <charconv>
#include <string>

#include <fmt/format.h>

#include "device/machine.h"

namespace warpwright {

template <class Archive>
void fields(Archive& a, NumaNode& node) {
    a("node", node.node);
    a("cpus", node.cpus);
    a("memory_bytes", node.memory_bytes);
}

template <class Archive>
void fields(Archive& a, PcieLink& link) {
    a("generation", link.generation);
    a("width", link.width);
    a("max_generation", link.max_generation);
    a("max_width", link.max_width);
}

template <class Archive>
void fields(Archive& a, NvLinks& links) {
    a("active", links.active);
    a("inactive", links.inactive);
    a("version", links.version);
    a("to", links.to);
    a("gb_s", links.gb_s);
}

template <class Archive>
void fields(Archive& a, GpuInfo& gpu) {
    TargetFacts& facts = gpu.target.facts;
    a("id", gpu.id);
    a("name", gpu.name);
    a("target", gpu.target.id);
    a("compute_capability", facts.compute_capability);
    a.written_only("build_target", build_target_name(facts.build_target));
    a("sms", facts.num_sms);
    a("memory_bytes", facts.memory_bytes);
    a("shared_per_block_bytes", facts.shared_per_block_bytes);
    a("l2_bytes", facts.l2_bytes);
    a("pci", gpu.pci);
    a("integrated", gpu.integrated);
    a("clusters", gpu.clusters);
    a("multicast", gpu.multicast);
    a("images", gpu.images);
    a("pcie", gpu.pcie);
    a("nvlink", gpu.nvlink);
    a("numa_node", gpu.numa_node);
    a("cpus", gpu.cpus);
    a("iommu", gpu.iommu);
    a("mig", gpu.mig);
    a("ecc", gpu.ecc);
    a("bar1_bytes", gpu.bar1_bytes);
    a("power_limit_w", gpu.power_limit_w);
    a("power_default_w", gpu.power_default_w);
    a("max_sm_mhz", gpu.max_sm_mhz);
    a("max_memory_mhz", gpu.max_memory_mhz);
}

template <class Archive>
void fields(Archive& a, PeerPath& path) {
    a("from", path.from);
    a("to", path.to);
    a("access", path.access);
    a("native_atomics", path.native_atomics);
    a("link", path.link);
    a("performance_rank", path.performance_rank);
    a("distance", path.distance);
    a("status", path.status);
    a("gb_s", path.gb_s);
}

template <class Archive>
void fields(Archive& a, PciBridge& bridge) {
    a("pci", bridge.pci);
    a("acs_redirect", bridge.acs_redirect);
}

template <class Archive>
void fields(Archive& a, NetworkCard& card) {
    a("name", card.name);
    a("kind", card.kind);
    a("rate", card.rate);
    a("active", card.active);
    a("pci", card.pci);
    a("numa_node", card.numa_node);
}

template <class Archive>
void fields(Archive& a, NvidiaDevice& device) {
    a("pci", device.pci);
    a("device", device.device);
    a("driver", device.driver);
}

template <class Archive>
void fields(Archive& a, ToolkitInfo& toolkit) {
    a("path", toolkit.path);
    a("version", toolkit.version);
    a("nvcc", toolkit.has_nvcc);
}

template <class Archive>
void fields(Archive& a, NvrtcInfo& nvrtc) {
    std::string version = fmt::format("{}.{}", nvrtc.major, nvrtc.minor);
    a("path", nvrtc.path);
    a("version", version);
    a("problem", nvrtc.problem);
    const char* end = version.data() + version.size();
    const auto [dot, error] = std::from_chars(version.data(), end, nvrtc.major);
    if (error == std::errc() && dot != end) std::from_chars(dot + 1, end, nvrtc.minor);
}

template <class Archive>
void fields(Archive& a, PackageVerdict& verdict) {
    a("target", verdict.target);
    a("runs", verdict.runs);
    a("files", verdict.num_files);
    a("bad_files", verdict.num_bad);
    a("text", verdict.text);
    a("fix", verdict.fix);
}

template <class Archive>
void fields(Archive& a, PackageInfo& package) {
    a("name", package.name);
    a("version", package.version);
    a("path", package.path);
    a("verdicts", package.verdicts);
}

template <class Archive>
void fields(Archive& a, SetVariable& variable) {
    a("name", variable.name);
    a("value", variable.value);
}

template <class Archive>
void fields(Archive& a, Machine& m) {
    a("origin", m.origin);
    a.group("cpu", [&](Archive& cpu) {
        cpu("model", m.host.model);
        cpu("cores", m.host.num_cores);
        cpu("memory_bytes", m.host.memory_bytes);
        cpu("free_bytes", m.host.free_bytes);
        cpu("simd", m.host.simd);
    });
    a.group("system", [&](Archive& system) {
        system("architecture", m.system.architecture);
        system("kernel", m.system.kernel);
        system("product", m.system.product);
        system("container", m.system.container);
        system("virtual_machine", m.system.virtual_machine);
        system("iommu_units", m.system.iommu_units);
        system("parameters", m.system.parameters);
    });
    a("numa", m.numa);
    a.group("driver", [&](Archive& driver) {
        driver("library", m.driver_library);
        driver("cuda", m.driver_version);
        driver("release", m.driver_release);
        driver("problem", m.cuda_problem);
        driver("newest_ptx", m.newest_ptx);
        driver("nvml", m.nvml);
        driver("nvml_problem", m.nvml_problem);
    });
    a("gpus", m.gpus);
    a("peers", m.peers);
    a("nvidia_devices", m.nvidia_devices);
    a("bridges", m.bridges);
    a("network", m.network);
    a("toolkits", m.toolkits);
    a("nvrtc", m.nvrtc);
    a("packages", m.packages);
    a("environment", m.variables);
    a("pack", m.pack);
}

}  // namespace warpwright
