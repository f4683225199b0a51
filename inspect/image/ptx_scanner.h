// SPDX-License-Identifier: Apache-2.0
// PTX as a sequence of words and statements, in one pass and without copies. No grammar: what is not
// understood is stepped over.
#pragma once

#include <string_view>

#include "warpwright/types.h"

namespace warpwright::inspect {

class PtxScanner {
public:
    // Ends at the first NUL: a text in a fatbin is padded with them.
    explicit PtxScanner(std::string_view text) : text_(text.substr(0, text.find('\0'))) {}

    bool at_end() const { return at_ >= text_.size(); }
    size_t position() const { return at_; }
    std::string_view text() const { return text_; }
    char peek() const { return at_end() ? '\0' : text_[at_]; }
    void step() { at_ += at_end() ? 0 : 1; }

    void skip_space();  // white space and comments
    // Letters, digits and "_$%.:"; empty where none is.
    std::string_view word();
    // A number in decimal; 0 where none is.
    u64 number();
    // Up to `end` or the end of the text, without it; the scanner stands behind it. Comments and strings are
    // stepped over.
    std::string_view until(char end);
    std::string_view line();
    // The scanner stands behind '(' or '{' and goes behind the matching mark; gives what is between.
    std::string_view until_closed(char open, char close);

private:
    std::string_view text_;
    size_t at_ = 0;
};

}  // namespace warpwright::inspect
