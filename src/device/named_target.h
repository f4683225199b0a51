// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "warpwright/target.h"

namespace warpwright {

// A listed target by id or alias, or what is in this machine: "auto" (the first GPU, else the CPU), "cuda:N".
Result<Target> named_target(std::string_view name);

}  // namespace warpwright
