// SPDX-License-Identifier: Apache-2.0
// A PTX module as data: what the parser makes of a text, before anything is known about instructions.
// PTX ISA 9.0, chapters 4 and 5. Registers and labels are resolved by their brace scopes here; symbols keep
// their names. Modifiers keep the order of the text; what they mean is decode's business.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright::emulator {

// State spaces, PTX ISA 5.1. `generic`: no space was written.
enum class Space : u8 { generic, reg, param, constant, global, shared, local };

// Fundamental and packed types, PTX ISA 5.2. Types that are only modifiers of an instruction (tf32, e4m3x2)
// are here too, so that one function reads a suffix.
enum class Type : u8 {
    none,
    pred,
    b8,
    b16,
    b32,
    b64,
    b128,
    u8,
    u16,
    u32,
    u64,
    s8,
    s16,
    s32,
    s64,
    f16,
    f16x2,
    bf16,
    bf16x2,
    f32,
    f32x2,
    f64,
    tf32,
    u16x2,
    s16x2,
    e4m3,
    e5m2,
    e3m2,
    e2m3,
    e2m1,
    ue8m0,
    ue4m3,
    e4m3x2,
    e5m2x2,
    e3m2x2,
    e2m3x2,
    e2m1x2,
    ue8m0x2,
    e4m3x4,
    e5m2x4,
    e3m2x4,
    e2m3x4,
    e2m1x4,
    s4,
    u4,
    b1,
};

struct TypeFacts {
    const char* name;  // "f32", as in a suffix
    int bits;          // of the value; 1 for pred
    bool is_float;     // f16, f16x2, bf16, bf16x2, f32, f32x2, f64, tf32 and the small formats
    bool is_signed;    // s8..s64, s16x2, s4
};
const TypeFacts& facts_of(Type type);
// Type::none for a text that is no type.
Type type_named(std::string_view name);

// A register of a function: declared, with ranges ("%r<5>") spread out.
struct Register {
    std::string name;  // "%r4"
    Type type = Type::none;
};

struct Operand {
    enum class Kind : u8 {
        reg,      // reg
        special,  // symbol: "%tid.x", "%laneid", "WARP_SZ"
        integer,  // integer, as a 64-bit pattern: -1 is all ones
        real,     // a decimal or 0d literal, in real; its 64 bits in integer
        real32,   // a 0f literal: bits in integer
        symbol,   // symbol + offset: address of a variable, parameter or function
        address,  // [base + offset]: base is a register (reg >= 0) or a symbol, or neither: [offset];
                  // [map, {x, y}] of tensors: what follows the comma is in elements
        vector,   // elements: {a, b, c, d}; also the parenthesised lists of a call
        pair,     // elements[0] | elements[1]: two destinations, "d|p"
        sink,     // _
        label,    // label
    };
    Kind kind = Kind::sink;
    bool negated = false;  // "!%p": a predicate source taken inverted
    int reg = -1;          // index into Function::registers
    int label = -1;        // index into Function::labels
    u64 integer = 0;
    double real = 0;
    i64 offset = 0;
    std::string symbol;
    std::vector<Operand> elements;
};

struct Guard {
    int reg = -1;  // -1: none
    bool negated = false;
};

// One instruction. Operands in the order of the text; what stands in parentheses (calls) is a vector.
struct Statement {
    std::string opcode;                  // "ld"
    std::vector<std::string> modifiers;  // {"global", "L1::no_allocate", "v4", "u32"}
    Guard guard;
    std::vector<Operand> operands;
    int line = 0;         // of the PTX text, from 1
    int source_file = 0;  // .loc: index into Module::files, 0 for none
    int source_line = 0;
};

// A symbol's address inside of an initialiser: (address + addend) >> shift, its low `bytes` bytes.
struct Relocation {
    u64 offset = 0;  // in bytes from the variable's start
    std::string symbol;
    i64 addend = 0;
    int bytes = 8;            // 8, 4, or 1 for one byte of an address: 0xff00(symbol)
    int shift = 0;            // in bits; not 0 only for one byte
    bool is_generic = false;  // generic(symbol): the generic address, not that in the symbol's space
};

struct Variable {
    std::string name;
    Space space = Space::global;
    Type type = Type::b8;
    int vector = 1;     // .v2, .v4
    int alignment = 1;  // bytes; of the type where none is written
    u64 bytes = 0;      // 0: "[]", sized by the launch
    bool is_extern = false;
    std::vector<std::byte> initial;  // all `bytes`; empty: none was written (.global, .const are then zero)
    std::vector<Relocation> relocations;
    int line = 0;
};

struct Label {
    std::string name;
    int statement = 0;  // index of the statement it stands before; statements.size() at the end
};

struct Threads {
    u32 x = 0, y = 0, z = 0;  // all 0: not written
};

// Names of registers, variables and labels are unique in a function: the second "tmp" is "tmp#2".
struct Function {
    std::string name;
    bool is_entry = false;
    bool is_declaration = false;       // no body: .extern, or a prototype without definition
    std::vector<Variable> parameters;  // space param; of a .func also reg: see its register of that name
    std::vector<Variable> returns;     // of a .func
    std::vector<Register> registers;
    std::vector<Variable> variables;  // .shared, .local, .param of the body
    std::vector<Label> labels;
    std::vector<Statement> statements;
    Threads max_threads;        // .maxntid; 0: not written
    Threads required_threads;   // .reqntid
    int min_blocks_per_sm = 0;  // .minnctapersm
    int max_registers = 0;      // .maxnreg
    Threads required_cluster;   // .reqnctapercluster, in blocks; 0: not written
    int max_cluster_rank = 0;   // .maxclusterrank
    bool is_explicit_cluster = false;
    bool is_noreturn = false;
    int line = 0;
};

struct Module {
    int version_major = 0, version_minor = 0;
    std::string target;  // "sm_90a"
    int address_size = 64;
    std::vector<std::string> files;  // of .file, by index; [0] is empty
    std::vector<Variable> variables;
    std::vector<Function> functions;
};

// The error names the line and what was expected there: "line 12: expected ';' after operand, got '%r4'".
// Never throws, never crashes, whatever the text; a text of n bytes takes O(n) time and memory.
Result<Module> parse(std::string_view text);

}  // namespace warpwright::emulator
