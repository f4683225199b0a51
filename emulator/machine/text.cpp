// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/text.h"

#include <bit>

#include <fmt/format.h>

namespace warpwright::emulator {

std::string ranges_text(u32 bits) {
    std::string text;
    for (int first = 0; first < kLanes; ++first) {
        if ((bits >> first & 1u) == 0) continue;
        const int last = first + std::countr_one(bits >> first) - 1;
        if (!text.empty()) text += ',';
        text += last > first ? fmt::format("{}-{}", first, last) : fmt::format("{}", first);
        first = last;
    }
    return text;
}

std::string lanes_text(u32 lanes) {
    if (lanes == 0) return "no lane";
    return (std::popcount(lanes) == 1 ? "lane " : "lanes ") + ranges_text(lanes);
}

void locate(Finding& finding, const Program& program, const Instruction& instruction) {
    const auto index = static_cast<std::size_t>(instruction.statement);
    if (index >= program.statements.size()) return;
    const StatementText& statement = program.statements[index];
    finding.ptx_line = statement.ptx_line;
    finding.instruction = statement.name;
    const auto file = static_cast<std::size_t>(statement.source_file);
    if (statement.source_line > 0 && file < program.files.size() && !program.files[file].empty())
        finding.source = fmt::format("{}:{}", program.files[file], statement.source_line);
}

std::string place_text(const Program& program, i32 pc) {
    const auto index = static_cast<std::size_t>(pc);
    if (index >= program.code.size()) return "the end of the program";
    const auto statement = static_cast<std::size_t>(program.code[index].statement);
    if (statement >= program.statements.size()) return fmt::format("instruction {}", pc);
    return fmt::format("line {} ({})", program.statements[statement].ptx_line,
                       program.statements[statement].name);
}

}  // namespace warpwright::emulator
