// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/launch.h"

#include <new>

#include "emulator/machine/limits.h"
#include "emulator/machine/scheduler.h"

namespace warpwright::emulator {

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

    const int per_sm = resident_blocks(program, target, resources, static_cast<int>(grid.num_threads()),
                                       config.shared_bytes);
    Scheduler scheduler(
        grid, static_cast<u64>(std::max(per_sm, 1)) * static_cast<u64>(std::max(target.facts.num_sms, 1)));
    scheduler.run();
    report.finding = grid.first_finding();
    report.warp_instructions = scheduler.num_instructions();
    report.printed = grid.printed();
    return report;
}

}  // namespace warpwright::emulator
