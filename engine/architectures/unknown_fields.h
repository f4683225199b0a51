// SPDX-License-Identifier: Apache-2.0
// What becomes of a config's fields that its reader does not ask for: some are known to change nothing, some
// ask for what no operation here computes, and the rest is reported.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/config.h"
#include "engine/json_fields.h"

namespace warpwright {

// Looks at every field of `object` that `fields`, which reads it, has not been asked for. One that changes
// what a model computes fails, unless its value switches it off; a harmless one is dropped; any other is
// added to config.ignored_fields, after `prefix`.
void sort_unread_fields(Fields& fields, const nlohmann::json& object, const std::string& prefix,
                        ModelConfig& config);

}  // namespace warpwright
