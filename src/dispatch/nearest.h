// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warpwright {

// The name with the smallest edit distance to `wanted`, for error messages. Empty when there are none.
std::string nearest(std::string_view wanted, std::span<const std::string> names);

}  // namespace warpwright
