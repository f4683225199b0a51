// SPDX-License-Identifier: Apache-2.0
#include "engine/tokenizer.h"

#include <fmt/format.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "engine/json_fields.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

constexpr i64 kMaxTokenizerBytes = 64 << 20;  // twice the largest there is

const json& member_or_null(const json& root, const char* key) {
    static const json kNull;
    const auto found = root.find(key);
    return found == root.end() ? kNull : *found;
}

}  // namespace

// TemplateProcessing's "single": the pieces around the text. ByteLevel only moves offsets, which nobody asks
// for here.
Status Tokenizer::read_post_processor(const json& value, const std::string& where, int depth) {
    if (value.is_null()) return {};
    Fields fields(value, where);
    const std::string type = fields.text("type");
    WW_TRY(fields.status());
    if (type == "ByteLevel") return {};
    if (type == "Sequence") {
        if (depth == kMaxSequenceDepth) {
            return caller_error(fmt::format("{}: expected at most {} nested Sequences", where, depth));
        }
        const json* list = fields.array("processors");
        WW_TRY(fields.status());
        for (const json& part : *list) WW_TRY(read_post_processor(part, where, depth + 1));
        return {};
    }
    if (type != "TemplateProcessing") {
        return caller_error(fmt::format(
            "{}: unknown type '{:.40}'; supported: Sequence, ByteLevel, TemplateProcessing", where, type));
    }
    const json* single = fields.array("single");
    const json* known = fields.object("special_tokens");
    WW_TRY(fields.status());
    std::vector<i32> around[2];
    int num_texts = 0;
    for (const json& piece : *single) {
        if (piece.is_object() && piece.contains("Sequence")) {
            ++num_texts;
            continue;
        }
        Fields piece_fields(piece, where + ": single");
        const json* special = piece_fields.object("SpecialToken");
        WW_TRY(piece_fields.status());
        Fields special_fields(*special, where + ": single");
        const std::string name = special_fields.text("id");
        WW_TRY(special_fields.status());
        const json& entry = member_or_null(*known, name.c_str());
        const json* ids = entry.is_object() ? &member_or_null(entry, "ids") : nullptr;
        if (ids == nullptr || !ids->is_array()) {
            return caller_error(fmt::format("{}: special_tokens: expected the ids of '{:.80}'", where, name));
        }
        for (const json& id : *ids) {
            if (!id.is_number_unsigned() || id.get<u64>() >= static_cast<u64>(vocab_size())) {
                return caller_error(fmt::format("{}: special_tokens: '{:.80}': expected ids below {}, got {}",
                                                where, name, vocab_size(), describe_json(id)));
            }
            around[num_texts > 0].push_back(id.get<i32>());
        }
    }
    if (num_texts != 1) {
        return caller_error(
            fmt::format("{}: single: expected the text once, got it {} times", where, num_texts));
    }
    // A later template wraps what an earlier one made.
    prefix_.insert(prefix_.begin(), around[0].begin(), around[0].end());
    suffix_.insert(suffix_.end(), around[1].begin(), around[1].end());
    return {};
}

// What each id spells and decodes to.
Status Tokenizer::read_spellings(const std::string& where) {
    spelling_ = bpe_->tokens();
    for (const AddedToken& token : added_.tokens()) {
        const auto index = static_cast<std::size_t>(token.id);
        if (index >= spelling_.size()) spelling_.resize(index + 1);
        if (!spelling_[index].empty() && spelling_[index] != token.content) {
            return caller_error(fmt::format("{}: added_tokens: id {} is '{:.80}' and '{:.80}'", where,
                                            token.id, spelling_[index], token.content));
        }
        if (const auto id = bpe_->find(token.content); id && *id != token.id) {
            return caller_error(
                fmt::format("{}: added_tokens: '{:.80}': expected its id in the vocab, {}, got {}", where,
                            token.content, *id, token.id));
        }
        spelling_[index] = token.spelling;
    }
    special_.resize(spelling_.size());
    is_byte_.resize(spelling_.size());
    bytes_.reserve(spelling_.size());
    for (std::size_t id = 0; id < spelling_.size(); ++id) {
        bytes_.push_back(decoder_.text_of(spelling_[id]));
        is_byte_[id] = decoder_.byte_fallback && byte_of_token(spelling_[id]).has_value();
    }
    for (const AddedToken& token : added_.tokens()) {
        if (token.special) special_[token.id] = true;
    }
    return {};
}

Result<Tokenizer> Tokenizer::parse(std::string_view text, const std::string& where) {
    WW_ASSIGN(const json root, parse_json(text, where, false));
    Fields fields(root, where);
    const json* model = fields.object("model");
    const json* decoder = fields.object("decoder");
    WW_TRY(fields.status());
    Tokenizer tokenizer;
    WW_ASSIGN(tokenizer.normalizer_,
              Normalizer::parse(member_or_null(root, "normalizer"), where + ": normalizer"));
    WW_ASSIGN(tokenizer.pre_tokenizer_,
              PreTokenizer::parse(member_or_null(root, "pre_tokenizer"), where + ": pre_tokenizer"));
    WW_ASSIGN(tokenizer.decoder_, Decoder::parse(*decoder, where + ": decoder"));
    const bool byte_level = tokenizer.pre_tokenizer_.byte_level();
    if (byte_level != tokenizer.decoder_.byte_level) {
        return caller_error(
            fmt::format("{}: expected ByteLevel as pre_tokenizer and as decoder, got it as {} only", where,
                        byte_level ? "pre_tokenizer" : "decoder"));
    }
    WW_ASSIGN(tokenizer.bpe_, Bpe::parse(*model, byte_level, where + ": model"));
    const json& added = member_or_null(root, "added_tokens");
    if (!added.is_null() && !added.is_array())
        return caller_error(
            fmt::format("{}: 'added_tokens': expected an array, got {}", where, describe_json(added)));
    WW_ASSIGN(tokenizer.added_, AddedTokens::parse(added, tokenizer.normalizer_, where + ": added_tokens"));
    WW_TRY(tokenizer.read_spellings(where));
    WW_TRY(
        tokenizer.read_post_processor(member_or_null(root, "post_processor"), where + ": post_processor", 0));
    return tokenizer;
}

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
    std::error_code error;
    const auto file = std::filesystem::is_directory(path, error) ? path / "tokenizer.json" : path;
    WW_ASSIGN(const std::string text, read_text_file(file, kMaxTokenizerBytes));
    return parse(text, file.string());
}

Result<std::vector<i32>> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
    if (const auto position = find_invalid_utf8(text)) {
        return caller_error(fmt::format("text: expected UTF-8, got byte 0x{:02x} at position {}",
                                        static_cast<u8>(text[*position]), *position));
    }
    std::vector<i32> ids;
    ids.reserve(text.size() / 4 + 8);
    if (add_special_tokens) ids = prefix_;
    auto worker = bpe_->take_worker();
    Status status;
    WW_ASSIGN(const auto pieces, added_.split(text, false));
    for (const AddedTokens::Piece& piece : pieces) {
        if (piece.id >= 0)
            ids.push_back(piece.id);
        else
            status = encode_plain(piece.text, piece.starts_text, *worker, ids);
        if (!status.ok()) break;
    }
    bpe_->give_back(std::move(worker));
    if (!status.ok()) return status;
    if (add_special_tokens) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
    return ids;
}

// Text without added tokens, but for those that are looked for in normalized text.
Status Tokenizer::encode_plain(std::string_view text, bool starts_text, Bpe::Worker& worker,
                               std::vector<i32>& ids) const {
    std::string normalized;
    if (!normalizer_.empty()) {
        WW_ASSIGN(normalized, normalizer_.apply(text, starts_text));
        text = normalized;
    }
    std::vector<AddedTokens::Piece> pieces{{text, -1, true}};
    if (added_.any(true)) {
        WW_ASSIGN(pieces, added_.split(text, true));
    }
    const Splitter* splitter = pre_tokenizer_.only_splitter();
    for (const AddedTokens::Piece& piece : pieces) {
        if (piece.id >= 0) {
            ids.push_back(piece.id);
            continue;
        }
        if (splitter != nullptr) {
            for (std::size_t begin = 0; begin < piece.text.size();) {
                const std::size_t end = splitter->end_of_word(piece.text, begin);
                worker.encode(piece.text.substr(begin, end - begin), ids);
                begin = end;
            }
            continue;
        }
        std::deque<std::string> storage;
        WW_ASSIGN(const auto words,
                  pre_tokenizer_.words(piece.text, starts_text && piece.starts_text, storage));
        for (const std::string_view word : words) worker.encode(word, ids);
    }
    return {};
}

std::string_view Tokenizer::bytes_of(i32 id) const {
    return id >= 0 && id < vocab_size() ? std::string_view(bytes_[id]) : std::string_view();
}

bool Tokenizer::is_special(i32 id) const {
    return id >= 0 && id < vocab_size() && special_[id];
}

std::optional<i32> Tokenizer::find(std::string_view token) const {
    if (const AddedToken* added = added_.find(token)) return added->id;
    return bpe_->find(token);
}

std::string Tokenizer::decode(std::span<const i32> ids, bool skip_special_tokens) const {
    TokenStream stream(*this, skip_special_tokens);
    std::string text;
    for (const i32 id : ids) text += stream.push(id);
    return text + stream.finish();
}

std::string TokenStream::push(i32 id) {
    if (id < 0 || id >= tokenizer_.vocab_size()) return {};
    const auto index = static_cast<std::size_t>(id);
    if (tokenizer_.spelling_[index].empty()) return {};
    if (skip_special_tokens_ && tokenizer_.is_special(id)) return {};
    const Decoder& decoder = tokenizer_.decoder_;
    std::string text;
    if (decoder.byte_level) {
        held_ += tokenizer_.bytes_of(id);
        held_.erase(0, append_lossy(text, held_, false));
        return text;
    }
    if (tokenizer_.is_byte_[index]) {
        held_ += tokenizer_.bytes_of(id);
        return {};
    }
    take_held(text);
    if (first_ && !decoder.dropped_first.empty()) {
        text += replace_all(tokenizer_.spelling_[index], decoder.dropped_first, "");
    } else {
        text += tokenizer_.bytes_of(id);
    }
    first_ = false;
    strip_front(text);
    return text;
}

// A run of bytes: the characters it spells, or U+FFFD for each byte.
void TokenStream::take_held(std::string& text) {
    if (tokenizer_.decoder_.byte_level) {
        append_lossy(text, held_, true);
    } else if (!find_invalid_utf8(held_)) {
        text += held_;
    } else {
        for (std::size_t i = 0; i < held_.size(); ++i) text += "\xEF\xBF\xBD";
    }
    held_.clear();
}

void TokenStream::strip_front(std::string& text) {
    if (text.empty()) return;
    while (num_to_strip_ > 0 && text.starts_with(tokenizer_.decoder_.stripped)) {
        text.erase(0, tokenizer_.decoder_.stripped.size());
        --num_to_strip_;
    }
    if (!text.empty()) num_to_strip_ = 0;
}

std::string TokenStream::finish() {
    std::string text;
    take_held(text);
    strip_front(text);
    return text;
}

}  // namespace warpwright
