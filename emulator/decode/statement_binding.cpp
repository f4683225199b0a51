// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/statement_binding.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

constexpr int kMaxModifiers = 64;
constexpr int kMaxOperands = 63;
constexpr u16 kMaxPredicates = kNoPredicate - 1;

int width_of(int bits) {
    return bits <= 32 ? 1 : bits / 32;
}

const char* kind_name(Operand::Kind kind) {
    switch (kind) {
        case Operand::Kind::reg: return "a register";
        case Operand::Kind::special: return "a special register";
        case Operand::Kind::integer: return "an integer";
        case Operand::Kind::real:
        case Operand::Kind::real32: return "a floating-point literal";
        case Operand::Kind::symbol: return "a symbol";
        case Operand::Kind::address: return "an address";
        case Operand::Kind::vector: return "a vector";
        case Operand::Kind::pair: return "a pair";
        case Operand::Kind::sink: return "_";
        case Operand::Kind::label: return "a label";
    }
    return "?";
}

// PTX ISA 9.4.1: these instructions take registers wider than their type; all others must match it.
bool allows_wider_registers(std::string_view opcode) {
    return opcode == "ld" || opcode == "st" || opcode == "cvt";
}

bool ends_path(std::string_view opcode) {
    return opcode == "bra" || opcode == "ret" || opcode == "exit" || opcode == "trap";
}

}  // namespace

std::string statement_name(const Statement& statement) {
    std::string name = statement.opcode;
    for (const std::string& modifier : statement.modifiers) name += "." + modifier;
    return name;
}

StatementBinding::StatementBinding(const Function& entry, const DecodeTarget& target,
                                   const Placement& placement)
    : entry_(entry), target_(target), placement_(placement) {
    num_predicates_ = kNumConstantPredicates;
    for (const Register& reg : entry.registers) {
        const bool is_predicate = reg.type == Type::pred;
        code_.register_width.push_back(is_predicate ? u8{0}
                                                    : static_cast<u8>(width_of(facts_of(reg.type).bits)));
        u16 predicate = kNoPredicate;
        if (is_predicate && num_predicates_ < kMaxPredicates) predicate = static_cast<u16>(num_predicates_++);
        predicates_.push_back(predicate);
    }
}

// What a binder did that was not responsible, or a statement that failed, is forgotten.
void StatementBinding::start(const Statement& statement) {
    statement_ = &statement;
    taken_ = asked_ = 0;
    num_slots_ = num_used_predicates_ = 0;
    error_.clear();
    instruction_ = {};
    code_.operands.resize(code_.first_operand.back());
    const auto index = static_cast<i32>(code_.instructions.size());
    while (!code_.branches.empty() && code_.branches.back().from == index) code_.branches.pop_back();
}

Status StatementBinding::bind(const Statement& statement, std::span<const Opcode* const> candidates) {
    if (statement.modifiers.size() > kMaxModifiers || statement.operands.size() > kMaxOperands) {
        return caller_error("not covered yet: so many modifiers or operands");
    }
    if (candidates.empty()) return caller_error("instruction " + statement.opcode + " is not covered yet");
    Status status = not_mine();
    for (const Opcode* opcode : candidates) {
        start(statement);
        status = opcode->bind(*this);
        if (!is_not_mine(status)) break;
    }
    if (is_not_mine(status)) return caller_error("this form is not covered yet");
    if (!error_.empty()) return caller_error(error_);
    WW_TRY(status);
    if (const std::string names = untaken(); !names.empty()) {
        return caller_error(fmt::format("modifier {} is not covered yet", names));
    }
    // A binder that never looked at an operand would run something else than what is written.
    if (asked_ != (u64{1} << num_operands()) - 1) {
        const int first = std::countr_one(asked_) + 1;
        return caller_error(fmt::format("operand {} is not covered yet", first));
    }
    if (instruction_.handler == nullptr) return caller_error("this form is not covered yet");
    if (statement.guard.reg >= 0) {
        instruction_.guard = predicate_of(statement.guard.reg);
        instruction_.guard_negated = statement.guard.negated;
        if (!error_.empty()) return caller_error(error_);
    }
    code_.ends_path.push_back(statement.guard.reg < 0 && ends_path(statement.opcode));
    instruction_.statement = static_cast<i32>(code_.instructions.size());
    code_.instructions.push_back(instruction_);
    code_.first_operand.push_back(static_cast<u32>(code_.operands.size()));
    return {};
}

BoundCode StatementBinding::finish() {
    return std::move(code_);
}

void StatementBinding::error(std::string text) {
    if (error_.empty()) error_ = std::move(text);
}

// --- modifiers ---

bool StatementBinding::take(std::string_view modifier) {
    const auto& modifiers = statement_->modifiers;
    for (std::size_t i = 0; i < modifiers.size(); ++i) {
        if ((taken_ >> i & 1u) == 0 && modifiers[i] == modifier) {
            taken_ |= u64{1} << i;
            return true;
        }
    }
    return false;
}

std::string_view StatementBinding::take_one_of(std::initializer_list<std::string_view> modifiers) {
    for (const std::string_view modifier : modifiers) {
        if (take(modifier)) return modifier;
    }
    return "";
}

std::vector<Type> StatementBinding::take_types() {
    std::vector<Type> types;
    const auto& modifiers = statement_->modifiers;
    for (std::size_t i = 0; i < modifiers.size(); ++i) {
        if ((taken_ >> i & 1u) != 0) continue;
        const Type type = type_named(modifiers[i]);
        if (type == Type::none) continue;
        taken_ |= u64{1} << i;
        types.push_back(type);
    }
    return types;
}

Result<Type> StatementBinding::type() {
    const std::vector<Type> types = take_types();
    if (types.size() == 1) return types[0];
    std::string got;
    for (const Type type : types) got += fmt::format(" .{}", facts_of(type).name);
    return caller_error("expected one type, got" + (got.empty() ? " none" : got));
}

std::vector<std::string_view> StatementBinding::remaining() const {
    std::vector<std::string_view> rest;
    const auto& modifiers = statement_->modifiers;
    for (std::size_t i = 0; i < modifiers.size(); ++i) {
        if ((taken_ >> i & 1u) == 0) rest.push_back(modifiers[i]);
    }
    return rest;
}

std::string StatementBinding::untaken() const {
    std::string names;
    for (const std::string_view modifier : remaining())
        names += fmt::format("{}.{}", names.empty() ? "" : " ", modifier);
    return names;
}

// --- operands ---

const Operand& StatementBinding::operand(int index) const {
    static const Operand kMissing;
    if (index >= 0 && index < num_operands()) {
        asked_ |= u64{1} << std::min(index, kMaxOperands);
        return statement_->operands[static_cast<std::size_t>(index)];
    }
    if (error_.empty()) error_ = fmt::format("operand {} is missing", index + 1);
    return kMissing;
}

int StatementBinding::append(SlotOperand operand, int width, bool is_dest, bool is_source) {
    if (num_slots_ == kMaxSlots) {
        error(fmt::format("not covered yet: more than {} register operands", kMaxSlots));
        return 0;
    }
    const int position = num_slots_++;
    instruction_.slot_width[position] = static_cast<u8>(width);
    if (is_dest) instruction_.dest_slots |= 1u << position;
    if (is_source) instruction_.source_slots |= 1u << position;
    code_.operands.push_back(operand);
    return position;
}

int StatementBinding::append_constant(u64 value, int width) {
    return append(~code_.constants.slot_of(value, width), width, false, true);
}

int StatementBinding::append_register(const Operand& operand, Type type, bool is_dest, bool is_source) {
    const auto reg = static_cast<std::size_t>(operand.reg);
    if (operand.reg < 0 || reg >= entry_.registers.size() || operand.negated) {
        error("expected a register that is not negated");
        return 0;
    }
    const Register& declared = entry_.registers[reg];
    const TypeFacts& expected = facts_of(type);
    const TypeFacts& actual = facts_of(declared.type);
    const bool fits = actual.bits == expected.bits ||
                      (actual.bits > expected.bits && allows_wider_registers(statement_->opcode));
    if (declared.type == Type::pred || type == Type::pred || !fits) {
        error(fmt::format("{} is a register of type {}, expected {}", declared.name, actual.name,
                          expected.name));
        return 0;
    }
    return append(operand.reg, code_.register_width[reg], is_dest, is_source);
}

int StatementBinding::dest(const Operand& operand, Type type) {
    if (operand.kind == Operand::Kind::reg) return append_register(operand, type, true, false);
    if (operand.kind == Operand::Kind::sink) {
        const int width = width_of(facts_of(type).bits);
        code_.register_width.push_back(static_cast<u8>(width));
        return append(static_cast<SlotOperand>(code_.register_width.size() - 1), width, true, false);
    }
    error(fmt::format("expected a destination register, got {}", kind_name(operand.kind)));
    return 0;
}

int StatementBinding::dest_and_source(const Operand& operand, Type type) {
    if (operand.kind == Operand::Kind::reg) return append_register(operand, type, true, true);
    error(fmt::format("expected a register, got {}", kind_name(operand.kind)));
    return 0;
}

int StatementBinding::source(const Operand& operand, Type type) {
    constexpr u64 kWarpSize = 32;
    const int bits = facts_of(type).bits;
    switch (operand.kind) {
        case Operand::Kind::reg: return append_register(operand, type, false, true);
        case Operand::Kind::integer:
        case Operand::Kind::real:
        case Operand::Kind::real32: {
            const Result<u64> value = encode_literal(operand, type);
            if (!value) error(value.status().message());
            return append_constant(value ? *value : 0, width_of(bits));
        }
        case Operand::Kind::symbol: {
            const Placed* place = placement_.find(operand.symbol);
            if (place == nullptr) {
                error(fmt::format("not covered yet: the address of {}", operand.symbol));
                return 0;
            }
            // ptxas has them in mov only, of either size.
            if (facts_of(type).is_float || bits < 32) {
                error(fmt::format("expected an operand of type {}, got the address of {}",
                                  facts_of(type).name, operand.symbol));
            }
            const u64 address = place->address + static_cast<u64>(operand.offset);
            return append_constant(bits == 32 ? address & 0xffff'ffffu : address, width_of(bits));
        }
        case Operand::Kind::special:
            if (operand.symbol == "WARP_SZ" && !facts_of(type).is_float) {
                return append_constant(kWarpSize, width_of(bits));
            }
            error(fmt::format("{} is not an operand of this instruction", operand.symbol));
            return 0;
        default:
            error(fmt::format("expected a register or a constant, got {}", kind_name(operand.kind)));
            return 0;
    }
}

int StatementBinding::dests(const Operand& operand, Type type) {
    if (operand.kind != Operand::Kind::vector) return dest(operand, type), 1;
    for (const Operand& element : operand.elements) dest(element, type);
    return static_cast<int>(operand.elements.size());
}

int StatementBinding::sources(const Operand& operand, Type type) {
    if (operand.kind != Operand::Kind::vector) return source(operand, type), 1;
    for (const Operand& element : operand.elements) source(element, type);
    return static_cast<int>(operand.elements.size());
}

// --- predicates ---

u16 StatementBinding::predicate_of(int reg) {
    const auto index = static_cast<std::size_t>(reg);
    if (reg < 0 || index >= entry_.registers.size() || entry_.registers[index].type != Type::pred) {
        error("expected a predicate");
        return kNoPredicate;
    }
    if (predicates_[index] == kNoPredicate) error("not covered yet: more than 65,000 predicates");
    return predicates_[index];
}

int StatementBinding::append_predicate(u16 predicate, bool is_dest) {
    if (num_used_predicates_ == static_cast<int>(std::size(instruction_.predicate))) {
        error("not covered yet: more than four predicate operands");
        return 0;
    }
    const int position = num_used_predicates_++;
    instruction_.predicate[position] = predicate;
    (is_dest ? instruction_.dest_predicates : instruction_.source_predicates) |=
        static_cast<u8>(1u << position);
    return position;
}

bool StatementBinding::is_predicate(const Operand& operand) const {
    const auto reg = static_cast<std::size_t>(operand.reg);
    return operand.kind == Operand::Kind::reg && operand.reg >= 0 && reg < entry_.registers.size() &&
           entry_.registers[reg].type == Type::pred;
}

int StatementBinding::dest_predicate(const Operand& operand) {
    if (operand.kind == Operand::Kind::sink) {
        if (num_predicates_ < kMaxPredicates)
            return append_predicate(static_cast<u16>(num_predicates_++), true);
        error("not covered yet: more than 65,000 predicates");
        return 0;
    }
    if (operand.kind != Operand::Kind::reg || operand.negated) {
        error(fmt::format("expected a destination predicate, got {}", kind_name(operand.kind)));
        return 0;
    }
    return append_predicate(predicate_of(operand.reg), true);
}

int StatementBinding::source_predicate(const Operand& operand, bool* negated) {
    if (negated != nullptr) *negated = operand.negated;
    if (operand.negated && negated == nullptr)
        error("a negated predicate is not an operand of this instruction");
    if (operand.kind == Operand::Kind::integer) {
        return append_predicate(operand.integer != 0 ? kTruePredicate : kFalsePredicate, false);
    }
    if (operand.kind != Operand::Kind::reg) {
        error(fmt::format("expected a predicate, got {}", kind_name(operand.kind)));
        return 0;
    }
    return append_predicate(predicate_of(operand.reg), false);
}

// --- the rest ---

int StatementBinding::address(const Operand& operand, bool* is_32_bit) {
    if (is_32_bit != nullptr) *is_32_bit = false;
    if (operand.kind != Operand::Kind::address || !operand.elements.empty()) {
        error(fmt::format("expected an address, got {}", operand.kind == Operand::Kind::address
                                                             ? "one with coordinates"
                                                             : kind_name(operand.kind)));
        return 0;
    }
    instruction_.immediate = operand.offset;
    if (operand.reg >= 0) {
        const auto reg = static_cast<std::size_t>(operand.reg);
        const bool is_known = reg < entry_.registers.size();
        const int bits = is_known ? facts_of(entry_.registers[reg].type).bits : 0;
        if (bits != 64 && (bits != 32 || is_32_bit == nullptr)) {
            error(is_known
                      ? fmt::format("{} is not a register for an address here", entry_.registers[reg].name)
                      : "expected a register");
            return 0;
        }
        if (is_32_bit != nullptr) *is_32_bit = bits == 32;
        return append(operand.reg, width_of(bits), false, true);
    }
    u64 base = 0;
    if (!operand.symbol.empty()) {
        const Placed* place = placement_.find(operand.symbol);
        if (place == nullptr)
            error(fmt::format("not covered yet: the address of {}", operand.symbol));
        else
            base = place->address;
    }
    return append_constant(base, 2);
}

Space StatementBinding::symbol_space(const Operand& operand) const {
    const Placed* place = operand.symbol.empty() ? nullptr : placement_.find(operand.symbol);
    return place == nullptr ? Space::generic : place->space;
}

i64 StatementBinding::immediate(const Operand& operand) {
    if (operand.kind == Operand::Kind::integer) return static_cast<i64>(operand.integer);
    error(fmt::format("expected an integer literal, got {}", kind_name(operand.kind)));
    return 0;
}

i32 StatementBinding::target_of(const Operand& operand) {
    const auto label = static_cast<std::size_t>(operand.label);
    if (operand.kind == Operand::Kind::label && operand.label >= 0 && label < entry_.labels.size()) {
        // Behind the last statement stands the return that is added to every body.
        const i32 target =
            std::clamp(entry_.labels[label].statement, 0, static_cast<i32>(entry_.statements.size()));
        code_.branches.push_back({static_cast<i32>(code_.instructions.size()), target});
        return target;
    }
    error(fmt::format("expected a label, got {}", kind_name(operand.kind)));
    return 0;
}

}  // namespace warpwright::emulator
