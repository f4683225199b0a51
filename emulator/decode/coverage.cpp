// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/coverage.h"

#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "emulator/decode/binding.h"

namespace warpwright::emulator {
namespace {

struct Row {
    std::vector<std::string> sections, forms;  // of all opcodes of the name, in their order
};

// A bar would end the cell.
std::string cell(std::string_view text) {
    std::string escaped;
    for (const char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
    return escaped;
}

void append_new(std::vector<std::string>& list, std::string_view text) {
    if (!text.empty() && std::find(list.begin(), list.end(), text) == list.end()) list.emplace_back(text);
}

}  // namespace

std::string coverage_table() {
    std::map<std::string_view, Row> rows;
    for (const Opcode* opcode : opcodes()) {
        Row& row = rows[opcode->name];
        append_new(row.sections, opcode->section);
        append_new(row.forms, opcode->forms);
    }
    std::string table = "| instruction | forms | PTX ISA 9.0 |\n|---|---|---|\n";
    for (const auto& [name, row] : rows) {
        table +=
            fmt::format("| `{}` | {} | {} |\n", name, cell(fmt::format("{}", fmt::join(row.forms, "; "))),
                        fmt::join(row.sections, ", "));
    }
    return table;
}

}  // namespace warpwright::emulator
