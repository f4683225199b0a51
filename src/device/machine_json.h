// SPDX-License-Identifier: Apache-2.0
// The answer of `probe`: a Machine and what follows from it, written down and read again.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "device/machine.h"
#include "warpwright/status.h"

namespace warpwright {

// {"origin","cpu":{},"system":{},"numa":[],"driver":{},"gpus":[],"peers":[],...,"pack","conclusions":[],"advice":[]}:
// the machine by machine_fields.h, the sentences that follow from it, and the same with rule, topic, weight
// and sources. What a machine does not tell is null, empty or 0.
nlohmann::ordered_json machine_json(const Machine& machine);

// Reads what machine_json wrote, on whatever machine. Fields that are not there are not told; fields that
// this version does not know are passed over. `name` is for messages.
Result<Machine> machine_from_json(std::string_view text, std::string_view name);

}  // namespace warpwright
