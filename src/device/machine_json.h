// SPDX-License-Identifier: Apache-2.0
// What `warpwright probe` says of a machine.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "device/machine.h"

namespace warpwright {

// What a user should know, as sentences.
std::vector<std::string> conclusions(const Machine& machine);

nlohmann::ordered_json machine_json(const Machine& machine);

}  // namespace warpwright
