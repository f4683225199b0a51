// SPDX-License-Identifier: Apache-2.0
// Rows and their images, as `warpwright kernels --json` prints them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include "dispatch/operation.h"

namespace warpwright {

// Why a row runs no problem on a target; empty where it can.
std::string target_verdict(const Operation& operation, int row, const Target& target);

// Without a target: images of every build target, and no verdict.
nlohmann::ordered_json row_json(const Operation& operation, int row, const Target* target);

// Of one operation, or with an empty name of all. Unknown: caller error.
Result<nlohmann::ordered_json> kernels_json(std::string_view op, const Target* target);

}  // namespace warpwright
