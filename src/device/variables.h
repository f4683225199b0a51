// SPDX-License-Identifier: Apache-2.0
// data/variables.toml: environment variables that change which kernel, transport or compiler an engine takes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/machine.h"

namespace warpwright {

struct KnownVariable {
    std::string name;
    std::string of;    // the program that reads it: "vLLM"
    std::string kind;  // "kernels", "transport", "build" or "runtime"
    std::string does;
    std::string source;
    std::string date;  // when the source was read, YYYY-MM-DD
};

// In the order of the file. It is part of the program: a flaw in it is a bug and throws std::logic_error.
std::span<const KnownVariable> known_variables();
const KnownVariable* find_variable(std::string_view name);

// Those of the list that this process has, in its order. Values of others are not looked at.
std::vector<SetVariable> set_variables();

}  // namespace warpwright
