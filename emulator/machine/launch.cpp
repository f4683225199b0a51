// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/launch.h"

#include <algorithm>

#include "emulator/machine/limits.h"
#include "emulator/machine/scheduler.h"

namespace warpwright::emulator {

namespace {

// Of all open blocks, whose registers and local memory a GPU has and a host may not.
constexpr u64 kMaxOpenBytes = u64{4} << 30;

// How many blocks may be open at once.
u64 open_blocks(const Grid& grid, const ImageResources& resources) {
    const Program& program = *grid.program;
    const u64 threads = grid.num_threads();
    const u64 per_sm = static_cast<u64>(resident_blocks(program, *grid.target, resources,
                                                        static_cast<int>(threads), grid.config.shared_bytes));
    const u64 on_target = per_sm * static_cast<u64>(std::max(grid.target->facts.num_sms, 1));
    const u64 block_bytes = threads * (4 * static_cast<u64>(program.num_slots) + program.local_bytes) +
                            2 * (u64{program.static_shared_bytes} + grid.config.shared_bytes);
    return std::clamp<u64>(on_target, 1, std::max<u64>(kMaxOpenBytes / (block_bytes + 1), 1));
}

}  // namespace

LaunchReport run_grid(const Program& program, const Target& target, const ImageResources& resources,
                      GlobalMemory& memory, const LaunchConfig& config, std::span<const std::byte> args,
                      const LaunchOptions& options) {
    static std::atomic<u64> num_grids{0};
    LaunchReport report;
    report.finding = check_launch(program, target, resources, config, args.size(), options.level);
    if (report.finding) return report;

    Grid grid;
    grid.program = &program;
    grid.target = &target;
    grid.memory = &memory;
    grid.config = config;
    grid.options = options;
    grid.id = ++num_grids;
    grid.params.assign(args.begin(), args.end());
    grid.params.resize(program.param_bytes);

    Scheduler scheduler(grid, open_blocks(grid, resources));
    scheduler.run();
    report.finding = grid.first_finding();
    report.warp_instructions = scheduler.num_instructions();
    report.printed = grid.printed();
    return report;
}

}  // namespace warpwright::emulator
