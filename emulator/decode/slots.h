// SPDX-License-Identifier: Apache-2.0
// From virtual registers to slots of the register file.
#pragma once

#include "emulator/decode/program.h"
#include "emulator/decode/statement_binding.h"

namespace warpwright::emulator {

// Moves the code and its constants into `program`, with every operand's slot. An error when it takes more
// registers than a warp can have here.
Status assign_slots(BoundCode& code, Program& program);

}  // namespace warpwright::emulator
