// SPDX-License-Identifier: Apache-2.0
// "did you mean": the known name nearest to one that was not found.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace warpwright {

// Edits (insert, delete, substitute, swap neighbours) that turn one name into the other.
int edit_distance(std::string_view a, std::string_view b);

// The name with the fewest edits; the first of equals. Empty when there are no names.
std::string nearest_name(std::string_view name, std::span<const std::string> names);

}  // namespace warpwright
