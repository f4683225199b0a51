// SPDX-License-Identifier: Apache-2.0
// Declarations of variables and their initialisers, PTX ISA 5.4.
#include <bit>
#include <cstring>

#include <fmt/format.h>
#include "emulator/parse/parser.h"

namespace warpwright::emulator {
namespace {

// Fundamental types; the others are only types of instructions.
bool is_fundamental(Type type) {
    return (type >= Type::b8 && type <= Type::f16x2) || type == Type::f32 || type == Type::f64;
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

// An initialiser: braces for each dimension, as many values as there are elements or fewer; the rest is zero.
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
        return parse_element(0, 0);
    }

private:
    // What stands at byte `at`: a value, or the braces of dimension `level`.
    Status parse_element(std::size_t level, u64 at) {
        if (level + 1 == bytes_.size()) return parse_value(at);
        WW_TRY(lexer_.expect('{', "of an initialiser"));
        if (lexer_.accept('}')) return {};
        const bool is_open = is_open_ && level == 0;
        const u64 size = bytes_[level + 1];
        const u64 end = at + bytes_[level];
        do {
            if (is_open)
                WW_TRY(grow(at + size));
            else if (at == end)
                return lexer_.expected("'}': the variable has no room for more values");
            WW_TRY(parse_element(level + 1, at));
            at += size;
        } while (lexer_.accept(','));
        return lexer_.expect('}', "or ',' in an initialiser");
    }

    Status grow(u64 bytes) {
        const u64 more = bytes - variable_.initial.size();
        if (more > kMaxInitialBytes - state_.initial_bytes)
            return lexer_.error(variable_.line,
                                fmt::format("expected initialised variables of at most {} bytes "
                                            "together, got more with {}",
                                            kMaxInitialBytes, excerpt(variable_.name)));
        state_.initial_bytes += more;
        variable_.initial.resize(bytes);
        variable_.bytes = bytes;
        return {};
    }

    Status parse_value(u64 at) {
        if (lexer_.peek().is(Token::Kind::word)) {
            if (variable_.type != Type::u64 && variable_.type != Type::u32)
                return lexer_.expected(fmt::format("a value of type {}", facts_of(variable_.type).name));
            return parse_address(at, 0);
        }
        const int line = lexer_.peek().line;
        bool is_negative = false;
        for (; lexer_.peek().is('-') || lexer_.peek().is('+'); lexer_.advance())
            is_negative ^= lexer_.peek().is('-');
        const Token number = lexer_.peek();
        Literal literal;
        if (!number.is(Token::Kind::number) || !read_literal(number.text, literal))
            return lexer_.expected(fmt::format("a value of type {}", facts_of(variable_.type).name));
        if (!holds(literal.kind))
            return lexer_.error(line, fmt::format("expected a value of type {}, got {}",
                                                  facts_of(variable_.type).name, excerpt(number.text)));
        lexer_.advance();
        if (lexer_.peek().is('(')) return parse_masked_address(at, number.line, literal);
        store(at, encode(literal, is_negative));
        return {};
    }

    // Reals initialise floats, and untyped bits of a float's size; integers whatever is no float.
    bool holds(Literal::Kind kind) const {
        switch (variable_.type) {
            case Type::f32:
            case Type::f64: return kind != Literal::Kind::integer;
            case Type::b32:
            case Type::b64: return true;
            case Type::f16:
            case Type::f16x2:
            case Type::b128: return false;
            default: return kind == Literal::Kind::integer;
        }
    }

    u64 encode(const Literal& literal, bool is_negative) const {
        if (literal.kind == Literal::Kind::integer) return is_negative ? 0 - literal.bits : literal.bits;
        const bool is_float = facts_of(variable_.type).bits == 32;
        if (literal.kind == Literal::Kind::real32) {
            const u32 bits = static_cast<u32>(literal.bits) ^ (is_negative ? 1u << 31 : 0);
            return is_float ? bits : std::bit_cast<u64>(static_cast<double>(std::bit_cast<float>(bits)));
        }
        const u64 bits = literal.bits ^ (is_negative ? 1ull << 63 : 0);
        return is_float ? std::bit_cast<u32>(static_cast<float>(std::bit_cast<double>(bits))) : bits;
    }

    void store(u64 at, u64 bits) { std::memcpy(variable_.initial.data() + at, &bits, bytes_.back()); }

    // 0xff00(generic(symbol) + 4): one byte of an address.
    Status parse_masked_address(u64 at, int line, const Literal& mask) {
        const int shift = std::countr_zero(mask.bits);
        if (bytes_.back() != 1 || shift % 8 != 0 || shift == 64 || mask.bits >> shift != 0xff)
            return lexer_.error(line, "expected the mask of one byte, as in '0xff00(symbol)', and type u8");
        lexer_.advance();
        WW_TRY(parse_address(at, shift));
        return lexer_.expect(')', "after the address under a mask");
    }

    // symbol, symbol + 4, generic(symbol), generic(symbol) + 4
    Status parse_address(u64 at, int shift) {
        Relocation& relocation = variable_.relocations.emplace_back();
        relocation.offset = at;
        relocation.bytes = static_cast<int>(bytes_.back());
        relocation.shift = shift;
        relocation.is_generic = lexer_.accept("generic");
        if (relocation.is_generic) WW_TRY(lexer_.expect('(', "after 'generic'"));
        const Token name = lexer_.peek();
        WW_ASSIGN(relocation.symbol, lexer_.expect_word("a symbol"));
        const Name* found = state_.symbols.find(name.text);
        if (found == nullptr)
            return lexer_.error(name.line, fmt::format("{} is not declared", excerpt(name.text)));
        if (found->kind == Name::Kind::variable &&
            state_.module.variables[found->index].space == Space::shared)
            return lexer_.error(name.line,
                                fmt::format("expected a .global or .const variable or a function, got "
                                            "the .shared variable {}",
                                            excerpt(name.text)));
        if (relocation.is_generic) WW_TRY(lexer_.expect(')', "after the symbol of 'generic'"));
        return parse_offset(lexer_, relocation.addend);
    }

    ParserState& state_;
    Lexer& lexer_;
    Variable& variable_;
    std::vector<u64> bytes_;  // of an element of each level: all, one row, ..., one value
    bool is_open_ = false;    // "[]": the values say how many there are
};

}  // namespace

Status parse_declaration(ParserState& state, Declaration& declaration) {
    Lexer& lexer = state.lexer;
    bool is_pointer = false;  // .ptr: what follows tells of what a parameter points to
    while (lexer.peek().is(Token::Kind::suffix)) {
        const Token word = lexer.take();
        if (word.is(".align") && declaration.space != Space::reg) {
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
                   is_fundamental(type) || (type == Type::pred && declaration.space == Space::reg)) {
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

// + 4, - 4, +-4; none is 0.
Status parse_offset(Lexer& lexer, i64& offset) {
    u64 sum = 0;
    while (lexer.peek().is('+') || lexer.peek().is('-')) {
        bool is_negative = lexer.take().is('-');
        if (lexer.accept('-')) is_negative = !is_negative;
        WW_ASSIGN(const u64 bytes, lexer.expect_integer("an offset in bytes", ~0ull));
        sum += is_negative ? 0 - bytes : bytes;
    }
    offset = static_cast<i64>(sum);
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
