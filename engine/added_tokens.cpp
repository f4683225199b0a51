// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, tokenizer/added_vocabulary.rs.
#include "engine/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/bpe.h"
#include "engine/json_fields.h"
#include "engine/utf8.h"

namespace warpwright {

using nlohmann::json;

namespace {

constexpr std::size_t kMaxAddedTokens = 1 << 17;  // twenty times as many as Gemma 3 has
constexpr std::size_t kMaxAddedBytes = 16 << 20;  // their contents together

}  // namespace

bool AddedTokens::Index::add(std::string_view content, int number) {
    u32 node = 0;
    for (const char c : content) {
        const u64 key = static_cast<u64>(node) << 8 | static_cast<u8>(c);
        if (const u32* child = children.find(key)) {
            node = *child;
            continue;
        }
        const u32 fresh = static_cast<u32>(token_at.size());
        children.insert(key, fresh);
        if (node == 0) children_of_root[static_cast<u8>(c)] = fresh;
        token_at.push_back(-1);
        node = fresh;
    }
    if (token_at[node] >= 0) return false;
    token_at[node] = number;
    return true;
}

int AddedTokens::Index::longest_match(std::string_view rest) const {
    u32 node = children_of_root[static_cast<u8>(rest[0])];
    if (node == 0) return -1;
    int best = token_at[node];
    for (std::size_t at = 1; at < rest.size(); ++at) {
        const u32* child = children.find(static_cast<u64>(node) << 8 | static_cast<u8>(rest[at]));
        if (child == nullptr) break;
        node = *child;
        if (token_at[node] >= 0) best = token_at[node];
    }
    return best;
}

Result<AddedTokens> AddedTokens::parse(const json& list, const Normalizer& normalizer,
                                       const std::string& where) {
    AddedTokens added;
    if (list.size() > kMaxAddedTokens) {
        return caller_error(
            fmt::format("{}: expected at most {} tokens, got {}", where, kMaxAddedTokens, list.size()));
    }
    std::unordered_map<i32, int> by_id;
    std::size_t total = 0;
    for (const json& value : list) {
        Fields fields(value, fmt::format("{}: number {}", where, added.tokens_.size()));
        AddedToken token;
        token.id = static_cast<i32>(fields.integer("id", 0, kMaxTokenId - 1));
        token.content = fields.text("content");
        token.single_word = fields.flag_or("single_word", false);
        token.lstrip = fields.flag_or("lstrip", false);
        token.rstrip = fields.flag_or("rstrip", false);
        token.normalized = fields.flag_or("normalized", !fields.flag_or("special", false));
        token.special = fields.flag_or("special", false);
        WW_TRY(fields.status());
        total += token.content.size();
        if (total > kMaxAddedBytes) {
            return caller_error(
                fmt::format("{}: expected contents of at most {} bytes together", where, kMaxAddedBytes));
        }
        if (token.content.empty()) continue;
        const int number = static_cast<int>(added.tokens_.size());
        const auto [same_id, new_id] = by_id.emplace(token.id, number);
        if (!new_id) {
            return caller_error(fmt::format("{}: id {} is '{:.80}' and '{:.80}'", where, token.id,
                                            added.tokens_[same_id->second].content, token.content));
        }
        if (!added.by_content_.emplace(token.content, number).second) {
            return caller_error(fmt::format("{}: '{:.80}' occurs twice", where, token.content));
        }
        std::string wanted = token.content;
        if (token.normalized) {
            bool unused = false;
            WW_ASSIGN(wanted, normalizer.apply(token.content, unused));
        }
        // Of two that look the same when normalized, the package takes the first.
        if (!wanted.empty()) added.index_[token.normalized].add(wanted, number);
        token.spelling = std::move(wanted);
        added.tokens_.push_back(std::move(token));
    }
    // \w of the crate that the package uses for this
    WW_ASSIGN(added.word_, Regex::compile(R"([\w\x{200C}\x{200D}])"));
    return added;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
    const auto found = by_content_.find(std::string(content));
    return found == by_content_.end() ? nullptr : &tokens_[found->second];
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

Result<std::vector<AddedTokens::Piece>> AddedTokens::split(std::string_view text, bool normalized) const {
    const Index& index = index_[normalized];
    std::vector<Piece> pieces;
    std::size_t plain = 0;  // text from here on is not in a piece yet
    for (std::size_t at = 0; at < text.size();) {
        const int number = index.longest_match(text.substr(at));
        if (number < 0) {
            ++at;
            continue;
        }
        const AddedToken* token = &tokens_[static_cast<std::size_t>(number)];
        std::size_t begin = at;
        std::size_t end = at + token->spelling.size();
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
        if (plain < begin) pieces.push_back({text.substr(plain, begin - plain), -1, plain == 0});
        pieces.push_back({text.substr(begin, end - begin), token->id});
        plain = end;
    }
    if (plain < text.size()) pieces.push_back({text.substr(plain), -1, plain == 0});
    return pieces;
}

}  // namespace warpwright
