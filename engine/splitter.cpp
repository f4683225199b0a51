// SPDX-License-Identifier: Apache-2.0
#include "engine/splitter.h"

#include <array>
#include <string>
#include <vector>

#include "engine/regex.h"
#include "engine/utf8.h"

namespace warpwright {

const char* const kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

enum Class : u8 { kOther, kLetter, kNumber, kSpace, kNewline };

// Every code point's class, as the regular expressions see it.
struct Table {
    std::vector<u8> classes = std::vector<u8>(0x110000, kOther);

    Table() {
        std::string all;
        std::vector<u32> points;  // by byte position
        for (u32 point = 0; point < classes.size(); ++point) {
            if (point >= 0xD800 && point <= 0xDFFF) continue;
            append_utf8(all, point);
            points.resize(all.size(), point);
        }
        const auto mark = [&](const char* pattern, Class value) {
            const auto regex = Regex::compile(pattern);
            const auto matches = regex->find_all(all);
            for (const Regex::Match& match : *matches) {
                for (std::size_t at = match.begin; at < match.end; ++at) classes[points[at]] = value;
            }
        };
        mark("\\p{L}+", kLetter);
        mark("\\p{N}+", kNumber);
        mark("\\s+", kSpace);
        classes['\r'] = classes['\n'] = kNewline;
    }
};

struct Cursor {
    std::string_view text;
    const u8* classes;

    bool at_end(std::size_t at) const { return at >= text.size(); }
    u8 byte(std::size_t at) const { return at < text.size() ? static_cast<u8>(text[at]) : 0; }

    // The class of the character at `at` (not the end), and its length in bytes.
    Class look(std::size_t at, std::size_t& length) const {
        const u8 lead = static_cast<u8>(text[at]);
        if (lead < 0x80) {
            length = 1;
            return static_cast<Class>(classes[lead]);
        }
        const auto next = [&](std::size_t i) { return static_cast<u8>(text[at + i]) & 0x3Fu; };
        u32 point = 0;
        if (lead < 0xE0) {
            length = 2;
            point = (lead & 0x1Fu) << 6 | next(1);
        } else if (lead < 0xF0) {
            length = 3;
            point = (lead & 0x0Fu) << 12 | next(1) << 6 | next(2);
        } else {
            length = 4;
            point = (lead & 0x07u) << 18 | next(1) << 12 | next(2) << 6 | next(3);
        }
        return static_cast<Class>(classes[point]);
    }

    std::size_t run_of(Class wanted, std::size_t at) const {
        std::size_t length = 0;
        while (!at_end(at) && look(at, length) == wanted) at += length;
        return at;
    }
};

u8 lower(u8 byte) {
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

// Length of 's 't 're 've 'm 'll 'd, or 0. Where case does not count, U+017F is an s.
std::size_t contraction(const Cursor& cursor, std::size_t at, bool any_case) {
    const auto letter = [&](std::size_t i) {
        const u8 byte = cursor.byte(at + i);
        return any_case ? lower(byte) : byte;
    };
    switch (letter(1)) {
        case 's':
        case 't':
        case 'm':
        case 'd': return 2;
        case 'r':
        case 'v': return letter(2) == 'e' ? 3 : 0;
        case 'l': return letter(2) == 'l' ? 3 : 0;
        case 0xC5: return any_case && cursor.byte(at + 2) == 0xBF ? 3 : 0;
        default: return 0;
    }
}

// White space that no other alternative took: \s+(?!\S)|\s+, behind \s*[\r\n]+ where newlines end words.
std::size_t end_of_space(const Cursor& cursor, std::size_t begin, bool newlines) {
    std::size_t at = begin;
    std::size_t last = begin;            // where the last character of the run begins
    std::size_t behind_newline = begin;  // behind the last newline
    while (!cursor.at_end(at)) {
        std::size_t length = 0;
        const Class kind = cursor.look(at, length);
        if (kind != kSpace && kind != kNewline) break;
        last = at;
        at += length;
        if (kind == kNewline) behind_newline = at;
    }
    if (newlines && behind_newline > begin) return behind_newline;
    return cursor.at_end(at) || last == begin ? at : last;
}

std::size_t end_of_gpt2(const Cursor& cursor, std::size_t begin) {
    if (cursor.byte(begin) == '\'') {
        if (const std::size_t length = contraction(cursor, begin, false)) return begin + length;
    }
    std::size_t length = 0;
    std::size_t at = begin;
    Class kind = cursor.look(at, length);
    if (cursor.byte(at) == ' ' && !cursor.at_end(at + 1)) kind = cursor.look(++at, length);
    if (kind != kSpace && kind != kNewline) return cursor.run_of(kind, at + length);
    return end_of_space(cursor, begin, false);
}

std::size_t end_of_llama3(const Cursor& cursor, std::size_t begin, int max_digits) {
    if (cursor.byte(begin) == '\'') {
        if (const std::size_t length = contraction(cursor, begin, true)) return begin + length;
    }
    std::size_t length = 0;
    const Class kind = cursor.look(begin, length);
    std::size_t at = begin + length;
    if (kind == kLetter) return cursor.run_of(kLetter, at);
    if (kind == kNumber) {
        for (int i = 1; i < max_digits && !cursor.at_end(at); ++i) {
            if (cursor.look(at, length) != kNumber) break;
            at += length;
        }
        return at;
    }
    std::size_t next_length = 0;
    const Class next = cursor.at_end(at) ? kNewline : cursor.look(at, next_length);
    if (kind != kNewline && next == kLetter) return cursor.run_of(kLetter, at + next_length);
    if (kind == kOther || (cursor.byte(begin) == ' ' && next == kOther)) {
        return cursor.run_of(kNewline, cursor.run_of(kOther, at));
    }
    return end_of_space(cursor, begin, true);
}

}  // namespace

std::optional<Splitter> Splitter::of_pattern(std::string_view pattern) {
    if (pattern == kGpt2Pattern) return Splitter(Kind::gpt2, 0);
    if (pattern == kLlama3Pattern) return Splitter(Kind::llama3, 3);
    if (pattern == kQwen2Pattern) return Splitter(Kind::llama3, 1);
    return std::nullopt;
}

std::size_t Splitter::end_of_word(std::string_view text, std::size_t begin) const {
    static const Table kTable;
    const Cursor cursor{text, kTable.classes.data()};
    return kind_ == Kind::gpt2 ? end_of_gpt2(cursor, begin) : end_of_llama3(cursor, begin, max_digits_);
}

}  // namespace warpwright
