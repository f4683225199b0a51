// SPDX-License-Identifier: Apache-2.0
// Runs one grid to its end on threads of the CPU.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "emulator/check/finding.h"
#include "emulator/decode/program.h"
#include "emulator/memory/global.h"
#include "warpwright/device.h"
#include "warpwright/target.h"

namespace warpwright::emulator {

struct LaunchOptions {
    CheckLevel level = CheckLevel::all;
    u64 seed = 0;         // of the order of blocks and warps; 0: in order
    int num_threads = 0;  // CPU threads; 0: one for each core
    // Warp instructions without any change of memory that another warp could see, after which a grid that
    // only spins counts as livelocked.
    u64 patience = 200'000'000;
    // Warp instructions after which the launch is given up (fuzzing); 0: never.
    u64 max_instructions = 0;
};

struct LaunchReport {
    std::optional<Finding> finding;  // the first one; the grid did not finish then
    u64 warp_instructions = 0;
    std::string printed;  // by printf, in the order it was printed
};

// `resources` of the image the program came from (registers per thread) for the target's limits; zero
// registers: not checked. Caller errors (no threads, too many, argument bytes that are not the parameters')
// are Findings of kind over_limit or bad_operand with line 0.
LaunchReport run_grid(const Program& program, const Target& target, const ImageResources& resources,
                      GlobalMemory& memory, const LaunchConfig& config, std::span<const std::byte> args,
                      const LaunchOptions& options);

// Blocks of this shape that one SM of the target holds at once; 0: none fits. CUDA programming guide,
// "Compute capabilities": threads, blocks, 65,536 registers, and 1 KiB of shared memory for the system in
// each block.
int resident_blocks(const Program& program, const Target& target, const ImageResources& resources,
                    int block_threads, u32 dynamic_shared_bytes);

}  // namespace warpwright::emulator
