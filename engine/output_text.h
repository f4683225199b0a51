// SPDX-License-Identifier: Apache-2.0
// OutputText: the tokens of one sequence as text that can be shown at once, up to a stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "engine/tokenizer.h"

namespace warpwright {

// Finds the first end of any of some strings in a text that comes in pieces. Which pieces they are changes
// nothing; of several strings that end together the longest counts.
class StopStrings {
public:
    explicit StopStrings(const std::vector<std::string>& strings);

    // What is certain to come before a stop string: what may be the beginning of one is held back.
    std::string push(std::string_view text);
    // What was held back, once nothing more comes. Empty after a stop.
    std::string finish();

    bool found() const { return !found_.empty(); }
    const std::string& which() const { return found_; }

private:
    // Knuth, Morris and Pratt: how much of the string the text ends with, and to how much that falls back.
    struct Needle {
        std::string text;
        std::vector<std::size_t> fallback;
        std::size_t matched = 0;
    };
    std::vector<Needle> needles_;
    std::string held_, found_;
};

struct OutputTextOptions {
    std::vector<std::string> stop;  // not empty ones
    bool include_stop = false;      // the stop string is part of the text
    i64 min_tokens = 0;             // text of the first so many tokens is not looked at
};

class OutputText {
public:
    OutputText(const Tokenizer& tokenizer, OutputTextOptions options);

    // One more token, and the text that can be shown now. A token that ended the sequence (Finish::stop) is
    // no part of it. After the last token, or at a stop string, nothing is held back any more.
    std::string push(const Token& token);
    // What is still held back, where a sequence ends without another token.
    std::string finish();

    bool stopped() const { return stops_.found(); }
    const std::string& stop_string() const { return stops_.which(); }
    const std::string& text() const { return text_; }  // all of it that was returned

private:
    std::string show(std::string text);

    OutputTextOptions options_;
    TokenStream stream_;
    StopStrings stops_;
    std::string text_;
    i64 num_tokens_ = 0;
    bool ended_ = false;
};

}  // namespace warpwright
