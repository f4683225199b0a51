// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/place.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "emulator/memory/windows.h"

namespace warpwright::emulator {
namespace {

// PTX ISA 5.1.2, 5.1.3, 5.1.6: what one kernel can declare. Shared memory is limited by the rank bits of its
// addresses here; the target's limit is the launch's business.
constexpr u64 kMaxParamBytes = 32764;
constexpr u64 kMaxConstantBytes = 64 * 1024;
constexpr u64 kMaxLocalBytes = 512 * 1024;
constexpr u64 kMaxSharedBytes = 1 << 23;
constexpr u64 kMaxGlobalBytes = 256 << 20;  // an honest kernel's tables, and no more of a CPU's memory
constexpr u64 kMaxAlignment = 1024;         // what kSharedStart is a multiple of

u64 round_up(u64 value, u64 alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

// The next variable of a space: its offset, and `end` moves behind it.
Result<u64> append(const Variable& variable, u64 max_bytes, u64& end) {
    const auto alignment = static_cast<u64>(std::max(variable.alignment, 1));
    if (!std::has_single_bit(alignment) || alignment > kMaxAlignment) {
        return caller_error(
            fmt::format("line {}: not covered yet: {} aligned to {} bytes, expected a power of two up to {}",
                        variable.line, variable.name, variable.alignment, kMaxAlignment));
    }
    const u64 offset = round_up(end, alignment);
    if (variable.bytes > max_bytes || offset > max_bytes - variable.bytes) {
        return caller_error(fmt::format("line {}: {} of {} bytes does not fit: its state space has {} bytes",
                                        variable.line, variable.name, variable.bytes, max_bytes));
    }
    end = offset + variable.bytes;
    return offset;
}

void collect_symbols(const Operand& operand, std::unordered_set<std::string_view>& names) {
    if (!operand.symbol.empty()) names.insert(operand.symbol);
    for (const Operand& element : operand.elements) collect_symbols(element, names);
}

// The variables that the entry's statements name, and those whose addresses stand in their initial values.
std::vector<const Variable*> used_variables(const Module& module, const Function& entry) {
    std::unordered_set<std::string_view> names;
    for (const Statement& statement : entry.statements) {
        for (const Operand& operand : statement.operands) collect_symbols(operand, names);
    }
    std::vector<const Variable*> used;
    for (const Variable& variable : entry.variables) {
        if (names.contains(variable.name)) used.push_back(&variable);
    }
    std::unordered_set<std::string_view> hidden;  // names of the entry's own
    for (const Variable& variable : entry.variables) hidden.insert(variable.name);
    for (const Variable& parameter : entry.parameters) hidden.insert(parameter.name);
    std::unordered_map<std::string_view, const Variable*> of_module;
    for (const Variable& variable : module.variables) {
        if (!hidden.contains(variable.name)) of_module.emplace(variable.name, &variable);
    }
    std::vector<std::string_view> pending(names.begin(), names.end());
    while (!pending.empty()) {
        const auto found = of_module.find(pending.back());
        pending.pop_back();
        if (found == of_module.end()) continue;
        for (const Relocation& relocation : found->second->relocations) {
            if (names.insert(relocation.symbol).second) pending.push_back(relocation.symbol);
        }
    }
    for (const Variable& variable : module.variables) {
        if (names.contains(variable.name) && of_module.contains(variable.name)) used.push_back(&variable);
    }
    return used;
}

}  // namespace

Result<Placement> Placement::make(const Module& module, const Function& entry, GlobalMemory& memory,
                                  Program& program) {
    Placement placement(memory);
    WW_TRY(placement.place(used_variables(module, entry), entry, program));
    program.variables = placement.placed_;
    return placement;
}

Status Placement::place(std::span<const Variable* const> used, const Function& entry, Program& program) {
    WW_TRY(place_params(entry, program));
    WW_TRY(place_shared(used, program));
    WW_TRY(place_local(used, program));
    WW_TRY(place_constant(used, program));
    WW_TRY(place_global(used));
    for (const Variable* variable : used) {
        const bool has_value = variable->space == Space::constant || variable->space == Space::global;
        if (has_value) WW_TRY(fill(*variable, program));
    }
    return {};
}

Placement::~Placement() {
    for (const u64 address : globals_) (void)memory_->release(address);
}

const Placed* Placement::find(std::string_view symbol) const {
    const auto found = index_.find(symbol);
    return found == index_.end() ? nullptr : &placed_[found->second];
}

std::vector<u64> Placement::take_globals() {
    return std::exchange(globals_, {});
}

void Placement::add(const Variable& variable, Space space, u64 address, u64 bytes) {
    index_.emplace(variable.name, placed_.size());
    placed_.push_back({variable.name, space, address, bytes});
}

Status Placement::place_params(const Function& entry, Program& program) {
    u64 end = 0;
    for (const Variable& parameter : entry.parameters) {
        WW_ASSIGN(const u64 offset, append(parameter, kMaxParamBytes, end));
        add(parameter, Space::param, offset, parameter.bytes);
    }
    program.param_bytes = static_cast<u32>(end);
    return {};
}

// All variables of unknown size are names for one place behind the static ones: the launch's dynamic part.
Status Placement::place_shared(std::span<const Variable* const> used, Program& program) {
    u64 end = 0;
    std::vector<const Variable*> dynamic;
    for (const Variable* variable : used) {
        if (variable->space != Space::shared) continue;
        if (variable->bytes == 0) {
            u64 start = 0;
            WW_TRY(append(*variable, kMaxSharedBytes, start).status());
            program.shared_alignment =
                std::max(program.shared_alignment, static_cast<u32>(variable->alignment));
            dynamic.push_back(variable);
            continue;
        }
        WW_ASSIGN(const u64 offset, append(*variable, kMaxSharedBytes, end));
        add(*variable, Space::shared, kSharedStart + offset, variable->bytes);
    }
    program.static_shared_bytes = static_cast<u32>(end);
    for (const Variable* variable : dynamic) {
        add(*variable, Space::shared, kSharedStart + round_up(end, program.shared_alignment), 0);
    }
    return {};
}

// The .param variables of a body are the argument areas of its calls. Each lane has its own, like .local
// ones, and so they are placed among those: st.param and ld.param of them are local accesses.
Status Placement::place_local(std::span<const Variable* const> used, Program& program) {
    u64 end = kLocalStart;
    for (const Variable* variable : used) {
        if (variable->space != Space::local && variable->space != Space::param) continue;
        WW_ASSIGN(const u64 offset, append(*variable, kLocalStart + kMaxLocalBytes, end));
        add(*variable, Space::local, offset, variable->bytes);
    }
    program.local_bytes = static_cast<u32>(end - kLocalStart);
    return {};
}

Status Placement::place_constant(std::span<const Variable* const> used, Program& program) {
    u64 end = 0;
    for (const Variable* variable : used) {
        if (variable->space != Space::constant) continue;
        WW_ASSIGN(const u64 offset, append(*variable, kMaxConstantBytes, end));
        add(*variable, Space::constant, offset, variable->bytes);
    }
    program.constant_bank.resize(end);
    return {};
}

Status Placement::place_global(std::span<const Variable* const> used) {
    u64 total = 0;
    for (const Variable* variable : used) {
        if (variable->space != Space::global) continue;
        if (variable->bytes == 0) {
            return caller_error(fmt::format("line {}: not covered yet: .global {} of another module",
                                            variable->line, variable->name));
        }
        u64 start = 0;
        WW_TRY(append(*variable, kMaxGlobalBytes - total, start).status());
        total += variable->bytes;
        WW_ASSIGN(const u64 address, memory_->allocate(variable->bytes));
        globals_.push_back(address);
        if (address % static_cast<u64>(std::max(variable->alignment, 1)) != 0) {
            return caller_error(fmt::format("line {}: not covered yet: {} aligned to {} bytes",
                                            variable->line, variable->name, variable->alignment));
        }
        add(*variable, Space::global, address, variable->bytes);
    }
    return {};
}

// After all variables have their places: initial values refer to each other.
Status Placement::fill(const Variable& variable, Program& program) {
    const u64 address = find(variable.name)->address;
    std::vector<std::byte> bytes = variable.initial;
    if (!variable.relocations.empty()) bytes.resize(variable.bytes);
    for (const Relocation& relocation : variable.relocations) {
        WW_ASSIGN(const u64 address_value, address_in(relocation, variable));
        const u64 value = address_value >> relocation.shift;
        const auto size = static_cast<u64>(relocation.bytes);
        if (size > sizeof value || size > bytes.size() || relocation.offset > bytes.size() - size) {
            return caller_error(
                fmt::format("line {}: {} is too small for its initial value", variable.line, variable.name));
        }
        std::memcpy(bytes.data() + relocation.offset, &value, size);
    }
    if (variable.space == Space::constant) {
        const u64 size = std::min<u64>(bytes.size(), variable.bytes);
        if (size > 0) std::memcpy(program.constant_bank.data() + address, bytes.data(), size);
        return {};
    }
    WW_TRY(memory_->fill(address, 0, variable.bytes));
    if (bytes.empty()) return {};
    return memory_->write(address, bytes.data(), std::min<u64>(bytes.size(), variable.bytes));
}

// PTX ISA 4.5: addresses of .global variables and, as generic ones, of .const variables.
Result<u64> Placement::address_in(const Relocation& relocation, const Variable& variable) const {
    const Placed* place = find(relocation.symbol);
    const bool is_placed =
        place != nullptr && (place->space == Space::global || place->space == Space::constant);
    if (!is_placed) {
        return caller_error(
            fmt::format("line {}: not covered yet: the address of {} in the initial value of {}",
                        variable.line, relocation.symbol, variable.name));
    }
    const u64 window = place->space == Space::constant && relocation.is_generic ? kConstantWindow : 0;
    return window + place->address + static_cast<u64>(relocation.addend);
}

}  // namespace warpwright::emulator
