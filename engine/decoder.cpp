// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, decoders/ and pre_tokenizers/metaspace.rs.
#include "engine/decoder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/bpe.h"
#include "engine/json_fields.h"
#include "engine/normalizer.h"
#include "engine/utf8.h"

namespace warpwright {

using nlohmann::json;

Status Decoder::add(const json& value, const std::string& where, int depth) {
    Fields fields(value, where);
    const std::string type = fields.text("type");
    WW_TRY(fields.status());
    if (type == "Sequence") {
        if (depth == kMaxSequenceDepth) {
            return caller_error(fmt::format("{}: expected at most {} nested Sequences", where, depth));
        }
        const json* list = fields.array("decoders");
        WW_TRY(fields.status());
        for (const json& part : *list) WW_TRY(add(part, where, depth + 1));
        return {};
    }
    const bool alone = !byte_level && !byte_fallback && !fused && num_stripped == 0 && dropped_first.empty();
    const auto out_of_order = [&] {
        return caller_error(fmt::format(
            "{}: {} behind another step; supported: ByteLevel, Metaspace, or Replace, ByteFallback, Fuse and "
            "Strip in this order",
            where, type));
    };
    if (type == "ByteLevel") {
        if (!alone || !replacements.empty()) return out_of_order();
        byte_level = true;
    } else if (type == "Metaspace") {
        if (!alone || !replacements.empty()) return out_of_order();
        const std::string character = fields.text_or("replacement", "\xE2\x96\x81");
        const std::string scheme =
            fields.text_or("prepend_scheme", fields.flag_or("add_prefix_space", true) ? "always" : "never");
        if (character.empty() || first_character(character).length != character.size()) {
            fields.fail(fmt::format("'replacement': expected one character, got '{:.40}'", character));
        }
        replacements.emplace_back(character, " ");
        if (scheme != "never") dropped_first = character;
    } else if (type == "Replace") {
        if (!alone) return out_of_order();
        const json* spelled = fields.object("pattern");
        const std::string content = fields.text("content");
        WW_TRY(fields.status());
        Fields pattern(*spelled, where + ": Replace: pattern");
        std::string text = pattern.text("String");
        if (pattern.status().ok() && text.empty()) pattern.fail("expected a pattern, got ''");
        WW_TRY(pattern.status());
        // Tokens do not grow, so that a file decodes into bounded memory.
        if (content.size() > text.size()) {
            fields.fail(fmt::format("Replace: expected a content no longer than the pattern, got {} bytes",
                                    content.size()));
        }
        replacements.emplace_back(std::move(text), content);
    } else if (type == "ByteFallback") {
        if (!alone) return out_of_order();
        byte_fallback = true;
    } else if (type == "Fuse") {
        if (byte_level || num_stripped > 0 || !dropped_first.empty()) return out_of_order();
        fused = true;
    } else if (type == "Strip") {
        if (!fused || num_stripped > 0) return out_of_order();
        stripped = fields.text("content");
        num_stripped = static_cast<int>(fields.integer_or("start", 0, 1 << 20, 0));
        fields.integer_or("stop", 0, 0, 0);
        if (stripped.empty() || first_character(stripped).length != stripped.size()) {
            fields.fail(fmt::format("Strip: 'content': expected one character, got '{:.40}'", stripped));
        }
    } else {
        return caller_error(
            fmt::format("{}: unknown type '{:.40}'; supported: Sequence, ByteLevel, Metaspace, "
                        "Replace, ByteFallback, Fuse, Strip",
                        where, type));
    }
    return fields.status();
}

Result<Decoder> Decoder::parse(const json& value, const std::string& where) {
    Decoder decoder;
    WW_TRY(decoder.add(value, where, 0));
    return decoder;
}

std::string Decoder::text_of(std::string_view token) const {
    if (byte_level) return bytes_of_token(token);
    std::string text(token);
    for (const auto& [pattern, content] : replacements) text = replace_all(text, pattern, content);
    if (!byte_fallback) return text;
    if (const auto byte = byte_of_token(text)) return {static_cast<char>(*byte)};
    return text;
}

}  // namespace warpwright
