// SPDX-License-Identifier: Apache-2.0
// What the emulator covers, as docs/emulator.md shows it.
#pragma once

#include <string>

namespace warpwright::emulator {

// A Markdown table, one row for each instruction in alphabetical order: forms and section of the PTX ISA.
std::string coverage_table();

}  // namespace warpwright::emulator
