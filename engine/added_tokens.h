// SPDX-License-Identifier: Apache-2.0
// Added tokens: strings that are tokens whatever the model's vocabulary and pre-tokenizer would make of them.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/regex.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

struct AddedToken {
    i32 id = 0;
    std::string content;
    bool single_word = false;  // only between non-word characters
    bool lstrip = false;       // takes the white space before it
    bool rstrip = false;       // takes the white space behind it
    bool normalized = false;   // looked for after the others
    bool special = false;      // left out of decoded text on demand
};

class AddedTokens {
public:
    static Result<AddedTokens> parse(const nlohmann::json& list, const std::string& where);

    struct Piece {
        std::string_view text;
        i32 id = -1;  // -1: plain text
    };
    Result<std::vector<Piece>> split(std::string_view text) const;

    const std::vector<AddedToken>& tokens() const { return tokens_; }

private:
    // Token numbers by first byte, longest content first.
    using Index = std::array<std::vector<int>, 256>;
    const AddedToken* match_at(const Index& index, std::string_view rest) const;
    Result<bool> is_single_word(std::string_view text, std::size_t begin, std::size_t end) const;
    Status split_by(const Index& index, std::string_view text, std::vector<Piece>& pieces) const;

    std::vector<AddedToken> tokens_;
    std::array<Index, 2> index_;  // by `normalized`
    Regex word_;
};

}  // namespace warpwright
