// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, tokenizer/added_vocabulary.rs.
#include "engine/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/json_fields.h"
#include "engine/utf8.h"

namespace warpwright {

using nlohmann::json;

Result<AddedTokens> AddedTokens::parse(const json& list, const std::string& where) {
    AddedTokens added;
    for (const json& value : list) {
        Fields fields(value, where);
        AddedToken token;
        token.id = static_cast<i32>(fields.integer("id", 0, (1 << 21) - 1));
        token.content = fields.text("content");
        token.single_word = fields.flag_or("single_word", false);
        token.lstrip = fields.flag_or("lstrip", false);
        token.rstrip = fields.flag_or("rstrip", false);
        token.normalized = fields.flag_or("normalized", !fields.flag_or("special", false));
        token.special = fields.flag_or("special", false);
        WW_TRY(fields.status());
        if (token.content.empty()) continue;
        added.index_[token.normalized][static_cast<u8>(token.content[0])].push_back(
            static_cast<int>(added.tokens_.size()));
        added.tokens_.push_back(std::move(token));
    }
    for (Index& index : added.index_) {
        for (std::vector<int>& numbers : index) {
            std::stable_sort(numbers.begin(), numbers.end(), [&](int a, int b) {
                return added.tokens_[a].content.size() > added.tokens_[b].content.size();
            });
        }
    }
    WW_ASSIGN(added.word_, Regex::compile("\\w"));
    return added;
}

const AddedToken* AddedTokens::match_at(const Index& index, std::string_view rest) const {
    for (const int number : index[static_cast<u8>(rest[0])]) {
        if (rest.starts_with(tokens_[number].content)) return &tokens_[number];
    }
    return nullptr;
}

Result<bool> AddedTokens::is_single_word(std::string_view text, std::size_t begin, std::size_t end) const {
    std::string neighbours;
    if (begin > 0) {
        const std::size_t length = last_character(text.substr(0, begin)).length;
        neighbours += text.substr(begin - length, length);
    }
    if (end < text.size()) neighbours += text.substr(end, first_character(text.substr(end)).length);
    WW_ASSIGN(const auto words, word_.find_all(neighbours));
    return words.empty();
}

Status AddedTokens::split_by(const Index& index, std::string_view text, std::vector<Piece>& pieces) const {
    std::size_t plain = 0;  // text from here on is not in a piece yet
    for (std::size_t at = 0; at < text.size();) {
        const AddedToken* token = match_at(index, text.substr(at));
        if (token == nullptr) {
            ++at;
            continue;
        }
        std::size_t begin = at;
        std::size_t end = at + token->content.size();
        at = end;  // the search goes on behind the match even where it is not taken
        if (token->single_word) {
            WW_ASSIGN(const bool single, is_single_word(text, begin, end));
            if (!single) continue;
        }
        if (token->lstrip) {
            while (begin > plain) {
                const Utf8Character before = last_character(text.substr(0, begin));
                if (!is_white_space(before.code_point)) break;
                begin -= before.length;
            }
            begin = std::max(begin, plain);
        }
        if (token->rstrip) {
            while (end < text.size()) {
                const Utf8Character behind = first_character(text.substr(end));
                if (!is_white_space(behind.code_point)) break;
                end += behind.length;
            }
        }
        if (plain < begin) pieces.push_back({text.substr(plain, begin - plain)});
        pieces.push_back({text.substr(begin, end - begin), token->id});
        plain = end;
    }
    if (plain < text.size()) pieces.push_back({text.substr(plain)});
    return {};
}

Result<std::vector<AddedTokens::Piece>> AddedTokens::split(std::string_view text) const {
    std::vector<Piece> exact;
    WW_TRY(split_by(index_[0], text, exact));
    std::vector<Piece> pieces;
    for (const Piece& piece : exact) {
        if (piece.id >= 0)
            pieces.push_back(piece);
        else
            WW_TRY(split_by(index_[1], piece.text, pieces));
    }
    return pieces;
}

}  // namespace warpwright
