// SPDX-License-Identifier: Apache-2.0
// A report for people and for machines.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

#include "inspect/diagnose/diagnose.h"

namespace warpwright::diagnose {

// {"findings":[...],"elsewhere":[...],"unknown":[...],"files","bytes"}
nlohmann::ordered_json to_json(const Report& report);
nlohmann::ordered_json to_json(const Finding& finding);

std::string to_text(const Finding& finding);
// Everything; findings that were shown when they came are only counted.
std::string to_text(const Report& report, const std::optional<Target>& gpu, bool findings_shown);

}  // namespace warpwright::diagnose
