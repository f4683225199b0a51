// SPDX-License-Identifier: Apache-2.0
// A function made ready to run: one Instruction per statement, its handler chosen, its registers mapped to
// slots of the warp's register file. Everything a handler needs is in the Instruction, the Warp and what
// hangs from it.
//
// The register file of a warp is an array of slots of 128 bytes: 32 lanes x 4 bytes. A 64-bit register is two
// slots in a row holding 32 u64, a 128-bit register four holding 32 x 16 bytes. A register of 16 or 8 bits
// is one slot; its bits are the low bits of each lane's word and what is above them is not defined: handlers
// mask when they read. A predicate is one u32, bit = lane.
// A destination may share its slots with a source of the same instruction, but only all of them, with the
// same width: a handler that goes lane by lane, or reads everything before it writes a second destination, is
// safe. Constants (immediates, addresses of symbols) are slots too, at the start of the file, filled when the
// warp starts; a handler cannot tell them from registers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emulator/check/finding.h"
#include "emulator/parse/module.h"
#include "warpwright/status.h"

namespace warpwright::emulator {

class Warp;
struct Instruction;

// What happens after a handler ran.
enum class Flow : u8 {
    next,    // done: go on with the next instruction
    branch,  // the active lanes go to Instruction::target
    wait,    // nothing was done; the group stays before this instruction until something changes
    yield,   // done, and somebody else should run now: nanosleep, a failed compare-and-swap
    exit,    // these lanes are finished
    fault,   // warp.report() was called: the launch ends
};

// `active` is never 0: the lanes of the running group for which the guard holds. A handler must change
// nothing of the other lanes.
using Handler = Flow (*)(Warp& warp, const Instruction& instruction, u32 active);

constexpr int kMaxSlots = 20;
constexpr u16 kNoPredicate = 0xffff;
// The first predicates are constants, set when the warp starts: no lane, and all lanes.
constexpr u16 kFalsePredicate = 0, kTruePredicate = 1;
constexpr int kNumConstantPredicates = 2;

struct Instruction {
    Handler handler = nullptr;
    u16 slot[kMaxSlots] = {};  // register operands, in the order the binder asked for them
    u16 predicate[4] = {kNoPredicate, kNoPredicate, kNoPredicate, kNoPredicate};
    u16 guard = kNoPredicate;  // index into the warp's predicates
    bool guard_negated = false;
    bool flag[3] = {};                              // meaning is the handler's
    i64 immediate = 0;                              // address offset, or what the handler wants
    i32 target = -1;                                // of a branch: index into Program::code
    i32 detail[4] = {};                             // meaning is the handler's
    i32 statement = 0;                              // index into Program::statements, for messages
    u32 dest_slots = 0, source_slots = 0;           // bit i: slot[i] is written / read
    u8 dest_predicates = 0, source_predicates = 0;  // the same for predicate[i]
    u8 slot_width[kMaxSlots] = {};                  // in slots: 1, 2 or 4
};

// What a message says about an instruction.
struct StatementText {
    std::string name;  // "ld.global.v4.u32"
    int ptx_line = 0;
    int source_file = 0, source_line = 0;
};

// Where the bytes of a declared variable are. Windows are in memory/windows.h.
struct Placed {
    std::string name;
    Space space = Space::global;
    u64 address = 0;  // in its window, or a global address
    u64 bytes = 0;
};

struct Program {
    std::string name;    // of the entry
    std::string target;  // "sm_90a", of the module
    std::vector<Instruction> code;
    std::vector<StatementText> statements;
    std::vector<std::string> files;

    int num_slots = 0;           // of the register file, constants included
    int num_constants = 0;       // the first slots
    std::vector<u32> constants;  // num_constants x 32 words, as they stand in the file
    int num_predicates = 0;      // constant ones included

    u32 param_bytes = 0;                   // of all parameters together
    u32 static_shared_bytes = 0;           // .shared variables of known size
    u32 shared_alignment = 16;             // of the dynamic part, which starts behind the static one
    u32 local_bytes = 0;                   // per lane
    std::vector<std::byte> constant_bank;  // .const, initialised
    std::vector<Placed> variables;         // for messages: whose address was it
    u32 max_threads = 0;                   // .maxntid product; 0: none
    u32 required_threads = 0;              // .reqntid product
    bool has_griddep_wait = false;

    int num_virtual_registers = 0;  // before slots were shared; for statistics
};

}  // namespace warpwright::emulator
