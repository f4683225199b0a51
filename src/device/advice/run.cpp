// SPDX-License-Identifier: Apache-2.0
// Rules: does anything run here, and what is it compiled with.
#include <fmt/format.h>

#include "device/advice/machine_facts.h"

namespace warpwright::advice {
namespace {

constexpr int kOldestNvrtc = 1208;  // 12.8: the first that compiles for every build target

const NvrtcInfo* usable_nvrtc(const Machine& machine) {
    const auto found = std::ranges::find_if(machine.nvrtc, [](const NvrtcInfo& nvrtc) {
        return nvrtc.problem.empty() && 100 * nvrtc.major + nvrtc.minor >= kOldestNvrtc;
    });
    return found == machine.nvrtc.end() ? nullptr : &*found;
}

std::string build_targets_of(const Gpus& gpus) {
    std::vector<std::string> names;
    for (const GpuInfo* gpu : gpus) {
        const std::string name = build_target_name(gpu->target.facts.build_target);
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
    return listed(names);
}

std::optional<Slots> no_gpu(const Machine& machine) {
    if (!machine.gpus.empty()) return std::nullopt;
    return Slots{};
}

std::optional<Slots> device_without_driver(const Machine& machine) {
    const size_t count = machine.nvidia_devices.size();
    if (!machine.gpus.empty() || count == 0) return std::nullopt;
    std::vector<std::string> drivers;
    for (const NvidiaDevice& device : machine.nvidia_devices) {
        const std::string text = device.driver.empty() ? "bound to no driver" : "bound to " + device.driver;
        if (std::ranges::find(drivers, text) == drivers.end()) drivers.push_back(text);
    }
    return Slots{{"count", count == 1 ? "an NVIDIA device is" : fmt::format("{} NVIDIA devices are", count)},
                 {"drivers", listed(drivers)}};
}

std::optional<Slots> images_in_binary(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) { return gpu.images > 0; });
    if (gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)},
                 {"build_target", build_targets_of(gpus)},
                 {"images", fmt::to_string(gpus[0]->images)}};
}

std::optional<Slots> compiled_at_first_use(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) { return gpu.images == 0; });
    const NvrtcInfo* nvrtc = usable_nvrtc(machine);
    if (gpus.empty() || nvrtc == nullptr) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)},
                 {"build_target", build_targets_of(gpus)},
                 {"nvrtc", fmt::format("NVRTC {}.{}", nvrtc->major, nvrtc->minor)}};
}

std::optional<Slots> nothing_to_compile_with(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) { return gpu.images == 0; });
    if (gpus.empty() || usable_nvrtc(machine) != nullptr) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)}, {"build_target", build_targets_of(gpus)}};
}

std::optional<Slots> unified_memory(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return gpu.integrated; }));
}

std::optional<Slots> small_memory(const Machine& machine) {
    constexpr i64 kEnough = 17'500'000'000;
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) {
        const i64 bytes = gpu.target.facts.memory_bytes;
        return !gpu.integrated && bytes > 0 && bytes < kEnough;
    });
    if (gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)}, {"memory", gib_text(gpus[0]->target.facts.memory_bytes)}};
}

std::optional<Slots> mig(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return gpu.mig.value_or(false); }));
}

// The newest compiler here: its version as 100 x major + minor, and its name.
struct Compiler {
    int version = 0;
    std::string name;
};

Compiler newest_toolkit(const Machine& machine) {
    Compiler newest;
    for (const ToolkitInfo& toolkit : machine.toolkits) {
        const int version = version_number(toolkit.version);
        if (toolkit.has_nvcc && version > newest.version)
            newest = {version, fmt::format("nvcc {} ({})", toolkit.version, toolkit.path)};
    }
    return newest;
}

Compiler newest_compiler(const Machine& machine) {
    Compiler newest = newest_toolkit(machine);
    for (const NvrtcInfo& nvrtc : machine.nvrtc) {
        const int version = 100 * nvrtc.major + nvrtc.minor;
        if (nvrtc.problem.empty() && version > newest.version)
            newest = {version, fmt::format("NVRTC {}.{}", nvrtc.major, nvrtc.minor)};
    }
    return newest;
}

std::optional<Slots> driver_before_compiler(const Machine& machine) {
    const int driver = version_number(machine.driver_version);
    const Compiler compiler = newest_compiler(machine);
    if (machine.gpus.empty() || driver == 0 || compiler.version <= driver) return std::nullopt;
    const bool same_major = compiler.version / 100 == driver / 100;
    return Slots{
        {"newest_ptx", machine.newest_ptx},
        {"driver", machine.driver_version},
        {"compiler", compiler.name},
        {"same_major", same_major ? "its machine code for the GPUs here runs (minor version compatibility)"
                                  : "its machine code needs a driver of that major version, too"}};
}

std::optional<Slots> driver_before_cuda_13(const Machine& machine) {
    const int driver = version_number(machine.driver_version);
    if (machine.gpus.empty() || driver == 0 || driver >= 1300) return std::nullopt;
    return Slots{{"driver", machine.driver_version}};
}

std::optional<Slots> toolkit_before_family_targets(const Machine& machine) {
    constexpr int kFamilyTargets = 1209;
    const Gpus gpus = gpus_where(
        machine, [](const GpuInfo& gpu) { return generation_of(gpu) == 10 || generation_of(gpu) == 12; });
    const Compiler toolkit = newest_toolkit(machine);
    if (gpus.empty() || toolkit.version == 0 || toolkit.version >= kFamilyTargets) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)}, {"toolkit", toolkit.name}};
}

std::optional<Slots> build_with_a_suffix(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) { return generation_of(gpu) == 12; });
    if (gpus.empty()) return std::nullopt;
    const int capability = capability_of(*gpus[0]);
    return Slots{{"gpus", names_of(gpus)}, {"exact", fmt::format("{}.{}", capability / 10, capability % 10)}};
}

std::optional<Slots> triton_with_old_ptxas(const Machine& machine) {
    const Gpus gpus = gpus_where(
        machine, [](const GpuInfo& gpu) { return capability_of(gpu) == 121 || capability_of(gpu) == 110; });
    if (gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)}, {"target", fmt::format("sm_{}a", capability_of(*gpus[0]))}};
}

std::optional<Slots> triton_kernels_with_driver_595(const Machine& machine) {
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) { return generation_of(gpu) >= 10; });
    if (gpus.empty() || version_number(machine.driver_release) < 59500) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)}, {"driver", machine.driver_release}};
}

constexpr RuleFunction kRunRules[] = {
    {"no-gpu", no_gpu},
    {"device-without-driver", device_without_driver},
    {"images-in-binary", images_in_binary},
    {"compiled-at-first-use", compiled_at_first_use},
    {"nothing-to-compile-with", nothing_to_compile_with},
    {"unified-memory", unified_memory},
    {"small-memory", small_memory},
    {"mig", mig},
};

constexpr RuleFunction kBuildRules[] = {
    {"driver-before-compiler", driver_before_compiler},
    {"driver-before-cuda-13", driver_before_cuda_13},
    {"toolkit-before-family-targets", toolkit_before_family_targets},
    {"build-with-a-suffix", build_with_a_suffix},
    {"triton-with-old-ptxas", triton_with_old_ptxas},
    {"triton-kernels-with-driver-595", triton_kernels_with_driver_595},
};

}  // namespace

std::span<const RuleFunction> run_rules() {
    return kRunRules;
}
std::span<const RuleFunction> build_rules() {
    return kBuildRules;
}

}  // namespace warpwright::advice
