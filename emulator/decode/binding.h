// SPDX-License-Identifier: Apache-2.0
// How an opcode becomes an Instruction. Each family of execute/ has binders: a binder reads the modifiers and
// operands of one statement through a Binding, chooses the handler and fills the Instruction. Modifiers are a
// set: their order in the text does not matter, and one that no binder took is a load error ("not covered
// yet"), never ignored.
//
//     static Status bind_add(Binding& b) {
//         WW_ASSIGN(const Type type, b.type());            // the one type suffix
//         const bool saturates = b.take("sat");
//         b.dest(0, type);                                 // slot[0]
//         b.source(1, type);                               // slot[1]: register, immediate or symbol
//         b.source(2, type);                               // slot[2]
//         b.handler(...);
//         return {};                                       // what was not taken is reported by the caller
//     }
//
// Operand errors (missing, wrong kind) are remembered by the Binding and reported by the caller, so that
// binders need not test each call.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/decode/program.h"
#include "emulator/parse/module.h"

namespace warpwright::emulator {

// The class of GPUs whose arithmetic of approximate and matrix instructions is alike.
enum class NumericsClass : u8 { ampere, ada, hopper, blackwell };

// What the program is decoded for.
struct DecodeTarget {
    int compute_capability = 0;  // 10 x major + minor of the GPU
    NumericsClass numerics = NumericsClass::ampere;
};
NumericsClass numerics_of(int compute_capability);  // 80, 86, 87: ampere; 88, 89: ada; 90; 100 and up

class Binding {
public:
    virtual ~Binding() = default;

    virtual const Statement& statement() const = 0;
    virtual const DecodeTarget& target() const = 0;
    Instruction& instruction() { return instruction_; }
    void handler(Handler handler) { instruction_.handler = handler; }

    // --- modifiers ---
    // True, and the modifier is used up, when it is there (and not yet taken).
    virtual bool take(std::string_view modifier) = 0;
    // The one of these that is there, or "".
    virtual std::string_view take_one_of(std::initializer_list<std::string_view> modifiers) = 0;
    // All types among the modifiers in the order of the text, taken: {f32, bf16, bf16, f32} of an mma.
    virtual std::vector<Type> take_types() = 0;
    // Exactly one type is expected; an error names what is there.
    virtual Result<Type> type() = 0;
    // The modifiers not taken yet, in the order of the text: for families with their own syntax.
    virtual std::vector<std::string_view> remaining() const = 0;

    // --- operands ---
    // An operand that the binder never asked for is a load error, like a modifier that it did not take.
    virtual int num_operands() const = 0;
    virtual const Operand& operand(int index) const = 0;
    // Appends a slot for the register. `type` gives its width, and the encoding of an immediate: f32
    // immediates become their 32 bits, integers are cut to the type's size. A sink `_` as destination gets a
    // slot nobody reads. Returns the position in Instruction::slot. A register must have the size of the
    // type; in ld, st and cvt it may be wider, and Instruction::slot_width tells. Slot numbers are given out
    // when all statements are bound: Instruction::slot is empty until then.
    virtual int dest(const Operand& operand, Type type) = 0;
    virtual int source(const Operand& operand, Type type) = 0;
    int dest(int index, Type type) { return dest(operand(index), type); }
    int source(int index, Type type) { return source(operand(index), type); }
    // Read and written by the same instruction (a partial write, an accumulator): both liveness bits.
    virtual int dest_and_source(const Operand& operand, Type type) = 0;
    // The elements of a vector operand, each as its own slot, in order; an operand that is no vector is one
    // element. Returns how many.
    virtual int dests(const Operand& operand, Type type) = 0;
    virtual int sources(const Operand& operand, Type type) = 0;
    // Predicates; return the position in Instruction::predicate. A negated source sets *negated. An immediate
    // predicate source (-1, 0, 1) becomes a constant predicate.
    virtual bool is_predicate(const Operand& operand) const = 0;  // a register that is one
    virtual int dest_predicate(const Operand& operand) = 0;
    virtual int source_predicate(const Operand& operand, bool* negated) = 0;
    // [base + offset]: appends the base of every lane, 64 bits in two slots, and sets Instruction::immediate
    // to the offset. An offset alone is a base of 0. The base of a symbol is its offset in its state space's
    // window (memory/windows.h), of a .global one its generic address: symbol_space() tells which, where the
    // statement names no space. `*is_32_bit`, when given, is set when the base is a 32-bit register, in one
    // slot, to be zero-extended; not given, such a register is an error.
    virtual int address(const Operand& operand, bool* is_32_bit) = 0;
    // The space of the symbol in an address or symbol operand ([param + 8] of a statement without a space),
    // or generic. The .param variables of a function's body are per-lane scratch for calls: they are local.
    virtual Space symbol_space(const Operand& operand) const = 0;
    // An integer literal; an error when it is something else.
    virtual i64 immediate(const Operand& operand) = 0;
    // A branch's label: index into Program::code, which can be that of an instruction not bound yet.
    virtual i32 target_of(const Operand& operand) = 0;

    // Remembers an error: "expected ..., got ...". The first one wins. "not covered yet: ..." for what PTX
    // has and the emulator has not.
    virtual void error(std::string text) = 0;

protected:
    Instruction instruction_;
};

using Binder = Status (*)(Binding& binding);

// One opcode in the table of what is covered. docs/emulator.md is rendered from these.
struct Opcode {
    std::string_view name;  // "add"
    Binder bind;
    std::string_view section;  // PTX ISA 9.0: "9.7.1.1"
    std::string_view forms;    // covered: "{.sat} u16 u32 u64 s16 s32 s64; {.rnd}{.ftz}{.sat} f32 f64 ..."
};

// One per file of execute/, memory/ and machine/. A name may stand in several lists (add of integers and of
// floats): binders are tried in order; one that is not responsible returns not_mine() before taking anything.
std::span<const Opcode> integer_opcodes();
std::span<const Opcode> bit_opcodes();  // logic, shifts, bit fields
std::span<const Opcode> float_opcodes();
std::span<const Opcode> approximate_opcodes();  // ex2 sin ... and .approx of float's
std::span<const Opcode> half_opcodes();
std::span<const Opcode> convert_opcodes();
std::span<const Opcode> compare_opcodes();  // setp set selp slct, predicates' logic
std::span<const Opcode> move_opcodes();     // mov cvta isspacep createpolicy
std::span<const Opcode> memory_opcodes();   // ld st atom red fence prefetch ...
std::span<const Opcode> async_opcodes();    // cp.async
std::span<const Opcode> matrix_opcodes();   // ldmatrix stmatrix movmatrix
std::span<const Opcode> mma_opcodes();
std::span<const Opcode> warp_opcodes();     // shfl vote match redux elect activemask
std::span<const Opcode> control_opcodes();  // bra ret exit call trap bar barrier griddepcontrol nanosleep
Status not_mine();
bool is_not_mine(const Status& status);

// All of them.
std::vector<const Opcode*> opcodes();

}  // namespace warpwright::emulator
