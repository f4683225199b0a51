// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/limits.h"

#include <algorithm>

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

i64 align_up(i64 value, i64 unit) {
    return (value + unit - 1) / unit * unit;
}

i64 block_registers(const ImageResources& resources, i64 threads) {
    return align_up(i64{32} * resources.registers, kWarpRegisterUnit) * align_up(threads, 32) / 32;
}

std::string dims_text(const Dim3& dims) {
    return fmt::format("{} x {} x {}", dims.x, dims.y, dims.z);
}

// The sentence about the rule that is broken, or nothing.
std::string broken_limit(const Program& program, const Target& target, const ImageResources& resources,
                         const LaunchConfig& config) {
    const auto& [grid, block, cluster, dynamic_bytes, programmatic] = config;
    if (u64{block.x} * block.y == 0 || block.z == 0 || block.x > kMaxBlockThreads ||
        block.y > kMaxBlockThreads || block.z > kMaxBlockZ ||
        u64{block.x} * block.y * block.z > kMaxBlockThreads) {
        return fmt::format("a block of {} threads, expected 1 to {}, and at most {} in z", dims_text(block),
                           kMaxBlockThreads, kMaxBlockZ);
    }
    const u32 threads = block.x * block.y * block.z;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > kMaxGridX || grid.y > kMaxGridYZ ||
        grid.z > kMaxGridYZ) {
        return fmt::format("a grid of {} blocks, expected 1 to {} in x and 1 to {} in y and z",
                           dims_text(grid), kMaxGridX, kMaxGridYZ);
    }
    if (program.max_threads > 0 && threads > program.max_threads)
        return fmt::format("{} threads, but .maxntid allows {}", threads, program.max_threads);
    if (program.required_threads > 0 && threads != program.required_threads)
        return fmt::format("{} threads, but .reqntid demands {}", threads, program.required_threads);
    if (const u64 blocks = u64{cluster.x} * cluster.y * cluster.z; blocks != 1) {
        const int capability = target.facts.compute_capability;
        if (capability < 90)
            return fmt::format("a cluster of {} blocks, but {} has no clusters", dims_text(cluster),
                               target.id);
        if (blocks == 0 || blocks > max_cluster_blocks(capability) || cluster.x > grid.x ||
            cluster.y > grid.y || cluster.z > grid.z) {
            return fmt::format("a cluster of {} blocks, expected 1 to {}", dims_text(cluster),
                               max_cluster_blocks(capability));
        }
        if (grid.x % cluster.x != 0 || grid.y % cluster.y != 0 || grid.z % cluster.z != 0) {
            return fmt::format("a grid of {} blocks, expected whole clusters of {}", dims_text(grid),
                               dims_text(cluster));
        }
    }
    if (program.static_shared_bytes > kMaxStaticSharedBytes) {
        return fmt::format("{} bytes of static shared memory, expected at most {}",
                           program.static_shared_bytes, kMaxStaticSharedBytes);
    }
    const i64 shared = shared_bytes(program, dynamic_bytes);
    if (shared > target.facts.shared_per_block_bytes) {
        return fmt::format("{} bytes of shared memory ({} static, {} dynamic), but a block of {} has {}",
                           shared, program.static_shared_bytes, dynamic_bytes, target.id,
                           target.facts.shared_per_block_bytes);
    }
    if (resources.registers > kMaxThreadRegisters)
        return fmt::format("{} registers a thread, expected at most {}", resources.registers,
                           kMaxThreadRegisters);
    if (const i64 registers = block_registers(resources, threads); registers > kRegistersPerSm) {
        return fmt::format("{} registers ({} a thread), but an SM has {}", registers, resources.registers,
                           kRegistersPerSm);
    }
    return "";
}

}  // namespace

i64 shared_bytes(const Program& program, u32 dynamic_bytes) {
    return align_up(program.static_shared_bytes, std::max<i64>(program.shared_alignment, 1)) + dynamic_bytes;
}

u32 max_cluster_blocks(int compute_capability) {
    if (compute_capability < 90) return 1;
    return compute_capability < 110 ? 16 : 8;
}

int max_resident_blocks(int compute_capability) {
    switch (compute_capability) {
        case 86:
        case 87: return 16;
        case 89:
        case 110:
        case 120:
        case 121: return 24;
        default: return 32;
    }
}

int resident_blocks(const Program& program, const Target& target, const ImageResources& resources,
                    int block_threads, u32 dynamic_shared_bytes) {
    if (block_threads <= 0) return 0;
    const TargetFacts& facts = target.facts;
    const i64 shared = shared_bytes(program, dynamic_shared_bytes);
    if (shared > facts.shared_per_block_bytes) return 0;
    i64 blocks = max_resident_blocks(facts.compute_capability);
    blocks = std::min(blocks, facts.max_threads_per_sm / align_up(block_threads, 32));
    blocks =
        std::min(blocks, facts.shared_per_sm_bytes / align_up(shared + kSystemSharedBytes, kSharedUnitBytes));
    if (resources.registers > 0)
        blocks = std::min(blocks, kRegistersPerSm / block_registers(resources, block_threads));
    return static_cast<int>(blocks);
}

std::optional<Finding> check_launch(const Program& program, const Target& target,
                                    const ImageResources& resources, const LaunchConfig& config,
                                    std::size_t arg_bytes, CheckLevel level) {
    Finding finding;
    finding.kernel = program.name;
    finding.kind = FindingKind::over_limit;
    finding.text = broken_limit(program, target, resources, config);
    if (!finding.text.empty()) return finding;
    // A caller's struct of arguments may end in padding.
    const i64 expected = program.param_bytes;
    if (const auto got = static_cast<i64>(arg_bytes);
        got != expected && got != align_up(expected, 8) && got != align_up(expected, 16)) {
        finding.kind = FindingKind::bad_operand;
        finding.text = fmt::format("{} bytes of arguments, expected {}", got, expected);
        return finding;
    }
    if (config.programmatic && !program.has_griddep_wait && level != CheckLevel::off) {
        finding.kind = FindingKind::illegal_instruction;
        finding.text =
            "launched to start before the kernel before it has ended, but it has no griddepcontrol.wait: "
            "nothing orders what it reads";
        return finding;
    }
    return std::nullopt;
}

}  // namespace warpwright::emulator
