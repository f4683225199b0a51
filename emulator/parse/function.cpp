// SPDX-License-Identifier: Apache-2.0
// A function's signature, directives and scopes, PTX ISA 5.4.6, 7 and 11.3.
#include <fmt/format.h>
#include "emulator/parse/parser.h"

namespace warpwright::emulator {
namespace {

constexpr u64 kMaxThreads = 1u << 31;  // of one dimension; what a target allows is checked at the launch
constexpr u64 kMaxInt = 0x7fff'ffff;

// .maxntid x {, y {, z}}
Status parse_threads(Lexer& lexer, Threads& threads) {
    u32* const dimensions[] = {&threads.x, &threads.y, &threads.z};
    threads = {1, 1, 1};
    for (u32* dimension : dimensions) {
        const int line = lexer.peek().line;
        WW_ASSIGN(*dimension, lexer.expect_integer("a number of threads", kMaxThreads));
        if (*dimension == 0) return lexer.error(line, "expected at least 1 thread, got 0");
        if (!lexer.accept(',')) return {};
    }
    return lexer.expected("at most 3 numbers");
}

Status parse_count(Lexer& lexer, int& count) {
    WW_ASSIGN(const u64 value, lexer.expect_integer("a number", kMaxInt));
    count = static_cast<int>(value);
    return {};
}

}  // namespace

Status FunctionParser::parse_parameters(std::vector<Variable>& parameters, Name::Kind kind) {
    WW_TRY(lexer_.expect('('));
    if (lexer_.accept(')')) return {};
    do {
        Declaration declaration;
        const Token space = lexer_.peek();
        if (space.is(".param"))
            declaration.space = Space::param;
        else if (space.is(".reg") && !function_.is_entry)
            declaration.space = Space::reg;
        else
            return lexer_.expected("'.param' of a parameter");
        lexer_.advance();
        WW_TRY(parse_declaration(state_, declaration));
        Variable parameter;
        if (declaration.space == Space::reg) {
            WW_TRY(parse_register_parameter(declaration, parameter));
        } else {
            WW_TRY(parse_variable(state_, declaration, parameter));
            const std::string name = unique_name(parameter.name);
            WW_TRY(declare(parameter.name, kind, static_cast<int>(parameters.size()), parameter.line));
            parameter.name = name;
        }
        parameters.push_back(std::move(parameter));
    } while (lexer_.accept(','));
    return lexer_.expect(')', "or ',' after a parameter");
}

// Its register is the variable: both have one name. It takes no memory.
Status FunctionParser::parse_register_parameter(const Declaration& declaration, Variable& parameter) {
    const Token name = lexer_.peek();
    WW_TRY(lexer_.expect_word("the name of a parameter").status());
    if (declaration.vector != 1) return lexer_.not_covered(name.line, "a vector register as parameter");
    WW_TRY(declare_register(name.text, declaration.type, 1, name.line));
    parameter.name = function_.registers.back().name;
    parameter.space = Space::reg;
    parameter.type = declaration.type;
    parameter.line = name.line;
    return {};
}

Status FunctionParser::parse_directives() {
    while (lexer_.peek().is(Token::Kind::suffix)) {
        const Token directive = lexer_.take();
        if (directive.is(".maxntid")) {
            WW_TRY(parse_threads(lexer_, function_.max_threads));
        } else if (directive.is(".reqntid")) {
            WW_TRY(parse_threads(lexer_, function_.required_threads));
        } else if (directive.is(".reqnctapercluster")) {
            WW_TRY(parse_threads(lexer_, function_.required_cluster));
        } else if (directive.is(".minnctapersm")) {
            WW_TRY(parse_count(lexer_, function_.min_blocks_per_sm));
        } else if (directive.is(".maxnreg")) {
            WW_TRY(parse_count(lexer_, function_.max_registers));
        } else if (directive.is(".maxclusterrank")) {
            WW_TRY(parse_count(lexer_, function_.max_cluster_rank));
        } else if (directive.is(".explicitcluster")) {
            function_.is_explicit_cluster = true;
        } else if (directive.is(".noreturn")) {
            function_.is_noreturn = true;
        } else if (directive.is(".pragma")) {
            WW_TRY(skip_pragma(lexer_));
        } else {
            return lexer_.not_covered(directive.line,
                                      fmt::format("{} of a function", excerpt(directive.text)));
        }
    }
    if (lexer_.peek().is('{') || lexer_.peek().is(';')) return {};
    return lexer_.expected(fmt::format("'{{' or ';' after the signature of {}", excerpt(function_.name)));
}

// --- scopes -----------------------------------------------------------------------------------------------

// An identifier has no '#': a name made by it is nobody else's.
std::string FunctionParser::unique_name(std::string_view name) const {
    const int before = names_.num_declared(name) + (state_.symbols.find(name) != nullptr);
    return before == 0 ? std::string(name) : fmt::format("{}#{}", name, before + 1);
}

Status FunctionParser::declare(std::string_view name, Name::Kind kind, int index, int line, int width) {
    const Name* before = names_.declare(name, kind, index, line, width);
    return before == nullptr ? Status() : declared_twice(state_, line, name, *before);
}

// The '{' is still to be taken.
Status FunctionParser::open_scope() {
    if (names_.depth() == kMaxNesting)
        return lexer_.expected(fmt::format("at most {} nested '{{'", kMaxNesting));
    lexer_.advance();
    names_.open();
    scopes_.push_back(label_uses_.size());
    return {};
}

// Labels declared here are for the uses in here, also those of inner scopes that did not find theirs; what
// stays open is left to the scope around.
void FunctionParser::close_scope() {
    std::size_t kept = scopes_.back();
    for (std::size_t i = kept; i < label_uses_.size(); ++i) {
        const LabelUse use = label_uses_[i];
        const Name* found = names_.find(use.name);
        if (found != nullptr && found->kind == Name::Kind::label && found->depth == names_.depth())
            function_.statements[use.statement].operands[use.operand].label = found->index;
        else
            label_uses_[kept++] = use;
    }
    label_uses_.resize(kept);
    scopes_.pop_back();
    names_.close();
}

Status FunctionParser::parse_body() {
    WW_TRY(open_scope());
    while (!scopes_.empty()) WW_TRY(parse_item());
    if (!label_uses_.empty())
        return lexer_.error(label_uses_[0].line,
                            fmt::format("label {} is not declared in this scope or one around it",
                                        excerpt(label_uses_[0].name)));
    return {};
}

Status FunctionParser::parse_item() {
    const Token token = lexer_.peek();
    switch (token.kind) {
        case Token::Kind::suffix: return parse_directive();
        case Token::Kind::word:
            lexer_.advance();
            if (lexer_.accept(':')) return declare_label(token);
            return parse_statement({}, token);
        case Token::Kind::mark:
            switch (token.text[0]) {
                case '{': return open_scope();
                case '}':
                    lexer_.advance();
                    close_scope();
                    return {};
                case '@': {
                    Guard guard;
                    WW_TRY(parse_guard(guard));
                    if (!lexer_.peek().is(Token::Kind::word))
                        return lexer_.expected("an instruction after the predicate");
                    const Token opcode = lexer_.take();
                    return parse_statement(guard, opcode);
                }
                default: break;
            }
            break;
        default: break;
    }
    return lexer_.expected("an instruction, a directive or '}'");
}

Status FunctionParser::declare_label(const Token& name) {
    Label label;
    label.name = unique_name(name.text);
    label.statement = static_cast<int>(function_.statements.size());
    WW_TRY(declare(name.text, Name::Kind::label, static_cast<int>(function_.labels.size()), name.line));
    function_.labels.push_back(std::move(label));
    return {};
}

// --- directives in a body ---------------------------------------------------------------------------------

Status FunctionParser::parse_directive() {
    const Token directive = lexer_.take();
    if (directive.is(".reg")) return parse_registers();
    if (directive.is(".loc")) return parse_location();
    if (directive.is(".pragma")) return skip_pragma(lexer_);
    if (directive.is(".param")) return parse_variables(Space::param);
    if (directive.is(".shared")) return parse_variables(Space::shared);
    if (directive.is(".local")) return parse_variables(Space::local);
    return lexer_.not_covered(directive.line, fmt::format("{} in a function", excerpt(directive.text)));
}

Status FunctionParser::parse_registers() {
    Declaration declaration;
    declaration.space = Space::reg;
    WW_TRY(parse_declaration(state_, declaration));
    std::string numbered;
    do {
        const Token name = lexer_.peek();
        WW_TRY(lexer_.expect_word("the name of a register").status());
        if (!lexer_.accept('<')) {
            WW_TRY(declare_register(name.text, declaration.type, declaration.vector, name.line));
            continue;
        }
        WW_ASSIGN(const u64 count, lexer_.expect_integer("a number of registers", kMaxRegisters));
        WW_TRY(lexer_.expect('>', "after a number of registers"));
        for (u64 i = 0; i < count; ++i) {
            numbered = name.text;
            fmt::format_to(std::back_inserter(numbered), "{}", i);
            WW_TRY(declare_register(numbered, declaration.type, declaration.vector, name.line));
        }
    } while (lexer_.accept(','));
    return lexer_.expect(';', "after a register");
}

// A vector register is its elements, "v.x", "v.y", ...
Status FunctionParser::declare_register(std::string_view name, Type type, int vector, int line) {
    std::vector<Register>& registers = function_.registers;
    const u64 count = static_cast<u64>(vector);
    if (registers.size() + count > kMaxRegisters || state_.num_registers + count > kMaxRegistersOfModule)
        return lexer_.error(line,
                            fmt::format("expected at most {} registers in a function and {} in a module, got "
                                        "more with {}",
                                        kMaxRegisters, kMaxRegistersOfModule, excerpt(name)));
    const std::string unique = unique_name(name);
    WW_TRY(declare(name, vector == 1 ? Name::Kind::reg : Name::Kind::vector_reg,
                   static_cast<int>(registers.size()), line, vector));
    if (vector == 1) registers.push_back({unique, type});
    for (int i = 0; vector > 1 && i < vector; ++i)
        registers.push_back({fmt::format("{}.{}", unique, "xyzwabcd"[i]), type});
    state_.num_registers += count;
    return {};
}

Status FunctionParser::parse_variables(Space space) {
    Declaration declaration;
    declaration.space = space;
    WW_TRY(parse_declaration(state_, declaration));
    do {
        Variable variable;
        WW_TRY(parse_variable(state_, declaration, variable));
        const std::string name = unique_name(variable.name);
        WW_TRY(declare(variable.name, Name::Kind::variable, static_cast<int>(function_.variables.size()),
                       variable.line));
        variable.name = name;
        function_.variables.push_back(std::move(variable));
    } while (lexer_.accept(','));
    return lexer_.expect(';', "after a variable");
}

// .loc file line column {, function_name label {+ offset}, inlined_at file line column}
Status FunctionParser::parse_location() {
    WW_ASSIGN(const u64 file, lexer_.expect_integer("the file of '.loc'", kMaxFiles));
    WW_ASSIGN(const u64 line, lexer_.expect_integer("the line of '.loc'", kMaxInt));
    WW_TRY(lexer_.expect_integer("the column of '.loc'", kMaxInt).status());
    source_file_ = static_cast<int>(file);
    source_line_ = static_cast<int>(line);
    while (lexer_.accept(',')) {
        if (lexer_.accept("function_name")) {
            WW_TRY(lexer_.expect_word("the label of a function's name").status());
            if (lexer_.accept('+')) WW_TRY(lexer_.expect_integer("an offset", ~0ull).status());
        } else if (lexer_.accept("inlined_at")) {
            for (int i = 0; i < 3; ++i)
                WW_TRY(lexer_.expect_integer("file, line and column of 'inlined_at'", kMaxInt).status());
        } else {
            return lexer_.expected("'function_name' or 'inlined_at'");
        }
    }
    return {};
}

}  // namespace warpwright::emulator
