// SPDX-License-Identifier: Apache-2.0
// The finding of a grid that hangs: who waits where, and for whom.
#pragma once

#include <span>
#include <string_view>

#include "emulator/machine/grid.h"

namespace warpwright::emulator {

// `reason` and a line for each group of lanes of the blocks; one for those of a block that do the same.
// Nothing of them may run meanwhile.
Finding describe_hang(Grid& grid, std::span<Block* const> blocks, std::string_view reason);

}  // namespace warpwright::emulator
