// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, tokenizer/normalizer.rs (split) and pre_tokenizers/.
#include "engine/pretokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/json_fields.h"
#include "engine/normalizer.h"
#include "engine/unicode_ranges.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

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

namespace {

// "Punctuation" of the package: ASCII's, and category P of an older Unicode.
std::string punctuation_pattern() {
    return fmt::format(R"((?![{}])[\p{{P}}!-/:-@\[-`{{-~\x{{166D}}\x{{111C9}}])",
                       ranges_missing_from("not_punctuation"));
}

// U+2581, which spells a space in vocabularies of SentencePiece.
constexpr const char* kMetaspace = "\xE2\x96\x81";

}  // namespace

Result<SplitBehavior> PreTokenizer::behavior_of(const std::string& name, const std::string& where) {
    if (const auto named = behavior_named(name)) return *named;
    return caller_error(fmt::format("{}: unknown behavior '{:.40}'", where, name));
}

Status PreTokenizer::add_split(const json& value, const std::string& where) {
    Fields fields(value, where);
    const json* spelled = fields.object("pattern");
    const std::string behavior = fields.text("behavior");
    Step step;
    step.invert = fields.flag_or("invert", false);
    WW_TRY(fields.status());
    WW_ASSIGN(step.behavior, behavior_of(behavior, where));
    Fields pattern_fields(*spelled, where + ": pattern");
    const bool literal = pattern_fields.find("String") != nullptr;
    const std::string pattern = pattern_fields.text(literal ? "String" : "Regex");
    WW_TRY(pattern_fields.status());
    return add_cut(std::move(step), literal ? Regex::escape(pattern) : pattern, where);
}

Status PreTokenizer::add_cut(Step step, const std::string& pattern, const std::string& where) {
    step.cut = true;
    auto regex = Regex::compile(pattern);
    if (!regex.ok()) return caller_error(fmt::format("{}: {}", where, regex.status().message()));
    step.regex = std::move(*regex);
    if (step.behavior == SplitBehavior::isolated && !step.invert)
        step.splitter = Splitter::of_pattern(pattern);
    steps_.push_back(std::move(step));
    return {};
}

Status PreTokenizer::add_metaspace(const json& value, const std::string& where) {
    Fields fields(value, where);
    Step step;
    step.replacement = fields.text_or("replacement", kMetaspace);
    // Older files say add_prefix_space, newer ones prepend_scheme.
    const std::string scheme =
        fields.text_or("prepend_scheme", fields.flag_or("add_prefix_space", true) ? "always" : "never");
    const bool split = fields.flag_or("split", true);
    if (step.replacement.empty() || first_character(step.replacement).length != step.replacement.size()) {
        fields.fail(fmt::format("'replacement': expected one character, got '{:.40}'", step.replacement));
    }
    if (scheme != "always" && scheme != "first" && scheme != "never") {
        fields.fail(fmt::format("'prepend_scheme': expected always, first or never, got '{:.40}'", scheme));
    }
    WW_TRY(fields.status());
    step.prepend = scheme == "always" ? Prepend::always : scheme == "first" ? Prepend::first : Prepend::never;
    step.behavior = SplitBehavior::merged_with_next;
    if (split) return add_cut(std::move(step), Regex::escape(step.replacement), where);
    steps_.push_back(std::move(step));
    return {};
}

Status PreTokenizer::add(const json& value, const std::string& where, int depth) {
    if (value.is_null()) return {};
    Fields fields(value, where);
    const std::string type = fields.text("type");
    WW_TRY(fields.status());
    if (byte_level_) {
        return caller_error(
            fmt::format("{}: expected ByteLevel to be the last step, got {:.40} behind it", where, type));
    }
    if (type == "Sequence") {
        if (depth == kMaxSequenceDepth) {
            return caller_error(fmt::format("{}: expected at most {} nested Sequences", where, depth));
        }
        const json* list = fields.array("pretokenizers");
        WW_TRY(fields.status());
        for (const json& part : *list) WW_TRY(add(part, where, depth + 1));
        return {};
    }
    if (type == "Split") return add_split(value, where + ": Split");
    if (type == "Metaspace") return add_metaspace(value, where + ": Metaspace");
    Step step;
    if (type == "Digits") {
        step.behavior =
            fields.flag_or("individual_digits", false) ? SplitBehavior::isolated : SplitBehavior::contiguous;
        WW_TRY(fields.status());
        return add_cut(std::move(step), "\\p{N}", where);
    }
    if (type == "Punctuation") {
        WW_ASSIGN(step.behavior, behavior_of(fields.text_or("behavior", "Isolated"), where));
        WW_TRY(fields.status());
        return add_cut(std::move(step), punctuation_pattern(), where);
    }
    if (type == "WhitespaceSplit") {
        step.behavior = SplitBehavior::removed;
        return add_cut(std::move(step), "\\s", where);
    }
    if (type == "ByteLevel") {
        byte_level_ = true;
        step.prefix_space = fields.flag_or("add_prefix_space", true);
        const bool cut = fields.flag_or("use_regex", true);
        WW_TRY(fields.status());
        if (cut) return add_cut(std::move(step), kGpt2Pattern, where);
        if (step.prefix_space) steps_.push_back(std::move(step));
        return {};
    }
    return caller_error(
        fmt::format("{}: unknown type '{:.40}'; supported: Sequence, Split, Digits, "
                    "Punctuation, WhitespaceSplit, Metaspace, ByteLevel",
                    where, type));
}

Result<PreTokenizer> PreTokenizer::parse(const json& value, const std::string& where) {
    PreTokenizer pre_tokenizer;
    WW_TRY(pre_tokenizer.add(value, where, 0));
    return pre_tokenizer;
}

const Splitter* PreTokenizer::only_splitter() const {
    if (steps_.size() != 1 || steps_[0].prefix_space || !steps_[0].splitter) return nullptr;
    return &*steps_[0].splitter;
}

// Words with something in front of each, or with their spaces respelled.
void PreTokenizer::respell(const Step& step, bool starts_text, std::vector<std::string_view>& words,
                           std::deque<std::string>& storage) {
    std::string joined;
    std::vector<std::size_t> starts;
    const std::string_view front = step.prefix_space ? std::string_view(" ") : step.replacement;
    for (const std::string_view word : words) {
        starts.push_back(joined.size());
        const std::string spelled =
            step.prefix_space ? std::string(word) : replace_all(word, " ", step.replacement);
        const bool wanted = step.prefix_space || step.prepend == Prepend::always ||
                            (step.prepend == Prepend::first && starts_text && starts.size() == 1);
        if (wanted && !spelled.starts_with(front)) joined += front;
        joined += spelled;
    }
    starts.push_back(joined.size());
    storage.push_back(std::move(joined));
    for (std::size_t i = 0; i < words.size(); ++i) {
        words[i] = std::string_view(storage.back()).substr(starts[i], starts[i + 1] - starts[i]);
    }
}

Result<std::vector<std::string_view>> PreTokenizer::words(std::string_view text, bool starts_text,
                                                          std::deque<std::string>& storage) const {
    std::vector<std::string_view> words;
    if (!text.empty()) words.push_back(text);
    for (const Step& step : steps_) {
        if (step.prefix_space || !step.replacement.empty()) respell(step, starts_text, words, storage);
        if (!step.cut) continue;
        std::vector<std::string_view> cut;
        for (const std::string_view word : words) {
            if (step.splitter) {
                for (std::size_t begin = 0; begin < word.size();) {
                    const std::size_t end = step.splitter->end_of_word(word, begin);
                    cut.push_back(word.substr(begin, end - begin));
                    begin = end;
                }
                continue;
            }
            WW_ASSIGN(const auto pieces, split(step.regex, step.behavior, step.invert, word));
            cut.insert(cut.end(), pieces.begin(), pieces.end());
        }
        // A step may take the front of the text away.
        starts_text &= !words.empty() && !cut.empty() && cut[0].data() == words[0].data();
        words = std::move(cut);
    }
    return words;
}

}  // namespace warpwright
