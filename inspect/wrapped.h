// SPDX-License-Identifier: Apache-2.0
// Sentences for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace warpwright::inspect {

// `text` after `lead`, broken between words at `columns` characters, further lines under its first character.
// Ends with a newline. A word that is longer stands alone.
std::string wrapped(const std::string& lead, std::string_view text, size_t columns = 100);

}  // namespace warpwright::inspect
