// SPDX-License-Identifier: Apache-2.0
// Where the Unicode tables of Hugging Face's `tokenizers` differ from those of PCRE2 and utf8proc
// (unicode_ranges.inc, made by tools/make_unicode_ranges.py).
#pragma once

#include <string>
#include <string_view>

#include "warpwright/types.h"

namespace warpwright {

// What PCRE2's table of a property lacks, as ranges of a character class: "\x{A7CB}-\x{A7CD}...". `property`
// is a general category ("L", "Lu"), "Han", "word" (\w) or "not_punctuation"; nothing for any other.
std::string ranges_missing_from(std::string_view property);

// The general category of a code point: 'L' and 'u' of "Lu"; "Cn" where it has none. As the package has it,
// but for the second letter of what is no letter, which Unicode changes now and then.
struct GeneralCategory {
    char major = 'C', minor = 'n';
};
GeneralCategory general_category(u32 code_point);

// Code points that the package's normalization leaves alone, and utf8proc does not.
bool is_inert(u32 code_point);

}  // namespace warpwright
