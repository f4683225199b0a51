// SPDX-License-Identifier: Apache-2.0
// Fields of formats as texts, for problems that have them.
#pragma once

#include <string_view>

#include "warpwright/quantize_format.h"
#include "warpwright/status.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, CodeType& code);
Status parse_enum(std::string_view name, std::string_view text, ScaleType& scale);

}  // namespace warpwright
