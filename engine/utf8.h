// SPDX-License-Identifier: Apache-2.0
// UTF-8: where text is broken, and how broken text is shown.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "warpwright/types.h"

namespace warpwright {

// The character at the front of non-empty `bytes`. When it is not valid, `length` is the maximal broken
// subpart, the bytes that one U+FFFD stands for (Unicode 15, section 3.9).
struct Utf8Character {
    std::size_t length = 1;
    bool valid = false;
    bool incomplete = false;  // the bytes end inside a character that is well-formed so far
    u32 code_point = 0;       // when valid
};
Utf8Character first_character(std::string_view bytes);

// The last character of non-empty valid UTF-8.
Utf8Character last_character(std::string_view text);

// Byte position of the first broken character, or nothing.
std::optional<std::size_t> find_invalid_utf8(std::string_view bytes);

// Appends `bytes` with U+FFFD in place of what is broken. An unfinished character at the end is left alone
// unless `final`. Returns the number of bytes taken.
std::size_t append_lossy(std::string& text, std::string_view bytes, bool final);

void append_utf8(std::string& text, u32 code_point);

// Property White_Space.
bool is_white_space(u32 code_point);

}  // namespace warpwright
