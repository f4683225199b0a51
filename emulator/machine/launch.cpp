// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/launch.h"

#include <cstring>

#include "emulator/machine/grid.h"

namespace warpwright::emulator {

LaunchReport run_grid(const Program& program, const Target& target, const ImageResources&,
                      GlobalMemory& memory, const LaunchConfig& config, std::span<const std::byte> args,
                      const LaunchOptions& options) {
    Grid grid;
    grid.program = &program;
    grid.target = &target;
    grid.memory = &memory;
    grid.config = config;
    grid.options = options;
    grid.params.assign(args.begin(), args.end());
    grid.params.resize(program.param_bytes);

    LaunchReport report;
    Block block;
    for (u32 z = 0; z < config.grid.z; ++z) {
        for (u32 y = 0; y < config.grid.y; ++y) {
            for (u32 x = 0; x < config.grid.x && !grid.stop; ++x) {
                block.open(grid, x, y, z);
                while (block.live_warps > 0 && !grid.stop) {
                    for (Warp& warp : block.warps) {
                        if (warp.live() == 0) continue;
                        const u64 before = warp.num_instructions;
                        if (warp.run(4096) == Pause::finished) --block.live_warps;
                        report.warp_instructions += warp.num_instructions - before;
                    }
                }
            }
        }
    }
    report.finding = grid.first_finding();
    report.printed = grid.printed();
    return report;
}

}  // namespace warpwright::emulator
