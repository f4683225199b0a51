// SPDX-License-Identifier: Apache-2.0
// Blocks that reach each other's shared memory and wait for each other: PTX ISA 9.7.13.3 (barrier.cluster).
// One thread of the host runs all blocks of a cluster.
#pragma once

#include <vector>

#include "warpwright/types.h"

namespace warpwright::emulator {

class Block;

struct Cluster {
    std::vector<Block*> blocks;  // by rank; null: has ended

    // When every lane that is left has arrived, all may go on.
    void release_if_complete();
};

}  // namespace warpwright::emulator
