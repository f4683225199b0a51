// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/machine.h"

namespace warpwright::cli {

// The machine, the variables that are set, and what follows from them, with the rules that say so. A machine
// of a file is somebody else's text: it reaches the terminal as text only.
void print_machine(const Machine& machine);

// Every variable of data/variables.toml, with the value of those that are set.
void print_known_variables(const Machine& machine);

}  // namespace warpwright::cli
