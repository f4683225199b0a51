// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "warpwright/explain.h"

namespace warpwright {

nlohmann::ordered_json explanation_json(const Explanation& explanation);

}  // namespace warpwright
