// SPDX-License-Identifier: Apache-2.0
#include "engine/utf8.h"

namespace warpwright {
namespace {

// How many bytes follow a leading byte, and the range of the first of them (Unicode 15, table 3-7).
struct LeadRule {
    int following = -1;  // -1: no leading byte
    u8 low = 0x80, high = 0xBF;
};

LeadRule lead_rule(u8 lead) {
    if (lead < 0x80) return {0};
    if (lead >= 0xC2 && lead <= 0xDF) return {1};
    if (lead == 0xE0) return {2, 0xA0, 0xBF};
    if (lead == 0xED) return {2, 0x80, 0x9F};
    if (lead >= 0xE1 && lead <= 0xEF) return {2};
    if (lead == 0xF0) return {3, 0x90, 0xBF};
    if (lead >= 0xF1 && lead <= 0xF3) return {3};
    if (lead == 0xF4) return {3, 0x80, 0x8F};
    return {};
}

}  // namespace

Utf8Character first_character(std::string_view bytes) {
    const u8 lead = static_cast<u8>(bytes[0]);
    const LeadRule rule = lead_rule(lead);
    if (rule.following < 0) return {};
    Utf8Character character;
    u32 code_point = rule.following == 0 ? lead : lead & (0x3Fu >> rule.following);
    for (int i = 1; i <= rule.following; ++i) {
        character.length = static_cast<std::size_t>(i);
        if (character.length == bytes.size()) {
            character.incomplete = true;
            return character;
        }
        const u8 byte = static_cast<u8>(bytes[character.length]);
        const u8 low = i == 1 ? rule.low : 0x80;
        const u8 high = i == 1 ? rule.high : 0xBF;
        if (byte < low || byte > high) return character;
        code_point = (code_point << 6) | (byte & 0x3Fu);
    }
    return {static_cast<std::size_t>(rule.following) + 1, true, false, code_point};
}

Utf8Character last_character(std::string_view text) {
    std::size_t start = text.size() - 1;
    while (start > 0 && (static_cast<u8>(text[start]) & 0xC0) == 0x80) --start;
    return first_character(text.substr(start));
}

std::optional<std::size_t> find_invalid_utf8(std::string_view bytes) {
    std::size_t at = 0;
    while (at < bytes.size()) {
        const Utf8Character character = first_character(bytes.substr(at));
        if (!character.valid) return at;
        at += character.length;
    }
    return std::nullopt;
}

std::size_t append_lossy(std::string& text, std::string_view bytes, bool final) {
    std::size_t at = 0;
    while (at < bytes.size()) {
        const Utf8Character character = first_character(bytes.substr(at));
        if (character.incomplete && !final) break;
        text += character.valid ? bytes.substr(at, character.length) : std::string_view("\xEF\xBF\xBD");
        at += character.length;
    }
    return at;
}

void append_utf8(std::string& text, u32 code_point) {
    const auto byte = [&](u32 value) { text += static_cast<char>(value); };
    if (code_point < 0x80) {
        byte(code_point);
    } else if (code_point < 0x800) {
        byte(0xC0 | (code_point >> 6));
        byte(0x80 | (code_point & 0x3F));
    } else if (code_point < 0x10000) {
        byte(0xE0 | (code_point >> 12));
        byte(0x80 | ((code_point >> 6) & 0x3F));
        byte(0x80 | (code_point & 0x3F));
    } else {
        byte(0xF0 | (code_point >> 18));
        byte(0x80 | ((code_point >> 12) & 0x3F));
        byte(0x80 | ((code_point >> 6) & 0x3F));
        byte(0x80 | (code_point & 0x3F));
    }
}

bool is_white_space(u32 c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

}  // namespace warpwright
