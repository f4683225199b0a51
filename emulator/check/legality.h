// SPDX-License-Identifier: Apache-2.0
// May this PTX run on this GPU, and may its target use this instruction? What ptxas says, from isa/table.h:
// forms that were assembled, and rules for those that were not.
#pragma once

#include <string>

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
    int architecture_ = 0;  // index into isa::architectures()
    int version_ = 0;       // of the text: 10 x major + minor
};

// The name under which the table has an instruction.
std::string canonical_form(const Statement& statement);

}  // namespace warpwright::emulator
