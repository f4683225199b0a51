// SPDX-License-Identifier: Apache-2.0
// Pre-tokenizers of tokenizer.json: text is cut into words, inside which the BPE merges.
#pragma once

#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/regex.h"
#include "warpwright/status.h"

namespace warpwright {

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

// Cuts `text` at the matches of `regex`, or between them when inverted. Empty pieces are dropped.
Result<std::vector<std::string_view>> split(const Regex& regex, SplitBehavior behavior, bool invert,
                                            std::string_view text);

class PreTokenizer {
public:
    // Split, Digits, ByteLevel and Sequence. The last step must be a ByteLevel, which fixes the alphabet.
    static Result<PreTokenizer> parse(const nlohmann::json& value, const std::string& where);

    // Words as bytes: the printable alphabet of ByteLevel is a spelling of the vocabulary file only. They
    // point into `text` or into `storage`, which keeps what a step had to add to the text.
    Result<std::vector<std::string_view>> words(std::string_view text,
                                                std::deque<std::string>& storage) const;

private:
    struct Step {
        bool prefix_space = false;  // ByteLevel's add_prefix_space
        bool cut = false;           // by regex
        Regex regex;
        SplitBehavior behavior = SplitBehavior::isolated;
        bool invert = false;
    };
    Status add(const nlohmann::json& value, const std::string& where, bool& complete);

    std::vector<Step> steps_;
};

}  // namespace warpwright
