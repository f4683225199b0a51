// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/text.h"

#include <bit>

#include <fmt/format.h>

namespace warpwright::emulator {

std::string lanes_text(u32 lanes) {
    if (lanes == 0) return "no lane";
    std::string text = std::popcount(lanes) == 1 ? "lane " : "lanes ";
    bool is_first = true;
    for (int first = 0; first < kLanes; ++first) {
        if ((lanes >> first & 1u) == 0) continue;
        const int last = first + std::countr_one(lanes >> first) - 1;
        if (!is_first) text += ',';
        text += last > first ? fmt::format("{}-{}", first, last) : fmt::format("{}", first);
        is_first = false;
        first = last;
    }
    return text;
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
