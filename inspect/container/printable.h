// SPDX-License-Identifier: Apache-2.0
// Names out of untrusted files: for a terminal, for JSON, for a line of text.
#pragma once

#include <string>
#include <string_view>

namespace warpwright::inspect {

// Valid UTF-8 without control characters: every other byte is written as \xNN, and so is a backslash before
// "x", so that two names never become one.
std::string printable(std::string_view name);

}  // namespace warpwright::inspect
