// SPDX-License-Identifier: Apache-2.0
// How findings name lanes and places.
#pragma once

#include <string>

#include "emulator/machine/warp.h"

namespace warpwright::emulator {

// "0-15,31"
std::string ranges_text(u32 bits);
// "lane 7", "lanes 0-15,31", "no lane".
std::string lanes_text(u32 lanes);

// Fills in line, statement and source.
void locate(Finding& finding, const Program& program, const Instruction& instruction);

// "line 12 (bar.sync)", or "the end of the program".
std::string place_text(const Program& program, i32 pc);

}  // namespace warpwright::emulator
