// SPDX-License-Identifier: Apache-2.0
// From PTX text to a Program.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "emulator/decode/binding.h"
#include "emulator/decode/program.h"
#include "emulator/memory/global.h"

namespace warpwright::emulator {

// Binds every statement of entry `entry` (empty: the only one), shares registers by liveness, and places
// variables: .global ones are allocated in `memory` and initialised (they live as long as the program: see
// LoadedProgram), .const, .shared and .local ones get offsets. Unknown opcodes and modifiers, and
// instructions that the target has not, are errors that name the line and the statement.
struct LoadedProgram {
    Program program;
    std::vector<u64> globals;  // allocations made for .global variables
};
Result<LoadedProgram> load_program(std::string_view ptx, std::string_view entry, const DecodeTarget& target,
                                   GlobalMemory& memory);
Result<LoadedProgram> load_program(const Module& module, std::string_view entry, const DecodeTarget& target,
                                   GlobalMemory& memory);

}  // namespace warpwright::emulator
