// SPDX-License-Identifier: Apache-2.0
// The parts of the parser, for its own files. A recursive descent with one token of lookahead; each part
// takes what belongs to it from the lexer. What is nested in the text without bound (scopes) is kept on a
// stack of our own; what is recursive here is limited by kMaxNesting.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emulator/parse/lexer.h"
#include "emulator/parse/module.h"
#include "emulator/parse/names.h"

namespace warpwright::emulator {

// Far beyond what compilers emit; they bound memory where a short text asks for a lot.
constexpr std::size_t kMaxTextBytes = 256u << 20;
constexpr u64 kMaxRegisters = 65'535;            // of a function
constexpr u64 kMaxRegistersOfModule = 1u << 20;  // of all its functions
constexpr u64 kMaxVariableBytes = 256u << 20;    // of all variables of a module
constexpr u64 kMaxInitialBytes = 64u << 20;      // of all initialised ones
constexpr u64 kMaxAlignment = 4096;
constexpr u64 kMaxFiles = 65'535;
constexpr int kMaxDimensions = 16;
constexpr int kMaxNesting = 64;

// What all parts share.
struct ParserState {
    explicit ParserState(std::string_view text) : lexer(text) {}

    Lexer lexer;
    Module module;
    Names symbols;  // of the module
    u64 num_registers = 0;
    u64 variable_bytes = 0;
    u64 initial_bytes = 0;
};

// `.align 8 .v2 .f32` of a declaration, after its space.
struct Declaration {
    Space space = Space::global;
    Type type = Type::none;
    int vector = 1;
    int alignment = 0;  // 0: not written
    bool is_extern = false;
};
Status parse_declaration(ParserState& state, Declaration& declaration);
// `name[4][2] = {...}`
Status parse_variable(ParserState& state, const Declaration& declaration, Variable& variable);

// + 4, - 4, +-4; none is 0.
Status parse_offset(Lexer& lexer, i64& offset);
// Hints for the compiler; PTX ISA 11.4 has unknown ones ignored.
Status skip_pragma(Lexer& lexer);
Status declared_twice(const ParserState& state, int line, std::string_view name, const Name& before);
bool is_special_register(std::string_view name);

// One function, from its name to the end of its body.
class FunctionParser {
public:
    FunctionParser(ParserState& state, Function& function)
        : state_(state), lexer_(state.lexer), function_(function) {}

    // "( .param ... )" before and after the name.
    Status parse_parameters(std::vector<Variable>& parameters, Name::Kind kind);
    Status parse_directives();  // between signature and body: .maxntid, ...
    Status parse_body();

private:
    // A use of a label that may be declared later. Bound when a scope closes that declares it.
    struct LabelUse {
        std::string_view name;
        int line;
        int statement;
        int operand;
    };

    Status parse_register_parameter(const Declaration& declaration, Variable& parameter);
    Status parse_item();
    Status parse_directive();
    Status parse_registers();
    Status declare_register(std::string_view name, Type type, int vector, int line);
    Status parse_variables(Space space);
    Status parse_location();
    Status declare_label(const Token& name);
    Status open_scope();
    void close_scope();
    std::string unique_name(std::string_view name) const;
    Status declare(std::string_view name, Name::Kind kind, int index, int line, int width = 1);

    Status parse_statement(const Guard& guard, const Token& opcode);
    Status parse_guard(Guard& guard);
    Status parse_operand(Operand& operand, int nesting);
    Status parse_pair(Operand& operand);
    Status parse_branch_target(Operand& operand);
    Status parse_name(Operand& operand);
    Status parse_component(const Token& name, Operand& operand, const Name& found);
    Status parse_address(Operand& operand, int nesting);
    Status parse_list(Operand& operand, char close, int nesting);
    Status parse_number(Operand& operand);

    ParserState& state_;
    Lexer& lexer_;
    Function& function_;
    Names names_;
    std::vector<LabelUse> label_uses_;
    std::vector<std::size_t> scopes_;  // where the uses of each open scope begin
    std::vector<std::string_view> modifiers_;
    std::string_view opcode_;  // of the statement being read
    int source_file_ = 0;
    int source_line_ = 0;
};

}  // namespace warpwright::emulator
