// SPDX-License-Identifier: Apache-2.0
// What a launch must fit before its first block runs.
#pragma once

#include <optional>

#include "emulator/machine/launch.h"

namespace warpwright::emulator {

// CUDA programming guide, "Compute capabilities", technical specifications: alike for all that we know.
constexpr u32 kMaxBlockThreads = 1024;
constexpr u32 kMaxBlockZ = 64;
constexpr u32 kMaxGridX = 0x7fff'ffff, kMaxGridYZ = 65535;
constexpr int kRegistersPerSm = 65536, kMaxThreadRegisters = 255, kWarpRegisterUnit = 256;
constexpr u32 kMaxStaticSharedBytes = 48 * 1024;
constexpr i64 kSystemSharedBytes = 1024, kSharedUnitBytes = 128;  // of each block
int max_resident_blocks(int compute_capability);                  // of an SM
u32 max_cluster_blocks(int compute_capability);  // where sizes above 8 are allowed, as devices do

// Of a block: the dynamic part begins where its alignment allows behind the static one.
i64 shared_bytes(const Program& program, u32 dynamic_bytes);

// The first rule that the launch breaks.
std::optional<Finding> check_launch(const Program& program, const Target& target,
                                    const ImageResources& resources, const LaunchConfig& config,
                                    std::size_t arg_bytes, CheckLevel level);

}  // namespace warpwright::emulator
