// SPDX-License-Identifier: Apache-2.0
// Added tokens: strings that are tokens whatever the model's vocabulary and pre-tokenizer would make of them.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/flat_map.h"
#include "engine/normalizer.h"
#include "engine/regex.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

struct AddedToken {
    i32 id = 0;
    std::string content;
    std::string spelling;      // what is looked for, and shown: normalized where `normalized`
    bool single_word = false;  // only between non-word characters
    bool lstrip = false;       // takes the white space before it
    bool rstrip = false;       // takes the white space behind it
    bool normalized = false;   // looked for after the others
    bool special = false;      // left out of decoded text on demand
};

class AddedTokens {
public:
    // Tokens that are looked for after normalization are looked for in their normalized spelling.
    static Result<AddedTokens> parse(const nlohmann::json& list, const Normalizer& normalizer,
                                     const std::string& where);

    struct Piece {
        std::string_view text;
        i32 id = -1;               // -1: plain text
        bool starts_text = false;  // nothing is before it
    };
    // Cuts text as it came, then (`normalized`) plain text after normalization.
    Result<std::vector<Piece>> split(std::string_view text, bool normalized) const;
    bool any(bool normalized) const { return index_[normalized].children.size() > 0; }

    const std::vector<AddedToken>& tokens() const { return tokens_; }
    const AddedToken* find(std::string_view content) const;

private:
    // A tree of bytes: (node << 8 | byte) to node; at most one token ends at a node.
    struct Index {
        std::vector<u32> children_of_root = std::vector<u32>(256);
        FlatMap<u32> children;
        std::vector<int> token_at = {-1};
        bool add(std::string_view content, int number);
        int longest_match(std::string_view rest) const;
    };
    Result<bool> is_single_word(std::string_view text, std::size_t begin, std::size_t end) const;

    std::vector<AddedToken> tokens_;
    std::unordered_map<std::string, int> by_content_;
    std::array<Index, 2> index_;  // by `normalized`
    Regex word_;
};

}  // namespace warpwright
