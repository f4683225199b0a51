// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, normalizers/.
#include "engine/normalizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/json_fields.h"
#include "engine/unicode_ranges.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxContentBytes = 64;
// NFKC makes up to 11 bytes of one, steps together more; what grows beyond this is a trap.
constexpr std::size_t kMaxGrowth = 64;

// A stretch without inert characters. utf8proc's own ordering of marks is quadratic in their number.
void append_normalized(std::string& out, std::string_view text, UnicodeForm form) {
    const bool compose = form == UnicodeForm::nfc || form == UnicodeForm::nfkc;
    const bool compatible = form == UnicodeForm::nfkc || form == UnicodeForm::nfkd;
    const auto options =
        static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
    std::vector<utf8proc_int32_t> points;
    points.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Character character = first_character(text.substr(at));
        at += character.length;
        utf8proc_int32_t parts[32];  // the longest compatibility decomposition has 18
        int unused = 0;
        const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character.code_point), parts,
                                                   std::size(parts), options, &unused);
        points.insert(points.end(), parts, parts + std::clamp<utf8proc_ssize_t>(count, 0, 32));
    }
    const auto order = [](utf8proc_int32_t point) { return utf8proc_get_property(point)->combining_class; };
    for (std::size_t begin = 0; begin < points.size();) {
        std::size_t end = begin;
        while (end < points.size() && order(points[end]) != 0) ++end;
        if (end - begin > 1) {
            std::stable_sort(points.begin() + static_cast<std::ptrdiff_t>(begin),
                             points.begin() + static_cast<std::ptrdiff_t>(end),
                             [&](auto a, auto b) { return order(a) < order(b); });
        }
        begin = std::max(end, begin + 1);
    }
    utf8proc_ssize_t size = static_cast<utf8proc_ssize_t>(points.size());
    if (compose && size > 0) {
        size = utf8proc_normalize_utf32(points.data(), size,
                                        static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    }
    for (utf8proc_ssize_t i = 0; i < size; ++i) append_utf8(out, static_cast<u32>(points[i]));
}

std::string_view trimmed(std::string_view text, bool left, bool right) {
    while (left && !text.empty()) {
        const Utf8Character character = first_character(text);
        if (!is_white_space(character.code_point)) break;
        text.remove_prefix(character.length);
    }
    while (right && !text.empty()) {
        const Utf8Character character = last_character(text);
        if (!is_white_space(character.code_point)) break;
        text.remove_suffix(character.length);
    }
    return text;
}

}  // namespace

std::string normalize_unicode(std::string_view text, UnicodeForm form) {
    // A plain character is one that no form changes and that joins nothing before it: below U+0300 for NFC,
    // ASCII for the others. Only stretches of other characters, with the plain one before, are worked on.
    const u8 first_other = form == UnicodeForm::nfc ? 0xCC : 0x80;
    std::string out;
    out.reserve(text.size());
    std::size_t done = 0;  // text before it is in `out`
    std::size_t at = 0;
    std::size_t plain = 0;  // where the last plain character began
    while (at < text.size()) {
        const u8 byte = static_cast<u8>(text[at]);
        if (byte < first_other) {
            plain = at;
            at += byte < 0x80 ? 1 : 2;
            continue;
        }
        std::size_t begin = std::max(plain, done);
        out += text.substr(done, begin - done);
        while (at < text.size() && static_cast<u8>(text[at]) >= first_other) {
            const Utf8Character character = first_character(text.substr(at));
            if (is_inert(character.code_point)) {
                append_normalized(out, text.substr(begin, at - begin), form);
                out += text.substr(at, character.length);
                begin = at + character.length;
            }
            at += character.length;
        }
        append_normalized(out, text.substr(begin, at - begin), form);
        done = plain = at;
    }
    out += text.substr(done);
    return out;
}

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content) {
    std::string out;
    out.reserve(text.size());
    std::size_t at = 0;
    for (;;) {
        const std::size_t found = text.find(pattern, at);
        if (found == text.npos) break;
        out += text.substr(at, found - at);
        out += content;
        at = found + pattern.size();
    }
    out += text.substr(at);
    return out;
}

Status Normalizer::add(const json& value, const std::string& where, int depth) {
    if (value.is_null()) return {};
    Fields fields(value, where);
    const std::string type = fields.text("type");
    WW_TRY(fields.status());
    if (type == "Sequence") {
        if (depth == kMaxSequenceDepth) {
            return caller_error(fmt::format("{}: expected at most {} nested Sequences", where, depth));
        }
        const json* list = fields.array("normalizers");
        WW_TRY(fields.status());
        for (const json& part : *list) WW_TRY(add(part, where, depth + 1));
        return {};
    }
    Step step;
    if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
        step.kind = Kind::form;
        step.form = type == "NFC"    ? UnicodeForm::nfc
                    : type == "NFD"  ? UnicodeForm::nfd
                    : type == "NFKC" ? UnicodeForm::nfkc
                                     : UnicodeForm::nfkd;
    } else if (type == "Prepend") {
        step.kind = Kind::prepend;
        step.content = fields.text("prepend");
    } else if (type == "Replace") {
        const json* spelled = fields.object("pattern");
        step.content = fields.text("content");
        WW_TRY(fields.status());
        Fields pattern(*spelled, where + ": Replace: pattern");
        const bool literal = pattern.find("String") != nullptr;
        step.kind = literal ? Kind::replace_text : Kind::replace_matches;
        step.pattern = pattern.text(literal ? "String" : "Regex");
        if (pattern.status().ok() && step.pattern.empty()) pattern.fail("expected a pattern, got ''");
        WW_TRY(pattern.status());
        if (!literal) {
            auto regex = Regex::compile(step.pattern);
            if (!regex.ok()) return caller_error(fmt::format("{}: {}", where, regex.status().message()));
            step.regex = std::move(*regex);
        }
    } else if (type == "Strip") {
        step.kind = Kind::strip;
        step.left = fields.flag_or("strip_left", true);
        step.right = fields.flag_or("strip_right", true);
    } else {
        return caller_error(
            fmt::format("{}: unknown type '{:.40}'; supported: Sequence, NFC, NFD, NFKC, "
                        "NFKD, Prepend, Replace, Strip",
                        where, type));
    }
    WW_TRY(fields.status());
    if (step.content.size() > kMaxContentBytes) {
        return caller_error(fmt::format("{}: {}: expected a content of at most {} bytes, got {}", where, type,
                                        kMaxContentBytes, step.content.size()));
    }
    steps_.push_back(std::move(step));
    return {};
}

Result<Normalizer> Normalizer::parse(const json& value, const std::string& where) {
    Normalizer normalizer;
    WW_TRY(normalizer.add(value, where, 0));
    return normalizer;
}

Result<std::string> Normalizer::apply(std::string_view text, bool& starts_text) const {
    std::string current(text);
    for (const Step& step : steps_) {
        switch (step.kind) {
            case Kind::form: current = normalize_unicode(current, step.form); break;
            case Kind::prepend:
                if (!current.empty()) current.insert(0, step.content);
                break;
            case Kind::replace_text: current = replace_all(current, step.pattern, step.content); break;
            case Kind::replace_matches: {
                WW_ASSIGN(const auto matches, step.regex.find_all(current));
                std::string out;
                std::size_t at = 0;
                for (const Regex::Match& match : matches) {
                    out += std::string_view(current).substr(at, match.begin - at);
                    out += step.content;
                    at = match.end;
                }
                out += std::string_view(current).substr(at);
                current = std::move(out);
                break;
            }
            case Kind::strip: {
                const std::string_view rest = trimmed(current, step.left, step.right);
                if (rest.data() != current.data()) starts_text = false;
                current = std::string(rest);
                break;
            }
        }
        if (current.size() > kMaxGrowth * (text.size() + kMaxContentBytes)) {
            return caller_error(
                fmt::format("normalizer: expected at most {} times the text's {} bytes, got {}", kMaxGrowth,
                            text.size(), current.size()));
        }
    }
    return current;
}

}  // namespace warpwright
