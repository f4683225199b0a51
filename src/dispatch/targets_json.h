// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "warpwright/target.h"

namespace warpwright {

// What `warpwright targets NAME --json` prints.
nlohmann::ordered_json target_json(const Target& target);

}  // namespace warpwright
