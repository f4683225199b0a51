// SPDX-License-Identifier: Apache-2.0
// The module: header directives, symbols, functions.
#include "emulator/parse/parser.h"

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

class ModuleParser {
public:
    explicit ModuleParser(std::string_view text) : state_(text) {}

    Status run() {
        while (!lexer_.peek().is(Token::Kind::end)) WW_TRY(parse_item());
        if (state_.module.version_major == 0)
            return lexer_.error(1, "expected '.version', got none in the text");
        if (state_.module.target.empty()) return lexer_.error(1, "expected '.target', got none in the text");
        forget_unnamed_files();
        return {};
    }
    Module take() { return std::move(state_.module); }

private:
    Status parse_item();
    Status parse_version();
    Status parse_target();
    Status parse_file();
    Status skip_section();
    void forget_unnamed_files();
    Status parse_variables(Space space, bool is_extern);
    Status parse_function(bool is_entry);

    ParserState state_;
    Lexer& lexer_ = state_.lexer;
};

Status ModuleParser::parse_item() {
    const Token directive = lexer_.peek();
    if (!directive.is(Token::Kind::suffix)) return lexer_.expected("a directive");
    lexer_.advance();
    if (directive.is(".version")) return parse_version();
    if (directive.is(".target")) return parse_target();
    if (directive.is(".address_size")) {
        WW_ASSIGN(const u64 bits, lexer_.expect_integer("an address size", 64));
        if (bits != 64) return lexer_.not_covered(directive.line, fmt::format("{}-bit addresses", bits));
        return {};
    }
    if (directive.is(".file")) return parse_file();
    if (directive.is(".section")) return skip_section();
    if (directive.is(".pragma")) return skip_pragma(state_.lexer);

    // Linkage. One module is all there is, so a weak or common symbol is like any other.
    bool is_extern = false;
    Token item = directive;
    for (; item.is(".extern") || item.is(".visible") || item.is(".weak") || item.is(".common");
         item = lexer_.take())
        is_extern |= item.is(".extern");
    if (item.is(".entry")) return parse_function(true);
    if (item.is(".func")) return parse_function(false);
    if (item.is(".global")) return parse_variables(Space::global, is_extern);
    if (item.is(".const")) return parse_variables(Space::constant, is_extern);
    if (item.is(".shared")) return parse_variables(Space::shared, is_extern);
    if (!item.is(Token::Kind::suffix))
        return lexer_.error(item.line, fmt::format("expected a symbol's space, '.entry' or '.func', got {}",
                                                   excerpt(item.text)));
    return lexer_.not_covered(item.line, fmt::format("{} in a module", excerpt(item.text)));
}

// "9.0": one token, which reads as a real number.
Status ModuleParser::parse_version() {
    const Token number = lexer_.peek();
    const std::size_t dot = number.text.find('.');
    Literal major, minor;
    if (!number.is(Token::Kind::number) || dot == number.text.npos ||
        !read_literal(number.text.substr(0, dot), major) ||
        !read_literal(number.text.substr(dot + 1), minor) || major.bits == 0 || major.bits > 99 ||
        minor.bits > 99)
        return lexer_.expected("a version, as in '9.0'");
    lexer_.advance();
    state_.module.version_major = static_cast<int>(major.bits);
    state_.module.version_minor = static_cast<int>(minor.bits);
    return {};
}

// Behind the architecture stand options that change nothing here: debug, texmode_independent, ...
Status ModuleParser::parse_target() {
    WW_ASSIGN(const std::string_view target, lexer_.expect_word("a target, as in 'sm_90a'"));
    state_.module.target = target;
    while (lexer_.accept(',')) WW_TRY(lexer_.expect_word("an option of '.target'").status());
    return {};
}

Status ModuleParser::parse_file() {
    WW_ASSIGN(const u64 index, lexer_.expect_integer("the index of a file", kMaxFiles));
    if (!lexer_.peek().is(Token::Kind::string)) return lexer_.expected("the name of a file, quoted");
    std::vector<std::string>& files = state_.module.files;
    if (files.size() <= index) files.resize(index + 1);
    const std::string_view quoted = lexer_.take().text;
    files[index] = quoted.substr(1, quoted.size() - 2);
    while (lexer_.accept(',')) WW_TRY(lexer_.expect_integer("time stamp or size of a file", ~0ull).status());
    return {};
}

// Debugging information. Nothing in it changes what a kernel does.
Status ModuleParser::skip_section() {
    if (!lexer_.peek().is(Token::Kind::suffix) && !lexer_.peek().is(Token::Kind::word))
        return lexer_.expected("the name of a section");
    const Token name = lexer_.take();
    WW_TRY(lexer_.expect('{', "after the name of a section"));
    for (int depth = 1; depth > 0;) {
        const Token token = lexer_.peek();
        if (token.is(Token::Kind::end) || token.is(Token::Kind::unclosed))
            return lexer_.expected(
                fmt::format("'}}' of section {} of line {}", excerpt(name.text), name.line));
        lexer_.advance();
        depth += token.is('{') - token.is('}');
    }
    return {};
}

// Compilers write .file behind the functions, so .loc cannot ask for it.
void ModuleParser::forget_unnamed_files() {
    for (Function& function : state_.module.functions) {
        for (Statement& statement : function.statements)
            if (static_cast<std::size_t>(statement.source_file) >= state_.module.files.size())
                statement.source_file = 0;
    }
}

Status ModuleParser::parse_variables(Space space, bool is_extern) {
    Declaration declaration;
    declaration.space = space;
    declaration.is_extern = is_extern;
    WW_TRY(parse_declaration(state_, declaration));
    do {
        Variable variable;
        WW_TRY(parse_variable(state_, declaration, variable));
        std::vector<Variable>& variables = state_.module.variables;
        const Name* before = state_.symbols.find(variable.name);
        if (before != nullptr && before->kind == Name::Kind::variable && variables[before->index].is_extern) {
            variables[before->index] = std::move(variable);  // its definition, or once more its declaration
        } else {
            before = state_.symbols.declare(variable.name, Name::Kind::variable,
                                            static_cast<int>(variables.size()), variable.line);
            if (before != nullptr) return declared_twice(state_, variable.line, variable.name, *before);
            variables.push_back(std::move(variable));
        }
    } while (lexer_.accept(','));
    return lexer_.expect(';', "after a variable");
}

Status ModuleParser::parse_function(bool is_entry) {
    Function signature;
    signature.is_entry = is_entry;
    FunctionParser parser(state_, signature);
    if (!is_entry && lexer_.peek().is('('))
        WW_TRY(parser.parse_parameters(signature.returns, Name::Kind::result));
    const Token name = lexer_.peek();
    WW_ASSIGN(signature.name, lexer_.expect_word("the name of a function"));
    signature.line = name.line;
    if (lexer_.peek().is('(')) WW_TRY(parser.parse_parameters(signature.parameters, Name::Kind::parameter));
    WW_TRY(parser.parse_directives());
    signature.is_declaration = lexer_.accept(';');

    // Known before its body: it may call itself.
    std::vector<Function>& functions = state_.module.functions;
    const Name* before = state_.symbols.find(name.text);
    if (before != nullptr) {
        const bool is_again = before->kind == Name::Kind::function &&
                              (functions[before->index].is_declaration || signature.is_declaration);
        if (!is_again) return declared_twice(state_, name.line, name.text, *before);
        if (signature.is_declaration) return {};
    } else {
        state_.symbols.declare(name.text, Name::Kind::function, static_cast<int>(functions.size()),
                               name.line);
    }
    if (!signature.is_declaration) WW_TRY(parser.parse_body());
    if (before != nullptr)
        functions[before->index] = std::move(signature);
    else
        functions.push_back(std::move(signature));
    return {};
}

}  // namespace

Status declared_twice(const ParserState& state, int line, std::string_view name, const Name& before) {
    return state.lexer.error(line,
                             fmt::format("{} is already declared in line {}", excerpt(name), before.line));
}

Status skip_pragma(Lexer& lexer) {
    do {
        if (!lexer.peek().is(Token::Kind::string)) return lexer.expected("a pragma, quoted");
        lexer.advance();
    } while (lexer.accept(','));
    return lexer.expect(';', "after a pragma");
}

Result<Module> parse(std::string_view text) {
    while (!text.empty() && text.back() == '\0') text.remove_suffix(1);  // compilers count it
    if (text.size() > kMaxTextBytes)
        return caller_error(
            fmt::format("expected a text of at most {} bytes, got {}", kMaxTextBytes, text.size()));
    ModuleParser parser(text);
    WW_TRY(parser.run());
    return parser.take();
}

}  // namespace warpwright::emulator
