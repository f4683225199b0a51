// SPDX-License-Identifier: Apache-2.0
// Declarations of variables and their initialisers, PTX ISA 5.4.
#include <bit>
#include <cstring>

#include <fmt/format.h>
#include "emulator/parse/parser.h"

namespace warpwright::emulator {
namespace {

bool is_of_memory(Type type) {
    return type >= Type::b8 && type <= Type::f64 && type != Type::f32x2;
}

const char* space_name(Space space) {
    switch (space) {
        case Space::generic: return "generic";
        case Space::reg: return ".reg";
        case Space::param: return ".param";
        case Space::constant: return ".const";
        case Space::global: return ".global";
        case Space::shared: return ".shared";
        case Space::local: return ".local";
    }
    return "?";
}

// The braces of an initialiser. As in C: what is left out is zero, and inner braces may be left out.
class Initialiser {
public:
    // `sizes`: elements of each dimension, a vector's as the innermost; the first one 0 when it is to be
    // found.
    Initialiser(ParserState& state, Variable& variable, const std::vector<u64>& sizes)
        : state_(state), lexer_(state.lexer), variable_(variable) {
        bytes_.assign(sizes.size() + 1, facts_of(variable.type).bits / 8);
        for (std::size_t i = sizes.size(); i-- > 0;) bytes_[i] = bytes_[i + 1] * sizes[i];
    }

    Status parse() {
        is_open_ = bytes_[0] == 0;
        if (!is_open_) WW_TRY(grow(bytes_[0]));
        return bytes_.size() == 1 ? parse_scalar(0) : parse_braces(0, 0);
    }

private:
    Status parse_braces(std::size_t level, u64 begin) {
        WW_TRY(lexer_.expect('{', "of an initialiser"));
        const bool is_open = is_open_ && level == 0;
        const u64 end = is_open ? kMaxInitialBytes : begin + bytes_[level];
        u64 at = begin;
        while (!lexer_.accept('}')) {
            if (at != begin) {
                WW_TRY(lexer_.expect(',', "or '}' in an initialiser"));
                if (lexer_.accept('}')) break;
            }
            const bool is_nested = lexer_.peek().is('{');
            if (is_nested && level + 2 >= bytes_.size())
                return lexer_.expected("a value: the variable has no more dimensions");
            const u64 size = is_nested ? bytes_[level + 1] : bytes_.back();
            if (is_nested && (at - begin) % size != 0)
                return lexer_.expected("a value: braces begin inside of an element");
            if (size > end - at) return lexer_.expected("'}': the variable has no room for more values");
            if (is_open) WW_TRY(grow(at + size));
            WW_TRY(is_nested ? parse_braces(level + 1, at) : parse_scalar(at));
            at += size;
        }
        if (is_open) WW_TRY(grow((at + bytes_[1] - 1) / bytes_[1] * bytes_[1]));
        return {};
    }

    Status grow(u64 bytes) {
        const u64 more = bytes - variable_.initial.size();
        if (more > kMaxInitialBytes - state_.initial_bytes)
            return lexer_.error(
                variable_.line,
                fmt::format("expected initialised variables of at most {} bytes together, got "
                            "more with {}",
                            kMaxInitialBytes, excerpt(variable_.name)));
        state_.initial_bytes += more;
        variable_.initial.resize(bytes);
        variable_.bytes = bytes;
        return {};
    }

    Status parse_scalar(u64 at) {
        if (lexer_.peek().is(Token::Kind::word)) return parse_address(at);
        bool is_negative = false;
        for (;;) {
            if (lexer_.accept('-'))
                is_negative = !is_negative;
            else if (!lexer_.accept('+'))
                break;
        }
        Literal literal;
        const Token number = lexer_.peek();
        if (!number.is(Token::Kind::number) || !read_literal(number.text, literal))
            return lexer_.expected("a value in an initialiser");
        const TypeFacts& facts = facts_of(variable_.type);
        const bool is_integer = literal.kind == Literal::Kind::integer;
        u64 bits = literal.bits;
        if (is_integer ? facts.is_float : facts.bits < 32)
            return lexer_.not_covered(
                number.line, fmt::format("{} as initial value of a {}", excerpt(number.text), facts.name));
        if (is_integer) {
            if (is_negative) bits = 0 - bits;
        } else if (literal.kind == Literal::Kind::real32) {
            if (facts.bits != 32) return lexer_.expected(fmt::format("a value of type {}", facts.name));
            if (is_negative) bits ^= 1u << 31;
        } else {
            if (is_negative) bits ^= 1ull << 63;
            if (facts.bits == 32) bits = std::bit_cast<u32>(static_cast<float>(std::bit_cast<double>(bits)));
        }
        lexer_.advance();
        store(at, bits);
        return {};
    }

    void store(u64 at, u64 bits) {
        const std::size_t bytes = std::min<std::size_t>(bytes_.back(), sizeof bits);
        std::memcpy(variable_.initial.data() + at, &bits, bytes);
    }

    // symbol, symbol + 4, generic(symbol), generic(symbol) + 4
    Status parse_address(u64 at) {
        const int line = lexer_.peek().line;
        Relocation relocation;
        relocation.is_generic = lexer_.accept("generic");
        if (relocation.is_generic) WW_TRY(lexer_.expect('(', "after 'generic'"));
        WW_TRY(parse_symbol(relocation));
        if (relocation.is_generic) {
            WW_TRY(lexer_.expect(')', "after the symbol of 'generic'"));
            WW_TRY(parse_addend(relocation.addend));
        }
        if (bytes_.back() != 4 && bytes_.back() != 8)
            return lexer_.not_covered(
                line, fmt::format("an address in a variable of type {}", facts_of(variable_.type).name));
        relocation.offset = at;
        relocation.bytes = static_cast<int>(bytes_.back());
        variable_.relocations.push_back(std::move(relocation));
        return {};
    }

    Status parse_symbol(Relocation& relocation) {
        const Token name = lexer_.peek();
        WW_ASSIGN(relocation.symbol, lexer_.expect_word("a symbol"));
        if (state_.symbols.find(name.text) == nullptr && name.text != variable_.name)
            return lexer_.error(name.line, fmt::format("{} is not declared", excerpt(name.text)));
        return parse_addend(relocation.addend);
    }

    Status parse_addend(i64& addend) {
        u64 sum = static_cast<u64>(addend);
        while (lexer_.peek().is('+') || lexer_.peek().is('-')) {
            bool is_negative = lexer_.take().is('-');
            if (lexer_.accept('-')) is_negative = !is_negative;
            WW_ASSIGN(const u64 bytes, lexer_.expect_integer("an offset in bytes", ~0ull));
            sum += is_negative ? 0 - bytes : bytes;
        }
        addend = static_cast<i64>(sum);
        return {};
    }

    ParserState& state_;
    Lexer& lexer_;
    Variable& variable_;
    std::vector<u64> bytes_;  // of what one brace of each level encloses; the last: of a scalar
    bool is_open_ = false;    // "[]": the values say how many there are
};

}  // namespace

Status parse_declaration(ParserState& state, Declaration& declaration) {
    Lexer& lexer = state.lexer;
    bool is_pointer = false;  // .ptr: what follows tells of what a parameter points to
    while (lexer.peek().is(Token::Kind::suffix)) {
        const Token word = lexer.take();
        if (word.is(".align")) {
            WW_ASSIGN(const u64 bytes, lexer.expect_integer("an alignment", kMaxAlignment));
            if (!std::has_single_bit(bytes))
                return lexer.error(word.line,
                                   fmt::format("expected a power of two as alignment, got {}", bytes));
            if (!is_pointer) declaration.alignment = static_cast<int>(bytes);
        } else if (word.is(".v2") || word.is(".v4") || word.is(".v8")) {
            declaration.vector = word.text[2] - '0';
        } else if (word.is(".ptr") && declaration.space == Space::param) {
            is_pointer = true;
        } else if (is_pointer && (word.is(".global") || word.is(".shared") || word.is(".const") ||
                                  word.is(".local") || word.is(".generic"))) {
            continue;
        } else if (const Type type = type_named(word.text.substr(1));
                   is_of_memory(type) || (type == Type::pred && declaration.space == Space::reg)) {
            if (declaration.type != Type::none)
                return lexer.error(word.line,
                                   fmt::format("expected one type, got {} and {}",
                                               facts_of(declaration.type).name, word.text.substr(1)));
            declaration.type = type;
        } else {
            return lexer.not_covered(word.line, fmt::format("{} in a {} declaration", excerpt(word.text),
                                                            space_name(declaration.space)));
        }
    }
    if (declaration.type == Type::none) return lexer.expected("a type");
    return {};
}

Status parse_variable(ParserState& state, const Declaration& declaration, Variable& variable) {
    Lexer& lexer = state.lexer;
    variable.line = lexer.peek().line;
    WW_ASSIGN(variable.name, lexer.expect_word("the name of a variable"));
    variable.space = declaration.space;
    variable.type = declaration.type;
    variable.vector = declaration.vector;
    variable.is_extern = declaration.is_extern;

    std::vector<u64> sizes;
    u64 bytes = facts_of(declaration.type).bits / 8 * static_cast<u64>(declaration.vector);
    variable.alignment = declaration.alignment > 0 ? declaration.alignment : static_cast<int>(bytes);
    const u64 room = kMaxVariableBytes - state.variable_bytes;
    while (lexer.accept('[')) {
        if (sizes.size() == kMaxDimensions)
            return lexer.expected(fmt::format("at most {} dimensions", kMaxDimensions));
        u64 size = 0;
        if (!(sizes.empty() && lexer.peek().is(']'))) {
            WW_ASSIGN(size, lexer.expect_integer("a number of elements", ~0ull));
            if (size == 0) return lexer.error(variable.line, "expected at least 1 element, got 0");
            if (size > room / bytes)
                return lexer.error(
                    variable.line,
                    fmt::format("expected variables of at most {} bytes together, got more with {}",
                                kMaxVariableBytes, excerpt(variable.name)));
            bytes *= size;
        }
        WW_TRY(lexer.expect(']', "after a number of elements"));
        sizes.push_back(size);
    }
    const bool is_open = !sizes.empty() && sizes[0] == 0;
    variable.bytes = is_open ? 0 : bytes;
    if (declaration.vector > 1) sizes.push_back(static_cast<u64>(declaration.vector));

    if (lexer.peek().is('=')) {
        if ((declaration.space != Space::global && declaration.space != Space::constant) ||
            declaration.is_extern)
            return lexer.error(
                lexer.peek().line,
                fmt::format("{} has an initial value, which {} variables have not", excerpt(variable.name),
                            declaration.is_extern ? ".extern" : space_name(declaration.space)));
        lexer.advance();
        WW_TRY(Initialiser(state, variable, sizes).parse());
    } else if (is_open && !declaration.is_extern && declaration.space != Space::param) {
        return lexer.error(variable.line, fmt::format("expected a number of elements for {}, got '[]'",
                                                      excerpt(variable.name)));
    }
    if (variable.bytes > kMaxVariableBytes - state.variable_bytes)
        return lexer.error(variable.line,
                           fmt::format("expected variables of at most {} bytes together, got more with {}",
                                       kMaxVariableBytes, excerpt(variable.name)));
    state.variable_bytes += variable.bytes;
    return {};
}

}  // namespace warpwright::emulator
