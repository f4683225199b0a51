// SPDX-License-Identifier: Apache-2.0
#include "engine/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "engine/utf8.h"

namespace warpwright::jinja {
namespace {

enum class Case { lower, upper, title };

void append_cased(std::string& out, std::string_view character, Case wanted) {
    const Utf8Character first = first_character(character);
    if (!first.valid) {
        out += character;
        return;
    }
    if (first.code_point == 0xDF && wanted != Case::lower) {
        out += wanted == Case::upper ? "SS" : "Ss";
        return;
    }
    const auto point = static_cast<utf8proc_int32_t>(first.code_point);
    append_utf8(out, static_cast<u32>(wanted == Case::lower   ? utf8proc_tolower(point)
                                      : wanted == Case::upper ? utf8proc_toupper(point)
                                                              : utf8proc_totitle(point)));
}

std::string cased(std::string_view text, Case wanted) {
    std::string out;
    out.reserve(text.size());
    for (const std::string_view character : characters_of(text)) append_cased(out, character, wanted);
    return out;
}

bool is_letter(std::string_view character) {
    const auto point = static_cast<utf8proc_int32_t>(first_character(character).code_point);
    const auto category = utf8proc_category(point);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

}  // namespace

std::vector<std::string_view> characters_of(std::string_view text) {
    std::vector<std::string_view> out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = first_character(text.substr(at)).length;
        out.push_back(text.substr(at, length));
        at += length;
    }
    return out;
}

i64 num_characters(std::string_view text) {
    return std::count_if(text.begin(), text.end(),
                         [](char c) { return (static_cast<u8>(c) & 0xC0) != 0x80; });
}

bool is_space_character(u32 point) {
    return is_white_space(point) || (point >= 0x1C && point <= 0x1F);
}

std::string_view stripped(std::string_view text, bool left, bool right, const std::string* set) {
    const auto goes = [&](std::string_view character) {
        if (set == nullptr) return is_space_character(first_character(character).code_point);
        return set->find(character) != set->npos;
    };
    while (left && !text.empty()) {
        const std::size_t length = first_character(text).length;
        if (!goes(text.substr(0, length))) break;
        text.remove_prefix(length);
    }
    while (right && !text.empty()) {
        const std::size_t length = std::max<std::size_t>(last_character(text).length, 1);
        if (!goes(text.substr(text.size() - length))) break;
        text.remove_suffix(length);
    }
    return text;
}

std::string lowered(std::string_view text) {
    return cased(text, Case::lower);
}
std::string uppered(std::string_view text) {
    return cased(text, Case::upper);
}

std::string capitalized(std::string_view text) {
    if (text.empty()) return {};
    const std::size_t length = first_character(text).length;
    return cased(text.substr(0, length), Case::title) + cased(text.substr(length), Case::lower);
}

std::string titled(std::string_view text, bool filter) {
    std::string out;
    bool inside = false;
    for (const std::string_view character : characters_of(text)) {
        append_cased(out, character, inside ? Case::lower : filter ? Case::upper : Case::title);
        if (filter)
            inside = std::string_view("-({[<").find(character) == std::string_view::npos &&
                     !is_space_character(first_character(character).code_point);
        else
            inside = is_letter(character);
    }
    return out;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, i64 most) {
    std::vector<std::string_view> out;
    for (;;) {
        const std::size_t found =
            most >= 0 && static_cast<i64>(out.size()) >= most ? text.npos : text.find(separator);
        out.push_back(text.substr(0, found));
        if (found == text.npos) return out;
        text.remove_prefix(found + separator.size());
    }
}

std::vector<std::string_view> split_at_space(std::string_view text, i64 most) {
    std::vector<std::string_view> out;
    text = stripped(text, true, false, nullptr);
    while (!text.empty()) {
        if (most >= 0 && static_cast<i64>(out.size()) >= most) {
            out.push_back(stripped(text, false, true, nullptr));
            break;
        }
        std::size_t end = 0;
        while (end < text.size()) {
            const Utf8Character character = first_character(text.substr(end));
            if (is_space_character(character.code_point)) break;
            end += character.length;
        }
        out.push_back(text.substr(0, end));
        text = stripped(text.substr(end), true, false, nullptr);
    }
    return out;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> out;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Character character = first_character(text.substr(at));
        const u32 point = character.code_point;
        const bool ends = (point >= 0x0A && point <= 0x0D) || (point >= 0x1C && point <= 0x1E) ||
                          point == 0x85 || point == 0x2028 || point == 0x2029;
        const std::size_t end = at;
        at += character.length;
        if (!ends) continue;
        if (point == '\r' && at < text.size() && text[at] == '\n') ++at;
        out.push_back(text.substr(begin, end - begin));
        begin = at;
    }
    if (begin < text.size()) out.push_back(text.substr(begin));
    return out;
}

}  // namespace warpwright::jinja
