// SPDX-License-Identifier: Apache-2.0
// Instructions and their operands, PTX ISA 4.3 and 6.
#include <algorithm>
#include <bit>

#include <fmt/format.h>
#include "emulator/parse/parser.h"

namespace warpwright::emulator {
namespace {

constexpr std::size_t kUsualOperands = 4;
constexpr std::string_view kOperators = "+-*/%<>&|^?=!";

// PTX ISA chapter 10, without components. %envreg<32> and %pm<8> are told by their beginning.
constexpr std::string_view kSpecialRegisters[] = {
    "%aggr_smem_size",
    "%clock",
    "%clock64",
    "%clock_hi",
    "%cluster_ctaid",
    "%cluster_ctarank",
    "%cluster_nctaid",
    "%cluster_nctarank",
    "%clusterid",
    "%ctaid",
    "%current_graph_exec",
    "%dynamic_smem_size",
    "%globaltimer",
    "%globaltimer_hi",
    "%globaltimer_lo",
    "%gridid",
    "%is_explicit_cluster",
    "%laneid",
    "%lanemask_eq",
    "%lanemask_ge",
    "%lanemask_gt",
    "%lanemask_le",
    "%lanemask_lt",
    "%nclusterid",
    "%nctaid",
    "%nsmid",
    "%ntid",
    "%nwarpid",
    "%reserved_smem_offset_0",
    "%reserved_smem_offset_1",
    "%reserved_smem_offset_begin",
    "%reserved_smem_offset_cap",
    "%reserved_smem_offset_end",
    "%smid",
    "%tid",
    "%total_smem_size",
    "%warpid",
};

// ".x" is 0; -1 for what is no component.
int component_of(std::string_view suffix) {
    const std::size_t found = suffix.size() == 2 ? std::string_view("xyzw").find(suffix[1]) : suffix.npos;
    return found == suffix.npos ? -1 : static_cast<int>(found);
}

}  // namespace

bool is_special_register(std::string_view name) {
    if (name == "WARP_SZ") return true;
    if (name.substr(0, 7) == "%envreg" || name.substr(0, 3) == "%pm") return true;
    return std::binary_search(std::begin(kSpecialRegisters), std::end(kSpecialRegisters), name);
}

// @p, @!p
Status FunctionParser::parse_guard(Guard& guard) {
    lexer_.advance();
    guard.negated = lexer_.accept('!');
    const Token name = lexer_.peek();
    const Name* found = name.is(Token::Kind::word) ? names_.find(name.text) : nullptr;
    if (found == nullptr || found->kind != Name::Kind::reg ||
        function_.registers[found->index].type != Type::pred)
        return lexer_.expected("a predicate register after '@'");
    guard.reg = found->index;
    lexer_.advance();
    return {};
}

Status FunctionParser::parse_statement(const Guard& guard, const Token& opcode) {
    opcode_ = opcode.text;
    modifiers_.clear();
    while (lexer_.peek().is(Token::Kind::suffix)) modifiers_.push_back(lexer_.take().text.substr(1));

    Statement& statement = function_.statements.emplace_back();
    statement.opcode = opcode.text;
    statement.modifiers = std::vector<std::string>(modifiers_.begin(), modifiers_.end());
    statement.guard = guard;
    statement.line = opcode.line;
    statement.source_file = source_file_;
    statement.source_line = source_line_;
    if (lexer_.accept(';')) return {};
    statement.operands.reserve(kUsualOperands);
    do {
        WW_TRY(parse_operand(statement.operands.emplace_back(), 0));
    } while (lexer_.accept(','));
    return lexer_.expect(';', "or ',' after an operand");
}

Status FunctionParser::parse_operand(Operand& operand, int nesting) {
    if (opcode_ == "bra") return parse_branch_target(operand);
    if (nesting == kMaxNesting) return lexer_.expected(fmt::format("at most {} nested braces", kMaxNesting));
    const Token token = lexer_.peek();
    switch (token.kind) {
        case Token::Kind::word: WW_TRY(parse_name(operand)); break;
        case Token::Kind::number: return parse_number(operand);
        case Token::Kind::mark:
            switch (token.text[0]) {
                case '{': return parse_list(operand, '}', nesting);
                case '[': return parse_address(operand, nesting);
                case '-':
                case '+': return parse_number(operand);
                case '(':
                    if (opcode_ == "call") return parse_list(operand, ')', nesting);
                    return lexer_.not_covered(token.line, "a constant expression in parentheses");
                case '~': return lexer_.not_covered(token.line, "a constant expression (operator '~')");
                case '!':
                    lexer_.advance();
                    if (lexer_.peek().is(Token::Kind::number))
                        return lexer_.not_covered(token.line, "a constant expression (operator '!')");
                    WW_TRY(parse_name(operand));
                    if (operand.kind != Operand::Kind::reg ||
                        function_.registers[operand.reg].type != Type::pred)
                        return lexer_.error(token.line, "expected a predicate register after '!'");
                    operand.negated = true;
                    return {};
                default: break;
            }
            return lexer_.expected("an operand");
        default: return lexer_.expected("an operand");
    }
    return lexer_.peek().is('|') ? parse_pair(operand) : Status();
}

// d|p: `operand`, read already, and what follows.
Status FunctionParser::parse_pair(Operand& operand) {
    const auto is_destination = [](const Operand& each) {
        return each.kind == Operand::Kind::reg || each.kind == Operand::Kind::sink;
    };
    if (!is_destination(operand)) return lexer_.expected("',' or ';' after an operand");
    lexer_.advance();
    const int line = lexer_.peek().line;
    Operand second;
    WW_TRY(parse_name(second));
    if (!is_destination(second)) return lexer_.error(line, "expected a register after '|'");
    Operand pair;
    pair.kind = Operand::Kind::pair;
    pair.elements.reserve(2);
    pair.elements.push_back(std::move(operand));
    pair.elements.push_back(std::move(second));
    operand = std::move(pair);
    return {};
}

// What it means is known when a scope closes: see close_scope.
Status FunctionParser::parse_branch_target(Operand& operand) {
    const Token name = lexer_.peek();
    WW_TRY(lexer_.expect_word("a label").status());
    operand.kind = Operand::Kind::label;
    const std::vector<Statement>& statements = function_.statements;
    label_uses_.push_back({name.text, name.line, static_cast<int>(statements.size()) - 1,
                           static_cast<int>(statements.back().operands.size()) - 1});
    return {};
}

Status FunctionParser::parse_list(Operand& operand, char close, int nesting) {
    operand.kind = Operand::Kind::vector;
    lexer_.advance();
    if (lexer_.accept(close)) return {};
    operand.elements.reserve(kUsualOperands);
    do {
        WW_TRY(parse_operand(operand.elements.emplace_back(), nesting + 1));
    } while (lexer_.accept(','));
    return lexer_.expect(close, "or ',' in a list of operands");
}

Status FunctionParser::parse_number(Operand& operand) {
    const int line = lexer_.peek().line;
    bool is_signed = false, is_negative = false;
    for (; lexer_.peek().is('-') || lexer_.peek().is('+'); lexer_.advance()) {
        is_signed = true;
        is_negative ^= lexer_.peek().is('-');
    }
    const Token number = lexer_.peek();
    Literal literal;
    if (!number.is(Token::Kind::number) || !read_literal(number.text, literal))
        return lexer_.expected(is_signed ? "a number after the sign" : "a number that fits 64 bits");
    operand.integer = literal.bits;
    switch (literal.kind) {
        case Literal::Kind::integer:
            operand.kind = Operand::Kind::integer;
            if (is_negative) operand.integer = 0 - operand.integer;
            break;
        case Literal::Kind::real32:
            if (is_signed) return lexer_.expected("no sign before a literal of bits");
            operand.kind = Operand::Kind::real32;
            break;
        case Literal::Kind::real:
            operand.kind = Operand::Kind::real;
            if (is_negative) operand.integer ^= 1ull << 63;
            operand.real = std::bit_cast<double>(operand.integer);
            break;
    }
    lexer_.advance();
    const Token after = lexer_.peek();
    if (after.is(Token::Kind::mark) && kOperators.find(after.text[0]) != kOperators.npos)
        return lexer_.not_covered(
            line, fmt::format("a constant expression ({} after a number)", excerpt(after.text)));
    return {};
}

// What a word means: a register, a symbol, a special register, a label.
Status FunctionParser::parse_name(Operand& operand) {
    const Token name = lexer_.peek();
    if (!name.is(Token::Kind::word)) return lexer_.expected("a name");
    lexer_.advance();
    if (name.is("_")) {
        operand.kind = Operand::Kind::sink;
        return {};
    }
    operand.kind = Operand::Kind::symbol;
    if (const Name* found = names_.find(name.text); found != nullptr) {
        switch (found->kind) {
            case Name::Kind::reg:
            case Name::Kind::vector_reg: return parse_component(name, operand, *found);
            case Name::Kind::parameter: operand.symbol = function_.parameters[found->index].name; break;
            case Name::Kind::result: operand.symbol = function_.returns[found->index].name; break;
            case Name::Kind::variable: operand.symbol = function_.variables[found->index].name; break;
            default:
                return lexer_.error(name.line,
                                    fmt::format("expected an operand, got the label {}", excerpt(name.text)));
        }
        return parse_offset(lexer_, operand.offset);
    }
    if (state_.symbols.find(name.text) != nullptr) {
        operand.symbol = name.text;
        return parse_offset(lexer_, operand.offset);
    }
    if (!is_special_register(name.text))
        return lexer_.error(name.line, fmt::format("{} is not declared", excerpt(name.text)));
    operand.kind = Operand::Kind::special;
    operand.symbol = name.text;
    if (lexer_.peek().is(Token::Kind::suffix)) operand.symbol += lexer_.take().text;
    return {};
}

// A register, an element of a vector register, or all of its elements.
Status FunctionParser::parse_component(const Token& name, Operand& operand, const Name& found) {
    operand.kind = Operand::Kind::reg;
    operand.reg = found.index;
    const Token suffix = lexer_.peek();
    if (suffix.is(Token::Kind::suffix)) {
        const int component = component_of(suffix.text);
        if (found.kind != Name::Kind::vector_reg || component < 0 || component >= found.width)
            return lexer_.not_covered(
                name.line, fmt::format("{} of register {}", excerpt(suffix.text), excerpt(name.text)));
        operand.reg += component;
        lexer_.advance();
    } else if (found.kind == Name::Kind::vector_reg) {
        operand = {};
        operand.kind = Operand::Kind::vector;
        for (int i = 0; i < found.width; ++i) {
            Operand& element = operand.elements.emplace_back();
            element.kind = Operand::Kind::reg;
            element.reg = found.index + i;
        }
    }
    return {};
}

// [base + offset], [offset], [map, {x, y}]
Status FunctionParser::parse_address(Operand& operand, int nesting) {
    lexer_.advance();
    const Token base = lexer_.peek();
    constexpr std::string_view kExpected = "a register, a symbol or a number in an address";
    if (base.is(Token::Kind::word)) {
        if (base.is("_") || (is_special_register(base.text) && names_.find(base.text) == nullptr))
            return lexer_.expected(kExpected);
        WW_TRY(parse_name(operand));
        if (operand.kind == Operand::Kind::vector) return lexer_.expected("a component of the register");
        if (operand.kind == Operand::Kind::reg) WW_TRY(parse_offset(lexer_, operand.offset));
    } else if (base.is('-') || base.is('+') || base.is(Token::Kind::number)) {
        WW_TRY(parse_number(operand));
        if (operand.kind != Operand::Kind::integer)
            return lexer_.error(base.line, fmt::format("expected {}, got {}", kExpected, excerpt(base.text)));
        operand.offset = static_cast<i64>(operand.integer);
        operand.integer = 0;
    } else {
        return lexer_.expected(kExpected);
    }
    operand.kind = Operand::Kind::address;
    while (lexer_.accept(',')) WW_TRY(parse_operand(operand.elements.emplace_back(), nesting + 1));
    return lexer_.expect(']', "after an address");
}

}  // namespace warpwright::emulator
