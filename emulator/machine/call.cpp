// SPDX-License-Identifier: Apache-2.0
// call, PTX ISA 9.7.12.4, of the two functions that the system has for every kernel: vprintf and
// __assertfail. Their arguments lie in .param variables of the body, which are local memory
// (decode/place.cpp).
#include <cstring>

#include <fmt/format.h>
#include "emulator/machine/control.h"
#include "emulator/machine/format.h"
#include "emulator/machine/grid.h"
#include "emulator/memory/access.h"

namespace warpwright::emulator {
namespace {

constexpr std::size_t kMaxString = 64 * 1024;  // of a format or an argument of one

// What the lane has at an address, zero-extended.
std::optional<u64> read_word(Warp& warp, const Instruction& instruction, Space space, int lane, u64 address,
                             int bytes) {
    const std::byte* from =
        find_bytes(warp, instruction, space, lane, address, static_cast<u64>(bytes), Use::load);
    if (from == nullptr) return std::nullopt;
    u64 value = 0;
    std::memcpy(&value, from, static_cast<std::size_t>(bytes));
    return value;
}

std::optional<std::string> read_string(Warp& warp, const Instruction& instruction, int lane, u64 address) {
    std::string text;
    while (text.size() < kMaxString) {
        const auto c = read_word(warp, instruction, Space::generic, lane, address + text.size(), 1);
        if (!c) return std::nullopt;
        if (*c == 0) break;
        text += static_cast<char>(*c);
    }
    return text;
}

// The call's argument: slot[index] is where its .param variable is.
std::optional<u64> argument(Warp& warp, const Instruction& instruction, int lane, int index, int bytes) {
    return read_word(warp, instruction, Space::local, lane, warp.lanes<u64>(instruction.slot[index])[lane],
                     bytes);
}

Flow bad_string(Warp& warp, const Instruction& instruction, int lane, u64 address, std::string_view what) {
    return warp.report(FindingKind::out_of_bounds, instruction, 1u << lane, address,
                       fmt::format("{} is not the address of a string", what));
}

// slot: format, arguments, and what it returns.
Flow run_printf(Warp& warp, const Instruction& instruction, u32 active) {
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((active >> lane & 1u) == 0) continue;
        const u64 format_address = argument(warp, instruction, lane, 0, 8).value_or(0);
        const u64 arguments = argument(warp, instruction, lane, 1, 8).value_or(0);
        const auto format = read_string(warp, instruction, lane, format_address);
        if (!format) return bad_string(warp, instruction, lane, format_address, "the format");
        const FormatArguments reader = {
            [&](u64 offset, int bytes) {
                return read_word(warp, instruction, Space::generic, lane, arguments + offset, bytes);
            },
            [&](u64 address) { return read_string(warp, instruction, lane, address); },
        };
        Formatted formatted = format_printf(*format, reader);
        if (!formatted.error.empty()) {
            return warp.report(FindingKind::out_of_bounds, instruction, 1u << lane, arguments,
                               std::move(formatted.error));
        }
        warp.grid().print(std::move(formatted.text));
        if (instruction.detail[0] < 0) continue;
        std::byte* result =
            find_bytes(warp, instruction, Space::local, lane,
                       warp.lanes<u64>(instruction.slot[instruction.detail[0]])[lane], 4, Use::store);
        if (result != nullptr) std::memcpy(result, &formatted.num_arguments, 4);
    }
    return Flow::next;
}

// slot: message, file, line, function, bytes of a character.
Flow run_assertfail(Warp& warp, const Instruction& instruction, u32 active) {
    const int lane = first_lane(active);
    std::string texts[3];
    const int slots[3] = {0, 1, 3};
    for (int i = 0; i < 3; ++i) {
        const u64 address = argument(warp, instruction, lane, slots[i], 8).value_or(0);
        texts[i] = read_string(warp, instruction, lane, address).value_or("?");
    }
    const u64 line = argument(warp, instruction, lane, 2, 4).value_or(0);
    return warp.report(FindingKind::assertion, instruction, active, 0,
                       fmt::format("{}:{}: {}: `{}` does not hold", texts[1], line, texts[2], texts[0]));
}

// The .param variables of a list, each as a slot with its place.
void bind_list(Binding& b, const Operand& list, std::size_t count) {
    if (list.kind != Operand::Kind::vector || list.elements.size() != count) {
        b.error(fmt::format("expected {} arguments", count));
        return;
    }
    for (const Operand& element : list.elements) {
        if (b.symbol_space(element) != Space::local)
            b.error("not covered yet: an argument that is no .param variable");
        b.source(element, Type::u64);
    }
}

Status bind_call(Binding& b) {
    b.take("uni");
    const bool has_result = b.num_operands() > 0 && b.operand(0).kind == Operand::Kind::vector;
    const int first = has_result ? 1 : 0;
    const std::string name = b.operand(first).symbol;
    if (b.num_operands() > first + 2) b.error("not covered yet: a call through a register");
    b.instruction().detail[0] = -1;
    if (name == "vprintf") {
        bind_list(b, b.operand(first + 1), 2);
        if (has_result) {
            bind_list(b, b.operand(0), 1);
            b.instruction().detail[0] = 2;
        }
        b.handler(run_printf);
    } else if (name == "__assertfail" && !has_result) {
        bind_list(b, b.operand(first + 1), 5);
        b.handler(run_assertfail);
    } else {
        b.error(name.empty() ? "not covered yet: a call through a register"
                             : "not covered yet: a call of " + name);
    }
    return {};
}

constexpr Opcode kOpcodes[] = {
    {"call", bind_call, "9.7.12.4", "{.uni}; of vprintf and __assertfail"},
};

}  // namespace

std::span<const Opcode> call_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
