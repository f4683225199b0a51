// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, tokenizer/normalizer.rs (split) and pre_tokenizers/.
#include "engine/pretokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/json_fields.h"

namespace warpwright {
namespace {

using nlohmann::json;

// GPT-2's pattern, which ByteLevel applies itself unless use_regex is false.
constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct Piece {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool is_match = false;
};

std::optional<SplitBehavior> behavior_named(std::string_view name) {
    if (name == "Removed") return SplitBehavior::removed;
    if (name == "Isolated") return SplitBehavior::isolated;
    if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (name == "Contiguous") return SplitBehavior::contiguous;
    return std::nullopt;
}

// A match joins the piece before it, unless that piece ends in a match already.
std::vector<Piece> merge_with_previous(const std::vector<Piece>& pieces) {
    std::vector<Piece> merged;
    bool previous_match = false;
    for (const Piece& piece : pieces) {
        if (piece.is_match && !previous_match && !merged.empty())
            merged.back().end = piece.end;
        else
            merged.push_back(piece);
        previous_match = piece.is_match;
    }
    return merged;
}

std::vector<Piece> merge_with_next(const std::vector<Piece>& pieces) {
    std::vector<Piece> merged;
    bool previous_match = false;
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
        if (piece->is_match && !previous_match && !merged.empty())
            merged.back().begin = piece->begin;
        else
            merged.push_back(*piece);
        previous_match = piece->is_match;
    }
    std::reverse(merged.begin(), merged.end());
    return merged;
}

std::vector<Piece> merge_contiguous(const std::vector<Piece>& pieces) {
    std::vector<Piece> merged;
    for (const Piece& piece : pieces) {
        if (!merged.empty() && merged.back().is_match == piece.is_match)
            merged.back().end = piece.end;
        else
            merged.push_back(piece);
    }
    return merged;
}

}  // namespace

Result<std::vector<std::string_view>> split(const Regex& regex, SplitBehavior behavior, bool invert,
                                            std::string_view text) {
    WW_ASSIGN(const auto matches, regex.find_all(text));
    std::vector<Piece> pieces;
    std::size_t at = 0;
    for (const Regex::Match& match : matches) {
        if (match.begin != at) pieces.push_back({at, match.begin, invert});
        pieces.push_back({match.begin, match.end, !invert});
        at = match.end;
    }
    if (at != text.size()) pieces.push_back({at, text.size(), invert});
    switch (behavior) {
        case SplitBehavior::isolated: break;
        case SplitBehavior::removed:
            std::erase_if(pieces, [](const Piece& piece) { return piece.is_match; });
            break;
        case SplitBehavior::merged_with_previous: pieces = merge_with_previous(pieces); break;
        case SplitBehavior::merged_with_next: pieces = merge_with_next(pieces); break;
        case SplitBehavior::contiguous: pieces = merge_contiguous(pieces); break;
    }
    std::vector<std::string_view> out;
    out.reserve(pieces.size());
    for (const Piece& piece : pieces) {
        if (piece.begin != piece.end) out.push_back(text.substr(piece.begin, piece.end - piece.begin));
    }
    return out;
}

Status PreTokenizer::add(const json& value, const std::string& where, bool& complete) {
    Fields fields(value, where);
    const std::string type = fields.text("type");
    WW_TRY(fields.status());
    if (complete)
        return caller_error(
            fmt::format("{}: expected ByteLevel to be the last step, got {:.40} behind it", where, type));
    if (type == "Sequence") {
        const json* list = fields.array("pretokenizers");
        WW_TRY(fields.status());
        for (const json& part : *list) WW_TRY(add(part, where, complete));
        return {};
    }
    Step step;
    std::string pattern;
    if (type == "Split") {
        const json* spelled = fields.object("pattern");
        const std::string behavior = fields.text("behavior");
        step.invert = fields.flag_or("invert", false);
        WW_TRY(fields.status());
        const auto named = behavior_named(behavior);
        if (!named) return caller_error(fmt::format("{}: Split: unknown behavior '{:.40}'", where, behavior));
        step.behavior = *named;
        Fields pattern_fields(*spelled, where + ": Split: pattern");
        const bool literal = pattern_fields.find("String") != nullptr;
        pattern = pattern_fields.text(literal ? "String" : "Regex");
        WW_TRY(pattern_fields.status());
        if (literal) pattern = Regex::escape(pattern);
        step.cut = true;
    } else if (type == "Digits") {
        step.behavior =
            fields.flag_or("individual_digits", false) ? SplitBehavior::isolated : SplitBehavior::contiguous;
        pattern = "\\p{N}";
        step.cut = true;
    } else if (type == "ByteLevel") {
        step.prefix_space = fields.flag_or("add_prefix_space", true);
        step.cut = fields.flag_or("use_regex", true);
        pattern = kByteLevelPattern;
        complete = true;
    } else {
        return caller_error(fmt::format(
            "{}: unknown type '{:.40}'; supported: Sequence, Split, Digits, ByteLevel", where, type));
    }
    WW_TRY(fields.status());
    if (step.cut) {
        auto regex = Regex::compile(pattern);
        if (!regex.ok()) return caller_error(fmt::format("{}: {}", where, regex.status().message()));
        step.regex = std::move(*regex);
    }
    steps_.push_back(std::move(step));
    return {};
}

Result<PreTokenizer> PreTokenizer::parse(const json& value, const std::string& where) {
    PreTokenizer pre_tokenizer;
    bool complete = false;
    WW_TRY(pre_tokenizer.add(value, where, complete));
    if (!complete)
        return caller_error(fmt::format("{}: expected a byte-level tokenizer, got no ByteLevel step", where));
    return pre_tokenizer;
}

Result<std::vector<std::string_view>> PreTokenizer::words(std::string_view text,
                                                          std::deque<std::string>& storage) const {
    std::vector<std::string_view> words;
    if (!text.empty()) words.push_back(text);
    for (const Step& step : steps_) {
        if (step.prefix_space) {
            std::string joined;
            std::vector<std::size_t> starts;
            for (const std::string_view word : words) {
                starts.push_back(joined.size());
                if (!word.starts_with(' ')) joined += ' ';
                joined += word;
            }
            starts.push_back(joined.size());
            storage.push_back(std::move(joined));
            for (std::size_t i = 0; i < words.size(); ++i) {
                words[i] = std::string_view(storage.back()).substr(starts[i], starts[i + 1] - starts[i]);
            }
        }
        if (!step.cut) continue;
        std::vector<std::string_view> cut;
        for (const std::string_view word : words) {
            WW_ASSIGN(const auto pieces, split(step.regex, step.behavior, step.invert, word));
            cut.insert(cut.end(), pieces.begin(), pieces.end());
        }
        words = std::move(cut);
    }
    return words;
}

}  // namespace warpwright
