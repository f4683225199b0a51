// SPDX-License-Identifier: Apache-2.0
// cp.async: copies that a lane issued and that have not landed. They land, in the order they were issued,
// when the lane waits for their group, and no earlier: a kernel that reads too soon finds the shadow's mark.
#pragma once

#include <deque>

#include "emulator/memory/global.h"

namespace warpwright::emulator {

class Warp;

struct PendingCopy {  // of one instruction, all its lanes
    u32 lanes = 0;
    i32 statement = 0;
    u32 bytes = 0;
    u32 source_bytes[32] = {};  // the rest is zero
    u32 to[32] = {};            // shared offset
    u64 from[32] = {};          // global address
    u32 group[32] = {};         // of each lane
};

struct AsyncCopies {
    std::deque<PendingCopy> pending;
    u32 open_group[32] = {};  // the group that the lane's next copy joins: how many it committed
    void clear() {
        pending.clear();
        for (u32& group : open_group) group = 0;
    }
};

}  // namespace warpwright::emulator
