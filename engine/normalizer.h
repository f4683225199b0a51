// SPDX-License-Identifier: Apache-2.0
// Normalizers of tokenizer.json: text to text, before it is cut into words.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/regex.h"
#include "warpwright/status.h"

namespace warpwright {

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

// Valid UTF-8 in a Unicode normalization form, as the package has it: by tables of Unicode 15, less the
// characters that its own older tables lack.
std::string normalize_unicode(std::string_view text, UnicodeForm form);

class Normalizer {
public:
    // NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip and Sequence; null is none.
    static Result<Normalizer> parse(const nlohmann::json& value, const std::string& where);

    bool empty() const { return steps_.empty(); }
    // `starts_text` turns false where the front of the text is taken away.
    Result<std::string> apply(std::string_view text, bool& starts_text) const;

private:
    enum class Kind { form, prepend, replace_text, replace_matches, strip };
    struct Step {
        Kind kind = Kind::form;
        UnicodeForm form = UnicodeForm::nfc;
        std::string pattern;
        std::string content;
        Regex regex;
        bool left = false, right = false;
    };
    Status add(const nlohmann::json& value, const std::string& where, int depth);

    std::vector<Step> steps_;
};

// Every `pattern` in `text` replaced, from left to right.
std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content);

// Deeper nesting of Sequences is no real file's.
constexpr int kMaxSequenceDepth = 8;

}  // namespace warpwright
