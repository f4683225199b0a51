// SPDX-License-Identifier: Apache-2.0
// Pre-tokenizers of tokenizer.json: text is cut into words, inside which the BPE merges.
#pragma once

#include <deque>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/regex.h"
#include "engine/splitter.h"
#include "warpwright/status.h"

namespace warpwright {

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

// Cuts `text` at the matches of `regex`, or between them when inverted. Empty pieces are dropped.
Result<std::vector<std::string_view>> split(const Regex& regex, SplitBehavior behavior, bool invert,
                                            std::string_view text);

class PreTokenizer {
public:
    // Split, Digits, Punctuation, WhitespaceSplit, Metaspace, ByteLevel and Sequence; null is none. A
    // ByteLevel must be the last step.
    static Result<PreTokenizer> parse(const nlohmann::json& value, const std::string& where);

    // Words are bytes, of which the vocabulary has a printable spelling; else they are text.
    bool byte_level() const { return byte_level_; }

    // Words of a piece of text; `starts_text` says that nothing is before it. They point into `text` or into
    // `storage`, which keeps what a step had to add to the text.
    Result<std::vector<std::string_view>> words(std::string_view text, bool starts_text,
                                                std::deque<std::string>& storage) const;

    // When all there is to do is cutting at a known pattern: words() without a list of them.
    const Splitter* only_splitter() const;

private:
    enum class Prepend { never, first, always };
    struct Step {
        bool prefix_space = false;  // ByteLevel's add_prefix_space
        std::string replacement;    // Metaspace's, for spaces and before words
        Prepend prepend = Prepend::never;
        bool cut = false;  // by regex
        Regex regex;
        std::optional<Splitter> splitter;  // does what regex does
        SplitBehavior behavior = SplitBehavior::isolated;
        bool invert = false;
    };
    Status add(const nlohmann::json& value, const std::string& where, int depth);
    Status add_split(const nlohmann::json& value, const std::string& where);
    Status add_metaspace(const nlohmann::json& value, const std::string& where);
    Status add_cut(Step step, const std::string& pattern, const std::string& where);
    static Result<SplitBehavior> behavior_of(const std::string& name, const std::string& where);
    static void respell(const Step& step, bool starts_text, std::vector<std::string_view>& words,
                        std::deque<std::string>& storage);

    std::vector<Step> steps_;
    bool byte_level_ = false;
};

}  // namespace warpwright
