// SPDX-License-Identifier: Apache-2.0
// Any text: the parser answers with an error or with a module whose numbers are in range.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_set>

#include "emulator/parse/module.h"

using namespace warpwright::emulator;  // NOLINT: a program of one function

namespace {

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "fuzz: a module was made where this is wrong: %s\n", what);
    std::abort();
}

void check(const Operand& operand, const Function& function) {
    const int num_registers = static_cast<int>(function.registers.size());
    const int num_labels = static_cast<int>(function.labels.size());
    require(operand.reg >= -1 && operand.reg < num_registers, "the index of a register");
    require(operand.label >= -1 && operand.label < num_labels, "the index of a label");
    require((operand.kind == Operand::Kind::label) == (operand.label >= 0), "a label that was not found");
    require(operand.kind != Operand::Kind::reg || operand.reg >= 0, "a register that was not found");
    require(operand.kind != Operand::Kind::pair || operand.elements.size() == 2, "a pair");
    require(!operand.negated || function.registers[operand.reg].type == Type::pred, "a negated register");
    for (const Operand& element : operand.elements) check(element, function);
}

void check(const Variable& variable) {
    require(variable.initial.empty() || variable.initial.size() == variable.bytes,
            "the size of an initial value");
    require(variable.alignment > 0 && (variable.alignment & (variable.alignment - 1)) == 0, "an alignment");
    for (const Relocation& relocation : variable.relocations)
        require(relocation.offset + static_cast<unsigned>(relocation.bytes) <= variable.initial.size(),
                "the place of a relocation");
}

void check(const Function& function) {
    std::unordered_set<std::string_view> names;
    const auto is_new = [&](const std::string& name) { return names.insert(name).second; };
    for (const Register& reg : function.registers) require(is_new(reg.name), "two registers of one name");
    for (const Label& label : function.labels) {
        require(is_new(label.name), "two labels of one name");
        require(label.statement >= 0 && label.statement <= static_cast<int>(function.statements.size()),
                "the place of a label");
    }
    for (const Variable& variable : function.variables) {
        require(is_new(variable.name), "two variables of one name");
        check(variable);
    }
    for (const Statement& statement : function.statements) {
        require(statement.guard.reg < static_cast<int>(function.registers.size()), "a predicate");
        require(statement.line > 0, "a line");
        for (const Operand& operand : statement.operands) check(operand, function);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto module = parse({reinterpret_cast<const char*>(data), size});
    if (!module.ok()) {
        require(module.status().message().substr(0, 5) == "line ", "an error without its line");
        return -1;
    }
    for (const Variable& variable : module->variables) check(variable);
    for (const Function& function : module->functions) check(function);
    return 0;
}
