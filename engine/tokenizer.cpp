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

constexpr i64 kMaxTokenizerBytes = 256 << 20;

const json& member_or_null(const json& root, const char* key) {
    static const json kNull;
    const auto found = root.find(key);
    return found == root.end() ? kNull : *found;
}

}  // namespace

// TemplateProcessing's "single": the pieces around the text. ByteLevel only moves offsets, which nobody asks
// for here.
Status Tokenizer::read_post_processor(const json& value, const std::string& where) {
    if (value.is_null()) return {};
    Fields fields(value, where);
    const std::string type = fields.text("type");
    WW_TRY(fields.status());
    if (type == "ByteLevel") return {};
    if (type == "Sequence") {
        const json* list = fields.array("processors");
        WW_TRY(fields.status());
        for (const json& part : *list) WW_TRY(read_post_processor(part, where));
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

Result<Tokenizer> Tokenizer::parse(std::string_view text, const std::string& where) {
    WW_ASSIGN(const json root, parse_json(text, where, false));
    Fields fields(root, where);
    const json* model = fields.object("model");
    WW_TRY(fields.status());
    if (fields.find("normalizer") != nullptr) {
        Fields normalizer(*fields.find("normalizer"), where + ": normalizer");
        const std::string type = normalizer.text("type");
        WW_TRY(normalizer.status());
        return caller_error(
            fmt::format("{}: normalizer: unknown type '{:.40}'; supported: none", where, type));
    }
    const json* decoder_value = fields.object("decoder");
    const json* pre_tokenizer = fields.object("pre_tokenizer");
    WW_TRY(fields.status());
    Fields decoder(*decoder_value, where + ": decoder");
    const std::string decoder_type = decoder.text("type");
    if (decoder_type != "ByteLevel") {
        decoder.fail(fmt::format("unknown type '{:.40}'; supported: ByteLevel", decoder_type));
    }
    WW_TRY(decoder.status());

    Tokenizer tokenizer;
    WW_ASSIGN(tokenizer.bpe_, Bpe::parse(*model, where + ": model"));
    WW_ASSIGN(tokenizer.pre_tokenizer_, PreTokenizer::parse(*pre_tokenizer, where + ": pre_tokenizer"));
    const json& added = member_or_null(root, "added_tokens");
    if (!added.is_null() && !added.is_array())
        return caller_error(
            fmt::format("{}: 'added_tokens': expected an array, got {}", where, describe_json(added)));
    WW_ASSIGN(tokenizer.added_, AddedTokens::parse(added, where + ": added_tokens"));

    std::vector<std::string> spelling = tokenizer.bpe_->tokens();
    for (const AddedToken& token : tokenizer.added_.tokens()) {
        const auto index = static_cast<std::size_t>(token.id);
        if (index >= spelling.size()) spelling.resize(index + 1);
        if (!spelling[index].empty() && spelling[index] != token.content) {
            return caller_error(fmt::format("{}: added_tokens: id {} is '{:.80}' and '{:.80}'", where,
                                            token.id, spelling[index], token.content));
        }
        spelling[index] = token.content;
    }
    for (const std::string& token : spelling) tokenizer.bytes_.push_back(bytes_of_token(token));
    tokenizer.special_.resize(spelling.size());
    for (const AddedToken& token : tokenizer.added_.tokens()) {
        if (token.special) tokenizer.special_[token.id] = true;
    }
    WW_TRY(tokenizer.read_post_processor(member_or_null(root, "post_processor"), where + ": post_processor"));
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
    if (add_special_tokens) ids = prefix_;
    WW_ASSIGN(const auto pieces, added_.split(text));
    std::deque<std::string> storage;
    for (const AddedTokens::Piece& piece : pieces) {
        if (piece.id >= 0) {
            ids.push_back(piece.id);
            continue;
        }
        WW_ASSIGN(const auto words, pre_tokenizer_.words(piece.text, storage));
        for (const std::string_view word : words) bpe_->encode(word, ids);
    }
    if (add_special_tokens) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
    return ids;
}

std::string_view Tokenizer::bytes_of(i32 id) const {
    return id >= 0 && id < vocab_size() ? std::string_view(bytes_[id]) : std::string_view();
}

bool Tokenizer::is_special(i32 id) const {
    return id >= 0 && id < vocab_size() && special_[id];
}

std::optional<i32> Tokenizer::find(std::string_view token) const {
    for (const AddedToken& added : added_.tokens()) {
        if (added.content == token) return added.id;
    }
    return bpe_->find(token);
}

std::string Tokenizer::decode(std::span<const i32> ids, bool skip_special_tokens) const {
    std::string bytes;
    for (const i32 id : ids) {
        if (!skip_special_tokens || !is_special(id)) bytes += bytes_of(id);
    }
    std::string text;
    append_lossy(text, bytes, true);
    return text;
}

std::string TokenStream::push(i32 id) {
    if (skip_special_tokens_ && tokenizer_.is_special(id)) return {};
    held_ += tokenizer_.bytes_of(id);
    std::string text;
    held_.erase(0, append_lossy(text, held_, false));
    return text;
}

std::string TokenStream::finish() {
    std::string text;
    append_lossy(text, held_, true);
    held_.clear();
    return text;
}

}  // namespace warpwright
