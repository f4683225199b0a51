// SPDX-License-Identifier: Apache-2.0
// The Binding of one statement after the other of an entry. Register operands get their slots later, by
// liveness, so a bound instruction names them by number until finish().
#pragma once

#include <string>
#include <vector>

#include "emulator/decode/binding.h"
#include "emulator/decode/constants.h"
#include "emulator/decode/place.h"

namespace warpwright::emulator {

// A register operand before slots are given out: the function's registers by their index, then those made
// up for destinations nobody reads; ~slot for a constant.
using SlotOperand = i32;

// The entry's code with virtual registers.
struct BoundCode {
    struct Branch {
        i32 from, to;  // indices of instructions
    };
    std::vector<Instruction> instructions;
    std::vector<Branch> branches;          // in the order of `from`; an instruction can have several
    std::vector<bool> ends_path;           // the next instruction is not reached from this one
    std::vector<u32> first_operand = {0};  // of each instruction in `operands`; one more at the end
    std::vector<SlotOperand> operands;     // those of Instruction::slot, in order
    std::vector<u8> register_width;        // in slots, of every virtual register; 0 for predicates
    ConstantPool constants;
};

class StatementBinding final : public Binding {
public:
    StatementBinding(const Function& entry, const DecodeTarget& target, const Placement& placement);

    // Binds a statement by the first of the candidates that is responsible, and appends its instruction. The
    // error has no line in it.
    Status bind(const Statement& statement, std::span<const Opcode* const> candidates);
    BoundCode finish();
    int num_predicates() const { return num_predicates_; }

    const Statement& statement() const override { return *statement_; }
    const DecodeTarget& target() const override { return target_; }
    bool take(std::string_view modifier) override;
    std::string_view take_one_of(std::initializer_list<std::string_view> modifiers) override;
    std::vector<Type> take_types() override;
    Result<Type> type() override;
    std::vector<std::string_view> remaining() const override;
    int num_operands() const override { return static_cast<int>(statement_->operands.size()); }
    const Operand& operand(int index) const override;
    using Binding::dest;
    using Binding::source;
    int dest(const Operand& operand, Type type) override;
    int source(const Operand& operand, Type type) override;
    int dest_and_source(const Operand& operand, Type type) override;
    int dests(const Operand& operand, Type type) override;
    int sources(const Operand& operand, Type type) override;
    bool is_predicate(const Operand& operand) const override;
    int dest_predicate(const Operand& operand) override;
    int source_predicate(const Operand& operand, bool* negated) override;
    int address(const Operand& operand, bool* is_32_bit) override;
    Space symbol_space(const Operand& operand) const override;
    i64 immediate(const Operand& operand) override;
    i32 target_of(const Operand& operand) override;
    void error(std::string text) override;

private:
    void start(const Statement& statement);
    int append(SlotOperand operand, int width, bool is_dest, bool is_source);
    int append_predicate(u16 predicate, bool is_dest);
    int append_register(const Operand& operand, Type type, bool is_dest, bool is_source);
    int append_constant(u64 value, int width);
    // The register's predicate, or kNoPredicate with an error.
    u16 predicate_of(int reg);
    std::string untaken() const;

    const Function& entry_;
    const DecodeTarget& target_;
    const Placement& placement_;
    const Statement* statement_ = nullptr;
    u64 taken_ = 0;          // bit i: modifier i
    mutable u64 asked_ = 0;  // bit i: the binder looked at operand i
    int num_slots_ = 0, num_used_predicates_ = 0;
    mutable std::string error_;    // the first one
    std::vector<u16> predicates_;  // of each register of the entry
    int num_predicates_ = 0;
    BoundCode code_;
};

// The opcode table by name, in the order of the lists.
std::span<const Opcode* const> opcodes_named(std::string_view name);

// "ld.global.v4.u32"
std::string statement_name(const Statement& statement);

}  // namespace warpwright::emulator
