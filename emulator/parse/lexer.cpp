// SPDX-License-Identifier: Apache-2.0
#include "emulator/parse/lexer.h"

#include <array>
#include <bit>
#include <charconv>

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

constexpr std::size_t kExcerptCharacters = 40;

enum : u8 { kSpace = 1, kDigit = 2, kLetter = 4, kFirstOfWord = 8, kMark = 16, kWord = kDigit | kLetter };

constexpr std::array<u8, 256> character_classes() {
    std::array<u8, 256> classes{};
    for (const char c : std::string_view(" \t\r\n\f\v")) classes[static_cast<u8>(c)] |= kSpace;
    for (int c = '0'; c <= '9'; ++c) classes[c] |= kDigit;
    for (int c = 'a'; c <= 'z'; ++c) classes[c] |= kLetter | kFirstOfWord;
    for (int c = 'A'; c <= 'Z'; ++c) classes[c] |= kLetter | kFirstOfWord;
    for (const char c : std::string_view("_$")) classes[static_cast<u8>(c)] |= kLetter | kFirstOfWord;
    classes['%'] |= kFirstOfWord | kMark;  // alone it is the operator
    for (const char c : std::string_view("{}()[]<>,;:|!@=+-*/&~^?")) classes[static_cast<u8>(c)] |= kMark;
    return classes;
}
constexpr std::array<u8, 256> kClasses = character_classes();

bool is_a(char c, u8 classes) {
    return (kClasses[static_cast<u8>(c)] & classes) != 0;
}

}  // namespace

void Lexer::emit(Token::Kind kind, std::size_t end) {
    token_.kind = kind;
    token_.text = text_.substr(at_, end - at_);
    token_.line = line_;
    at_ = end;
}

// Stops at an opened comment that is never closed.
void Lexer::skip_space() {
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (c == '\n') {
            ++line_;
            ++at_;
        } else if (is_a(c, kSpace)) {
            ++at_;
        } else if (c == '/' && text_.substr(at_, 2) == "//") {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else if (c == '/' && text_.substr(at_, 2) == "/*") {
            const std::size_t close = text_.find("*/", at_ + 2);
            if (close == text_.npos) return;
            for (std::size_t i = at_; i < close; ++i) line_ += text_[i] == '\n';
            at_ = close + 2;
        } else {
            return;
        }
    }
}

// Digits, then what makes it a hexadecimal, binary or real number. Letters that follow belong to the token,
// so that "12ab" is one wrong number and not two right tokens.
std::size_t Lexer::end_of_number() const {
    const auto at = [&](std::size_t i) { return i < text_.size() ? text_[i] : '\0'; };
    std::size_t end = at_;
    while (is_a(at(end), kDigit)) ++end;
    const bool is_decimal =
        end > at_ + 1 || at(at_) != '0' || !is_a(at(end), kLetter) || at(end) == 'e' || at(end) == 'E';
    if (is_decimal && at(end) == '.' && !is_a(at(end + 1), kLetter)) {
        ++end;
        while (is_a(at(end), kDigit)) ++end;
    }
    if (is_decimal && (at(end) == 'e' || at(end) == 'E')) {
        const std::size_t digits = end + (at(end + 1) == '+' || at(end + 1) == '-' ? 2 : 1);
        if (is_a(at(digits), kDigit)) end = digits;
    }
    while (is_a(at(end), kWord)) ++end;
    return end;
}

void Lexer::advance() {
    skip_space();
    if (at_ >= text_.size()) {
        at_ = text_.size();
        return emit(Token::Kind::end, at_);
    }
    const char c = text_[at_];
    const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    std::size_t end = at_ + 1;
    if (is_a(c, kFirstOfWord) && (c != '%' || is_a(after, kWord))) {
        while (end < text_.size() && is_a(text_[end], kWord)) ++end;
        return emit(Token::Kind::word, end);
    }
    if (is_a(c, kDigit)) return emit(Token::Kind::number, end_of_number());
    if (c == '.' && is_a(after, kWord)) {
        while (end < text_.size()) {
            if (is_a(text_[end], kWord)) {
                ++end;
            } else if (text_[end] == ':' && end + 2 < text_.size() && text_[end + 1] == ':' &&
                       is_a(text_[end + 2], kWord)) {
                end += 2;
            } else {
                break;
            }
        }
        return emit(Token::Kind::suffix, end);
    }
    if (c == '"') {
        end = text_.find_first_of("\"\n", end);
        if (end == text_.npos || text_[end] == '\n') return emit(Token::Kind::unclosed, at_ + 1);
        return emit(Token::Kind::string, end + 1);
    }
    if (c == '/' && after == '*') return emit(Token::Kind::unclosed, at_ + 2);
    emit(is_a(c, kMark) ? Token::Kind::mark : Token::Kind::unknown, end);
}

Status Lexer::expect(char mark, std::string_view where) {
    if (accept(mark)) return {};
    return expected(fmt::format("'{}'{}{}", mark, where.empty() ? "" : " ", where));
}

Result<std::string_view> Lexer::expect_word(std::string_view what) {
    if (!token_.is(Token::Kind::word)) return expected(what);
    return take().text;
}

Result<u64> Lexer::expect_integer(std::string_view what, u64 limit) {
    Literal literal;
    if (!token_.is(Token::Kind::number) || !read_literal(token_.text, literal) ||
        literal.kind != Literal::Kind::integer)
        return expected(what);
    if (literal.bits > limit) return expected(fmt::format("{} of at most {}", what, limit));
    advance();
    return literal.bits;
}

Status Lexer::expected(std::string_view what) const {
    if (token_.is(Token::Kind::unclosed))
        return error(token_.line, token_.is("\"") ? "the string opened here is not closed on its line"
                                                  : "the comment opened here is not closed");
    const std::string got = token_.is(Token::Kind::end) ? "the end of the text" : excerpt(token_.text);
    return error(token_.line, fmt::format("expected {}, got {}", what, got));
}

Status Lexer::error(int line, std::string_view text) const {
    return caller_error(fmt::format("line {}: {}", line, text));
}

Status Lexer::not_covered(int line, std::string_view what) const {
    return error(line, fmt::format("not covered yet: {}", what));
}

std::string excerpt(std::string_view text) {
    std::string shown;
    for (const char c : text.substr(0, kExcerptCharacters)) {
        if (c >= ' ' && c <= '~')
            shown += c;
        else
            shown += fmt::format("\\x{:02x}", static_cast<u8>(c));
    }
    return fmt::format("'{}'{}", shown, text.size() > kExcerptCharacters ? "..." : "");
}

bool read_literal(std::string_view text, Literal& literal) {
    const char* const end = text.data() + text.size();
    const auto read_integer = [&](std::size_t skipped, int base) {
        const auto [stop, error] = std::from_chars(text.data() + skipped, end, literal.bits, base);
        return error == std::errc() && (stop == end || (stop + 1 == end && *stop == 'U'));
    };
    literal.kind = Literal::Kind::integer;
    const char form = text.size() > 1 && text[0] == '0' ? text[1] : '\0';
    switch (form) {
        case 'x':
        case 'X': return read_integer(2, 16);
        case 'b':
        case 'B': return read_integer(2, 2);
        case 'f':
        case 'F': literal.kind = Literal::Kind::real32; return text.size() == 10 && read_integer(2, 16);
        case 'd':
        case 'D': literal.kind = Literal::Kind::real; return text.size() == 18 && read_integer(2, 16);
        default: break;
    }
    if (text.find_first_of(".eE") == text.npos) return read_integer(0, is_a(form, kDigit) ? 8 : 10);
    literal.kind = Literal::Kind::real;
    double value = 0;
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    literal.bits = std::bit_cast<u64>(value);
    return error == std::errc() && stop == end;
}

}  // namespace warpwright::emulator
