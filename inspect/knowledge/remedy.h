// SPDX-License-Identifier: Apache-2.0
// What helps where kernels do not run: a driver, a variable, a build, or a row of our own.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "inspect/report.h"
#include "warpwright/target.h"

namespace warpwright::inspect {

struct Failing {
    std::span<const std::string_view> names;  // mangled
    std::string foreign;            // instructions that this GPU has not, of all builds of some of them
    std::size_t num_elsewhere = 0;  // stubs that are meant for other GPUs
    std::size_t num_foreign = 0;    // how many
    bool suffixed = false;          // some build of theirs carries a suffix
    bool forced_jit_helps = false;  // their PTX would run where the code that is taken before it does not
    bool rebuilding_helps = false;  // false where only drivers and limits stand in the way
    int driver = 0;                 // at least this one, where that is all they need
};

// Instructions of `classes` that this GPU has not: "wgmma, which only 9.0 has"; empty: none.
std::string foreign_instructions(InstructionClasses classes, int compute_capability);

// In words, without a full stop; empty where nothing is known to help.
std::string remedy(const FileReport& file, const Target& target, const Failing& failing);

}  // namespace warpwright::inspect
