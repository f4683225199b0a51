// SPDX-License-Identifier: Apache-2.0
#include <string_view>
#include <unordered_map>

#include "emulator/decode/statement_binding.h"

namespace warpwright::emulator {

std::vector<const Opcode*> opcodes() {
    std::vector<const Opcode*> all;
    for (const auto list :
         {integer_opcodes(), bit_opcodes(), float_opcodes(), approximate_opcodes(), half_opcodes(),
          convert_opcodes(), compare_opcodes(), move_opcodes(), memory_opcodes(), async_opcodes(),
          matrix_opcodes(), mma_opcodes(), warp_opcodes(), control_opcodes()}) {
        for (const Opcode& opcode : list) all.push_back(&opcode);
    }
    return all;
}

std::span<const Opcode* const> opcodes_named(std::string_view name) {
    static const auto kByName = [] {
        std::unordered_map<std::string_view, std::vector<const Opcode*>> by_name;
        for (const Opcode* opcode : opcodes()) by_name[opcode->name].push_back(opcode);
        return by_name;
    }();
    const auto found = kByName.find(name);
    if (found == kByName.end()) return {};
    return found->second;
}

constexpr const char* kNotMine = "not mine";

Status not_mine() {
    return caller_error(kNotMine);
}

bool is_not_mine(const Status& status) {
    return !status.ok() && status.message() == kNotMine;
}

NumericsClass numerics_of(int compute_capability) {
    if (compute_capability < 88) return NumericsClass::ampere;
    if (compute_capability < 90) return NumericsClass::ada;
    if (compute_capability < 100) return NumericsClass::hopper;
    return NumericsClass::blackwell;
}

}  // namespace warpwright::emulator
