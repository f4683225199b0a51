// SPDX-License-Identifier: Apache-2.0
// One warp without a program: for tests and measurements of single handlers.
//
//     BareWarp bare;
//     Instruction add;
//     add.slot[0] = 0; add.slot[1] = 1; add.slot[2] = 2;
//     bare.warp().lanes<u32>(1)[31] = 7;
//     handler(bare.warp(), add, kAllLanes);
//     EXPECT_FALSE(bare.finding());
#pragma once

#include <optional>

#include "emulator/machine/grid.h"

namespace warpwright::emulator {

class BareWarp {
public:
    struct Options {
        int num_slots = 64;
        int num_predicates = 16;
        u32 shared_bytes = 0;  // offsets kSharedStart and up
        u32 local_bytes = 0;   // per lane
        u32 param_bytes = 0;
        GlobalMemory* memory = nullptr;  // not owned
        CheckLevel level = CheckLevel::all;
        u32 threads = 32;                      // fewer: the lanes above do not exist
        std::string_view target = "h100-sxm";  // of find_target()
    };
    BareWarp() : BareWarp(Options{}) {}
    explicit BareWarp(const Options& options);
    BareWarp(const BareWarp&) = delete;  // the parts point to each other
    BareWarp& operator=(const BareWarp&) = delete;

    Warp& warp() { return block_.warps[0]; }
    Block& block() { return block_; }
    Grid& grid() { return grid_; }
    std::optional<Finding> finding() { return grid_.first_finding(); }

private:
    Program program_;
    Target target_;
    Grid grid_;
    Block block_;
};

}  // namespace warpwright::emulator
