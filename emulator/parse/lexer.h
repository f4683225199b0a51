// SPDX-License-Identifier: Apache-2.0
// The words of a PTX text, one at a time and without copies. PTX ISA 4.2 to 4.5.
#pragma once

#include <string>
#include <string_view>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright::emulator {

struct Token {
    enum class Kind : u8 {
        end,
        word,      // "add", "%r1", "$L__BB0_2", "_"
        suffix,    // a dot and what belongs to it: ".u32", ".L1::no_allocate", ".2d"
        number,    // any literal, without sign
        string,    // with its quotes
        mark,      // one character of punctuation
        unclosed,  // a comment or string that the text ends in
        unknown,   // a character that PTX has not
    };
    Kind kind = Kind::end;
    std::string_view text;
    int line = 1;

    bool is(char mark) const { return kind == Kind::mark && text[0] == mark; }
    bool is(Kind other) const { return kind == other; }
    // Of a word or suffix. Numbers and strings begin differently, so the text alone decides.
    bool is(std::string_view name) const { return text == name; }
};

// The text with one token of lookahead. Expectations that fail name the line, what was expected and what
// stands there.
class Lexer {
public:
    explicit Lexer(std::string_view text) : text_(text) { advance(); }

    const Token& peek() const { return token_; }
    Token take() {
        const Token taken = token_;
        advance();
        return taken;
    }
    void advance();

    // Takes what is expected, or leaves the token and says no.
    bool accept(char mark) {
        if (!token_.is(mark)) return false;
        advance();
        return true;
    }
    bool accept(std::string_view name) {
        if (!token_.is(name)) return false;
        advance();
        return true;
    }

    // `where` completes the sentence: "expected ';' after operand".
    Status expect(char mark, std::string_view where = {});
    Result<std::string_view> expect_word(std::string_view what);
    // A non-negative integer literal of at most `limit`.
    Result<u64> expect_integer(std::string_view what, u64 limit);

    Status expected(std::string_view what) const;  // "line 3: expected WHAT, got '...'"
    Status error(int line, std::string_view text) const;
    Status not_covered(int line, std::string_view what) const;

private:
    void skip_space();
    std::size_t end_of_number() const;
    void emit(Token::Kind kind, std::size_t end);

    std::string_view text_;
    std::size_t at_ = 0;
    int line_ = 1;
    Token token_;
};

// What an error shows of a text: quoted, shortened, printable.
std::string excerpt(std::string_view text);

struct Literal {
    enum class Kind : u8 { integer, real, real32 };  // real32: 0f, bits only
    Kind kind = Kind::integer;
    u64 bits = 0;  // the value of an integer; the encoding of a real or real32
};
// False when the text of a number token is no literal, or does not fit 64 bits.
bool read_literal(std::string_view text, Literal& literal);

}  // namespace warpwright::emulator
