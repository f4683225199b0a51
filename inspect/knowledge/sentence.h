// SPDX-License-Identifier: Apache-2.0
// The words of a verdict: why kernels run or do not, in one sentence.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "inspect/knowledge/outcome.h"

namespace warpwright::inspect {

// "sm_80, sm_90a and sm_100f"
std::string listed(std::span<const std::string> words);
// The architectures of images, each once, lowest first: "sm_80 and sm_90a", "compute_80".
std::string architectures(std::vector<const Image*> images);

// Why no image of `builds` is for this GPU: "sm_90a code runs on 9.0 alone, and there is no PTX to compile".
std::string why_missing(std::span<const Image* const> builds, int compute_capability);

// Why a kernel with this outcome does not run. `builds`: those that have the kernel.
std::string why_not(const Outcome& outcome, std::span<const Image* const> builds, const Target& target,
                    const JudgeOptions& options);

}  // namespace warpwright::inspect
