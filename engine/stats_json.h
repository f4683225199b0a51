// SPDX-License-Identifier: Apache-2.0
// What an engine has done, as `warpwright run --json` prints it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/engine.h"

namespace warpwright {

nlohmann::ordered_json timings_json(const EngineStats& stats, double load_s);
nlohmann::ordered_json stats_json(const EngineStats& stats);

}  // namespace warpwright
