// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/jinja/syntax.h"
#include "engine/utf8.h"

namespace warpwright::jinja {
namespace {

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<u8>(c) >= 0x80;
}

// "\r\n" and "\r" are "\n", and one at the end is no part of the template.
std::string unified(std::string_view source) {
    std::string out;
    out.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            out += source[i];
        } else if (i + 1 == source.size() || source[i + 1] != '\n') {
            out += '\n';
        }
    }
    if (out.ends_with('\n')) out.pop_back();
    return out;
}

class Lexer {
public:
    explicit Lexer(std::string_view source) : source_(unified(source)), rest_(source_) {}

    std::vector<Token> run() {
        while (at_ < rest_.size()) text_until_tag();
        add(Token::Kind::end, "");
        return std::move(tokens_);
    }

private:
    [[noreturn]] void fail(const std::string& message) const {
        throw Error(fmt::format("line {}: {}", line_, message));
    }
    void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
    bool next_is(std::string_view text) const { return rest_.substr(at_).starts_with(text); }
    void advance(std::size_t count) {
        line_ += static_cast<int>(std::count(rest_.begin() + static_cast<std::ptrdiff_t>(at_),
                                             rest_.begin() + static_cast<std::ptrdiff_t>(at_ + count), '\n'));
        at_ += count;
    }
    void skip_space() {
        std::size_t count = 0;
        while (at_ + count < rest_.size() && is_space(rest_[at_ + count])) ++count;
        advance(count);
    }

    // Data up to a tag, less the white space that the tag's front takes.
    void text_until_tag() {
        std::size_t begin = at_;
        while (begin < rest_.size()) {
            begin = rest_.find('{', begin);
            if (begin == rest_.npos) begin = rest_.size();
            if (begin + 1 >= rest_.size()) {
                begin = rest_.size();
                break;
            }
            const char kind = rest_[begin + 1];
            if (kind == '{' || kind == '%' || kind == '#') break;
            ++begin;
        }
        std::string_view data = rest_.substr(at_, begin - at_);
        if (begin == rest_.size()) {
            if (!data.empty()) add(Token::Kind::data, std::string(data));
            advance(data.size());
            return;
        }
        const char kind = rest_[begin + 1];
        const char sign = begin + 2 < rest_.size() ? rest_[begin + 2] : '\0';
        if (sign == '-') {
            while (!data.empty() && is_space(data.back())) data.remove_suffix(1);
        } else if (sign != '+' && kind != '{') {  // lstrip_blocks
            const std::size_t newline = data.rfind('\n');
            const std::size_t line_start = newline == data.npos ? 0 : newline + 1;
            const std::string_view line = data.substr(line_start);
            if ((line_start > 0 || line_starting_) && std::all_of(line.begin(), line.end(), is_space)) {
                data = data.substr(0, line_start);
            }
        }
        if (!data.empty()) add(Token::Kind::data, std::string(data));
        advance(begin - at_ + 2 + (sign == '-' || sign == '+'));
        if (kind == '#') {
            comment();
        } else if (kind == '{') {
            add(Token::Kind::print_begin, "");
            expression("}}");
        } else if (!raw()) {
            add(Token::Kind::block_begin, "");
            expression("%}");
        }
    }

    // Behind the closing mark at `end`; "-" before it takes white space, and trim_blocks a newline.
    void close(std::size_t end, std::string_view mark, bool trim) {
        const char sign = end > at_ ? rest_[end - 1] : '\0';
        advance(end + mark.size() - at_);
        const std::size_t before = at_;
        if (sign == '-')
            skip_space();
        else if (trim && sign != '+' && at_ < rest_.size() && rest_[at_] == '\n')
            advance(1);
        line_starting_ = at_ > before && rest_[at_ - 1] == '\n';
    }

    void comment() {
        const std::size_t end = rest_.find("#}", at_);
        if (end == rest_.npos) fail("a comment has no end");
        close(end, "#}", true);
    }

    // {% raw %} ... {% endraw %}: data as it stands.
    bool raw() {
        const auto tag_end = [&](std::size_t from, std::string_view name) -> std::size_t {
            std::size_t i = from;
            while (i < rest_.size() && is_space(rest_[i])) ++i;
            if (!rest_.substr(i).starts_with(name)) return rest_.npos;
            i += name.size();
            while (i < rest_.size() && is_space(rest_[i])) ++i;
            if (i < rest_.size() && (rest_[i] == '-' || rest_[i] == '+')) ++i;
            return rest_.substr(i).starts_with("%}") ? i : rest_.npos;
        };
        const std::size_t open = tag_end(at_, "raw");
        if (open == rest_.npos) return false;
        close(open, "%}", false);
        for (std::size_t begin = rest_.find("{%", at_); begin != rest_.npos;
             begin = rest_.find("{%", begin + 2)) {
            const bool signed_ =
                begin + 2 < rest_.size() && (rest_[begin + 2] == '-' || rest_[begin + 2] == '+');
            const std::size_t end = tag_end(begin + 2 + signed_, "endraw");
            if (end == rest_.npos) continue;
            std::string_view data = rest_.substr(at_, begin - at_);
            if (rest_[begin + 2] == '-') {
                while (!data.empty() && is_space(data.back())) data.remove_suffix(1);
            } else if (rest_[begin + 2] != '+') {
                const std::size_t newline = data.rfind('\n');
                const std::string_view line =
                    newline == data.npos ? std::string_view("x") : data.substr(newline + 1);
                if (std::all_of(line.begin(), line.end(), is_space)) data = data.substr(0, newline + 1);
            }
            if (!data.empty()) add(Token::Kind::data, std::string(data));
            close(end, "%}", true);
            return true;
        }
        fail("a raw block has no end");
    }

    void expression(std::string_view mark) {
        std::string open;  // brackets
        for (;;) {
            skip_space();
            if (at_ == rest_.size()) fail(fmt::format("expected '{}' before the end of the template", mark));
            if (open.empty()) {
                const bool sign = rest_[at_] == '-' || rest_[at_] == '+';
                if (rest_.substr(at_ + sign).starts_with(mark)) {
                    // "+}}" is no mark: the sign is an operator without an operand.
                    if (!(sign && rest_[at_] == '+' && mark == "}}")) {
                        add(mark == "}}" ? Token::Kind::print_end : Token::Kind::block_end, "");
                        close(at_ + sign, mark, mark == "%}");
                        return;
                    }
                }
            }
            const char c = rest_[at_];
            if (c == '\'' || c == '"')
                string(c);
            else if (is_digit(c))
                number();
            else if (is_name_start(c))
                name();
            else
                operation(open);
        }
    }

    void name() {
        std::size_t end = at_;
        while (end < rest_.size() && (is_name_start(rest_[end]) || is_digit(rest_[end]))) ++end;
        add(Token::Kind::name, std::string(rest_.substr(at_, end - at_)));
        advance(end - at_);
    }

    void number() {
        std::string text;
        std::size_t end = at_;
        const auto digits = [&] {
            while (end < rest_.size() && (is_digit(rest_[end]) || rest_[end] == '_')) {
                if (rest_[end] != '_') text += rest_[end];
                ++end;
            }
        };
        digits();
        bool real = false;
        if (end + 1 < rest_.size() && rest_[end] == '.' && is_digit(rest_[end + 1])) {
            real = true;
            text += rest_[end++];
            digits();
        }
        if (end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
            const bool sign = end + 1 < rest_.size() && (rest_[end + 1] == '-' || rest_[end + 1] == '+');
            if (end + 1 + sign < rest_.size() && is_digit(rest_[end + 1 + sign])) {
                real = true;
                text += rest_.substr(end, 1 + sign);
                end += 1 + sign;
                digits();
            }
        }
        add(real ? Token::Kind::number : Token::Kind::integer, std::move(text));
        advance(end - at_);
    }

    void string(char quote) {
        std::string text;
        std::size_t i = at_ + 1;
        for (;; ++i) {
            if (i >= rest_.size()) fail("a string has no end");
            const char c = rest_[i];
            if (c == quote) break;
            if (c != '\\') {
                text += c;
                continue;
            }
            if (++i >= rest_.size()) fail("a string has no end");
            escape(text, i);
        }
        add(Token::Kind::string, std::move(text));
        advance(i + 1 - at_);
    }

    // rest_[i] is the character behind a backslash; afterwards i is at the escape's last one.
    void escape(std::string& text, std::size_t& i) {
        const char c = rest_[i];
        constexpr std::string_view kNames = "\\'\"abfnrtv\n";
        constexpr std::string_view kMeant = "\\'\"\a\b\f\n\r\t\v";
        if (const std::size_t known = kNames.find(c); known != kNames.npos) {
            if (c != '\n') text += kMeant[known];
            return;
        }
        std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        u32 point = 0;
        if (digits > 0) {
            for (; digits > 0; --digits) {
                const char digit = ++i < rest_.size() ? rest_[i] : '\0';
                const std::size_t value =
                    std::string_view("0123456789abcdef")
                        .find(digit >= 'A' && digit <= 'F' ? static_cast<char>(digit | 0x20) : digit);
                if (value == std::string_view::npos) fail("a string has a broken escape");
                point = point << 4 | static_cast<u32>(value);
            }
            if (point > 0x10FFFF) fail("a string has a broken escape");
            append_utf8(text, point >= 0xD800 && point <= 0xDFFF ? 0xFFFD : point);
            return;
        }
        if (c >= '0' && c <= '7') {
            point = static_cast<u32>(c - '0');
            for (int n = 1; n < 3 && i + 1 < rest_.size() && rest_[i + 1] >= '0' && rest_[i + 1] <= '7';
                 ++n) {
                point = point * 8 + static_cast<u32>(rest_[++i] - '0');
            }
            append_utf8(text, point);
            return;
        }
        text.append({'\\', c});
    }

    void operation(std::string& open) {
        constexpr std::array<std::string_view, 24> kMarks = {"**", "//", "==", "!=", ">=", "<=", "+", "-",
                                                             "*",  "/",  "%",  "~",  "<",  ">",  "=", "(",
                                                             ")",  "[",  "]",  "{",  "}",  ".",  ",", ":"};
        std::string_view mark;
        for (const std::string_view known : kMarks) {
            if (mark.empty() && next_is(known)) mark = known;
        }
        if (mark.empty() && next_is("|")) mark = "|";
        if (mark.empty()) fail(fmt::format("unexpected character '{}'", rest_[at_]));
        if (mark == "(" || mark == "[" || mark == "{") {
            if (open.size() >= 200) fail("brackets are nested more than 200 deep");
            open += mark == "(" ? ')' : mark == "[" ? ']' : '}';
        }
        if (mark == ")" || mark == "]" || mark == "}") {
            if (open.empty() || open.back() != mark[0]) fail(fmt::format("unexpected '{}'", mark));
            open.pop_back();
        }
        add(Token::Kind::mark, std::string(mark));
        advance(mark.size());
    }

    std::string source_;
    std::string_view rest_;
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    int line_ = 1;
    bool line_starting_ = true;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
    return Lexer(source).run();
}

}  // namespace warpwright::jinja
