// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "warpwright/plan.h"

namespace warpwright {

nlohmann::ordered_json plan_json(const Plan& plan);

}  // namespace warpwright
