// SPDX-License-Identifier: Apache-2.0
// Python's text functions, on UTF-8.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::jinja {

std::vector<std::string_view> characters_of(std::string_view text);
i64 num_characters(std::string_view text);
bool is_space_character(u32 point);  // str.isspace

// Without white space at the ends, or without the characters of `set`.
std::string_view stripped(std::string_view text, bool left, bool right, const std::string* set);

std::string lowered(std::string_view text);
std::string uppered(std::string_view text);
std::string capitalized(std::string_view text);
std::string titled(std::string_view text,
                   bool filter);  // the filter's words begin behind space and brackets only

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, i64 most);
std::vector<std::string_view> split_at_space(std::string_view text, i64 most);
std::vector<std::string_view> lines_of(std::string_view text);

}  // namespace warpwright::jinja
