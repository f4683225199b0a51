// SPDX-License-Identifier: Apache-2.0
// May this PTX run on this GPU, and may its target use this instruction? What ptxas says, from
// data/isa.json: forms that were measured one by one, and rules for those that were not.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "emulator/parse/module.h"
#include "warpwright/status.h"

namespace warpwright::emulator {

class Legality {
public:
    // For the text's .target and .version. An error when a GPU of this compute capability (10 x major +
    // minor) cannot run what is compiled for the target: sm_80 runs on 8.0 and everything later, sm_100f on
    // its family (10.0 and 10.3), sm_90a on 9.0 alone.
    static Result<Legality> of(const Module& module, int compute_capability);

    // "illegal instruction on sm_80: needs sm_90 or later". What no rule speaks of is legal.
    Status check(const Statement& statement) const;

private:
    std::string target_;
    int column_ = 0;   // of the target in the table
    int version_ = 0;  // of the text: 10 x major + minor
};

// The name under which the table has an instruction: modifiers that are no types in alphabetical order, then
// the types as they stand. "cvt.rn.satfinite.e4m3x2.f32"; "min/4.f32" with four operands.
std::string canonical_form(const Statement& statement);

// The two sources of a verdict, for tests: what was measured (empty where the form was not), and what the
// rules say. Bit i: legal for the table's target i.
std::vector<std::string> measured_forms();
std::optional<u32> measured_targets(const std::string& form);
u32 targets_by_rule(const std::string& form);

}  // namespace warpwright::emulator
