// SPDX-License-Identifier: Apache-2.0
// Rules: which libraries to take, and which to leave alone on the GPUs here.
#include <fmt/format.h>

#include "device/advice/machine_facts.h"

namespace warpwright::advice {
namespace {

bool is_one_of(const GpuInfo& gpu, std::initializer_list<int> capabilities) {
    return std::ranges::find(capabilities, capability_of(gpu)) != capabilities.end();
}

std::optional<Slots> hopper_kernels(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return is_one_of(gpu, {90}); }));
}

std::optional<Slots> no_flash_attention_3(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return !is_one_of(gpu, {80, 90}); }));
}

std::optional<Slots> no_trtllm_gen(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return !is_one_of(gpu, {100, 103}); }));
}

Gpus neither_hopper_nor_blackwell(const Machine& machine) {
    return gpus_where(machine, [](const GpuInfo& gpu) { return !is_one_of(gpu, {90, 100, 103}); });
}

std::optional<Slots> no_deepgemm(const Machine& machine) {
    return when_any(neither_hopper_nor_blackwell(machine));
}

std::optional<Slots> no_sparse_mla(const Machine& machine) {
    return when_any(neither_hopper_nor_blackwell(machine));
}

std::optional<Slots> shared_memory_99_kib(const Machine& machine) {
    constexpr i64 kSmall = 99 * 1024;
    const Gpus gpus = gpus_where(machine, [](const GpuInfo& gpu) {
        const i64 bytes = gpu.target.facts.shared_per_block_bytes;
        return bytes > 0 && bytes <= kSmall;
    });
    if (gpus.empty()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)},
                 {"shared", fmt::format("{} bytes", gpus[0]->target.facts.shared_per_block_bytes)}};
}

std::optional<Slots> fp4_dequantised(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return generation_of(gpu) < 10; }));
}

std::optional<Slots> fp8_dequantised(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return capability_of(gpu) < 89; }));
}

std::optional<Slots> geforce_half_rate(const Machine& machine) {
    return when_any(gpus_where(machine, is_geforce));
}

std::optional<Slots> no_int8_in_vllm(const Machine& machine) {
    return when_any(gpus_where(machine, [](const GpuInfo& gpu) { return generation_of(gpu) >= 10; }));
}

Gpus of_12x(const Machine& machine) {
    return gpus_where(machine, [](const GpuInfo& gpu) { return generation_of(gpu) == 12; });
}

std::optional<Slots> all_reduce_fusion_on_12x(const Machine& machine) {
    const Gpus gpus = of_12x(machine);
    return gpus.size() > 1 ? when_any(gpus) : std::nullopt;
}

std::optional<Slots> nccl_before_12x(const Machine& machine) {
    constexpr int kSeenToWork = 228;  // 100 x major + minor of 2.28
    const Gpus gpus = of_12x(machine);
    const auto old = std::ranges::find_if(machine.packages, [](const PackageInfo& package) {
        const int version = version_number(package.version);
        return package.name.starts_with("nvidia_nccl") && version != 0 && version < kSeenToWork;
    });
    if (gpus.empty() || old == machine.packages.end()) return std::nullopt;
    return Slots{{"gpus", names_of(gpus)}, {"package", fmt::format("{} {}", old->name, old->version)}};
}

// Packages with such a verdict, and a file in which nothing runs: "vllm 0.11.0 (on rtx-5090)"; `text` is the
// first one's reason.
std::vector<std::string> packages_that(const Machine& machine, std::string_view runs, std::string& text) {
    std::vector<std::string> names;
    for (const PackageInfo& package : machine.packages) {
        std::vector<std::string> targets;
        for (const PackageVerdict& verdict : package.verdicts) {
            if (verdict.runs != runs || verdict.num_bad == 0) continue;
            targets.push_back(verdict.target);
            if (text.empty()) text = verdict.text;
        }
        if (targets.empty()) continue;
        const std::string version = package.version.empty() ? "" : " " + package.version;
        names.push_back(fmt::format("{}{} (on {})", package.name, version, listed(targets)));
    }
    return names;
}

std::optional<Slots> installed_without_code(const Machine& machine) {
    std::string text;
    const std::vector<std::string> names = packages_that(machine, "no", text);
    if (names.empty()) return std::nullopt;
    return Slots{{"packages", listed(names)}, {"text", text}};
}

std::optional<Slots> installed_partly(const Machine& machine) {
    std::string text;
    const std::vector<std::string> names = packages_that(machine, "partly", text);
    if (names.empty()) return std::nullopt;
    return Slots{{"packages", listed(names)}, {"text", text}};
}

constexpr RuleFunction kRules[] = {
    {"hopper-kernels", hopper_kernels},
    {"no-flash-attention-3", no_flash_attention_3},
    {"no-trtllm-gen", no_trtllm_gen},
    {"no-deepgemm", no_deepgemm},
    {"no-sparse-mla", no_sparse_mla},
    {"shared-memory-99-kib", shared_memory_99_kib},
    {"fp4-dequantised", fp4_dequantised},
    {"fp8-dequantised", fp8_dequantised},
    {"geforce-half-rate", geforce_half_rate},
    {"no-int8-in-vllm", no_int8_in_vllm},
    {"all-reduce-fusion-on-12x", all_reduce_fusion_on_12x},
    {"nccl-before-12x", nccl_before_12x},
    {"installed-without-code", installed_without_code},
    {"installed-partly", installed_partly},
};

}  // namespace

std::span<const RuleFunction> library_rules() {
    return kRules;
}

}  // namespace warpwright::advice
