// SPDX-License-Identifier: Apache-2.0
// Is the cause of a finding true of the binaries at hand: is the code for the GPU absent from them?
#pragma once

#include <vector>

#include "inspect/diagnose/diagnose.h"
#include "inspect/report.h"

namespace warpwright::diagnose {

// The GPUs to inspect binaries for: `gpu` where one is given, else one for each compute capability that a
// finding is about.
std::vector<Target> targets_to_inspect(const Report& report, const std::optional<Target>& gpu);

// Sets the confirmation of every finding. `binaries` has verdicts for `targets`, in their order.
void confirm(Report& report, const inspect::Report& binaries, const std::vector<Target>& targets);

}  // namespace warpwright::diagnose
