// SPDX-License-Identifier: Apache-2.0
#include "engine/splitter.h"

#include <string>
#include <vector>

#include "engine/unicode_ranges.h"
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

// Words of cased letters: capitals, then small ones; what has no case is either. The second part is for words
// without small letters.
#define WW_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define WW_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define WW_CASED(end)                                                                                    \
    R"([^\r\n\p{L}\p{N}]?)" WW_UPPER "*" WW_LOWER "+" end R"(|[^\r\n\p{L}\p{N}]?)" WW_UPPER "+" WW_LOWER \
    "*" end
#define WW_CASED_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
constexpr std::string_view kTekkenPattern = WW_CASED("") R"(|\p{N})" WW_CASED_TAIL;
constexpr std::string_view kO200kPattern =
    WW_CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?") R"(|\p{N}{1,3})" WW_CASED_TAIL;

// A character's class, one bit; and sets of them.
enum Class : u8 {
    kOther = 0,
    kUpper = 1,    // Lu, Lt
    kLower = 2,    // Ll
    kUncased = 4,  // Lm, Lo
    kMark = 8,     // M
    kNumber = 16,
    kSpace = 32,  // White_Space, but for
    kNewline = 64,
};
using Classes = u8;
constexpr Classes kLetter = kUpper | kLower | kUncased;
constexpr Classes kAnySpace = kSpace | kNewline;
constexpr Classes kMayBeUpper = kUpper | kUncased | kMark;
constexpr Classes kMayBeLower = kLower | kUncased | kMark;

Class class_of(u32 point) {
    if (point == '\r' || point == '\n') return kNewline;
    if (is_white_space(point)) return kSpace;
    const auto [major, minor] = general_category(point);
    if (major == 'N') return kNumber;
    if (major == 'M') return kMark;
    if (major != 'L') return kOther;
    return minor == 'u' || minor == 't' ? kUpper : minor == 'l' ? kLower : kUncased;
}

// Every code point's class, as the regular expressions see it.
std::vector<u8> classes_of_all() {
    std::vector<u8> classes(0x110000, kOther);
    // Beyond are variation selectors and private characters.
    for (u32 point = 0; point < 0x40000; ++point) classes[point] = class_of(point);
    for (u32 point = 0xE0000; point < 0xE1000; ++point) classes[point] = class_of(point);
    return classes;
}

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

    std::size_t run_of(Classes wanted, std::size_t at) const {
        std::size_t length = 0;
        while (!at_end(at) && (look(at, length) & wanted) != 0) at += length;
        return at;
    }
    // Neither letters, numbers nor white space: marks are among them.
    std::size_t run_of_others(std::size_t at) const {
        std::size_t length = 0;
        while (!at_end(at) && (look(at, length) & ~kMark) == 0) at += length;
        return at;
    }
    std::size_t end_of_number(std::size_t at, int max_digits) const {
        std::size_t length = 0;
        for (int i = 0; i < max_digits && !at_end(at) && look(at, length) == kNumber; ++i) at += length;
        return at;
    }
};

u8 lower(u8 byte) {
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

// Length of 's 't 're 've 'm 'll 'd, or 0. Where case does not count, U+017F is an s.
std::size_t contraction(const Cursor& cursor, std::size_t at, bool any_case) {
    if (cursor.byte(at) != '\'') return 0;
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
        if ((kind & kAnySpace) == 0) break;
        last = at;
        at += length;
        if (kind == kNewline) behind_newline = at;
    }
    if (newlines && behind_newline > begin) return behind_newline;
    return cursor.at_end(at) || last == begin ? at : last;
}

std::size_t end_of_gpt2(const Cursor& cursor, std::size_t begin) {
    if (const std::size_t length = contraction(cursor, begin, false)) return begin + length;
    std::size_t length = 0;
    std::size_t at = begin;
    Class kind = cursor.look(at, length);
    if (cursor.byte(at) == ' ' && !cursor.at_end(at + 1)) kind = cursor.look(++at, length);
    if ((kind & kAnySpace) != 0) return end_of_space(cursor, begin, false);
    if ((kind & kLetter) != 0) return cursor.run_of(kLetter, at + length);
    return kind == kNumber ? cursor.run_of(kNumber, at + length) : cursor.run_of_others(at + length);
}

std::size_t end_of_llama3(const Cursor& cursor, std::size_t begin, int max_digits) {
    if (const std::size_t length = contraction(cursor, begin, true)) return begin + length;
    std::size_t length = 0;
    const Class kind = cursor.look(begin, length);
    const std::size_t at = begin + length;
    if ((kind & kLetter) != 0) return cursor.run_of(kLetter, at);
    if (kind == kNumber) return cursor.end_of_number(begin, max_digits);
    std::size_t next_length = 0;
    const Class next = cursor.at_end(at) ? kNewline : cursor.look(at, next_length);
    if (kind != kNewline && (next & kLetter) != 0) return cursor.run_of(kLetter, at + next_length);
    if ((kind & kAnySpace) == 0 || (cursor.byte(begin) == ' ' && (next & ~kMark) == 0)) {
        return cursor.run_of(kNewline, cursor.run_of_others(at));
    }
    return end_of_space(cursor, begin, true);
}

// Capitals as many as there are, then small letters as many as there are, at least one: `begin` where it does
// not match. What has no case is taken for capitals first, and given back where no small letter follows.
std::size_t end_of_cased(const Cursor& cursor, std::size_t begin) {
    std::size_t at = begin;
    std::size_t behind_uncased = begin;
    while (!cursor.at_end(at)) {
        std::size_t length = 0;
        const Class kind = cursor.look(at, length);
        if ((kind & kMayBeUpper) == 0) break;
        at += length;
        if (kind != kUpper) behind_uncased = at;
    }
    const std::size_t end = cursor.run_of(kMayBeLower, at);
    return end > at ? end : behind_uncased;
}

std::size_t end_of_tekken(const Cursor& cursor, std::size_t begin, int max_digits, bool contractions) {
    std::size_t length = 0;
    const Class kind = cursor.look(begin, length);
    const std::size_t at = begin + length;
    if (kind == kNumber) return cursor.end_of_number(begin, max_digits);
    // A word, behind one character that is no letter; a mark may be that or the word's first.
    if (kind != kNewline) {
        const bool is_letter = (kind & kLetter) != 0;
        const std::size_t first = is_letter ? begin : at;
        std::size_t end = end_of_cased(cursor, first);
        if (end == first) end = kind == kMark ? at : cursor.run_of(kUpper, first);
        if (end > first || kind == kMark) {
            return contractions ? end + contraction(cursor, end, true) : end;
        }
    }
    std::size_t next_length = 0;
    const Class next = cursor.at_end(at) ? kNewline : cursor.look(at, next_length);
    if ((kind & kAnySpace) == 0 || (cursor.byte(begin) == ' ' && (next & ~kMark) == 0)) {
        std::size_t end = cursor.run_of_others(at);
        while (cursor.byte(end) == '\r' || cursor.byte(end) == '\n' || cursor.byte(end) == '/') ++end;
        return end;
    }
    return end_of_space(cursor, begin, true);
}

}  // namespace

std::optional<Splitter> Splitter::of_pattern(std::string_view pattern) {
    if (pattern == kGpt2Pattern) return Splitter(Kind::gpt2, 0, false);
    if (pattern == kLlama3Pattern) return Splitter(Kind::llama3, 3, false);
    if (pattern == kQwen2Pattern) return Splitter(Kind::llama3, 1, false);
    if (pattern == kTekkenPattern) return Splitter(Kind::tekken, 1, false);
    if (pattern == kO200kPattern) return Splitter(Kind::tekken, 3, true);
    return std::nullopt;
}

std::size_t Splitter::end_of_word(std::string_view text, std::size_t begin) const {
    static const std::vector<u8> kClasses = classes_of_all();
    const Cursor cursor{text, kClasses.data()};
    switch (kind_) {
        case Kind::gpt2: return end_of_gpt2(cursor, begin);
        case Kind::llama3: return end_of_llama3(cursor, begin, max_digits_);
        case Kind::tekken: return end_of_tekken(cursor, begin, max_digits_, contractions_);
    }
    return text.size();
}

}  // namespace warpwright
