// SPDX-License-Identifier: Apache-2.0
// Which instruction is legal for which target of ptxas, how it runs there, and since which version of PTX:
// data/isa.json, made with ptxas 13.0.88 by tools/make_isa.py. The one source of the emulator's verdicts on
// instructions and of what `isa` says.
//
// A form is an instruction without its operands, by a name that does not depend on the order in which its
// modifiers are written: the opcode, the modifiers that are no types in alphabetical order, the types as they
// stand: "cvt.rn.satfinite.e4m3x2.f32". "min/4.f32" has four operands, "%clusterid.x" is a special register,
// ".maxclusterrank" a directive.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::isa {

// Bit i: the target i of architectures().
using Mask = u32;

struct Architecture {
    std::string name;    // "sm_90a"
    int capability = 0;  // 90: 10 x major + minor
    char suffix = 0;     // 'a': that number alone; 'f': its family, 10.x, 11.x or 12.x
    int version = 0;     // of PTX, the first that has it: 80 for 8.0
};
const std::vector<Architecture>& architectures();  // "sm_75" to "sm_121f", by number
int index_of(std::string_view architecture);       // -1: not one of them
// Does PTX for the architecture run on GPUs of this compute capability: does their driver assemble it?
bool runs_on(const Architecture& architecture, int compute_capability);
// Does ptxas assemble PTX whose .target is `text` for -arch=`wanted`?
bool assembles_for(const Architecture& text, const Architecture& wanted);

// How what is legal runs: as one instruction made for it, or otherwise.
enum class Way : u8 {
    illegal,
    native,
    emulated,  // by other instructions
    split,     // into several of the same kind
    slower,    // native, but at half rate or with instructions around it
    call,      // native, or a call of a routine of the driver: by the address
    unread,    // legal; its machine code was not looked into
};
const char* way_name(Way way);  // "not legal", "native", "emulated", "split", "slower", "may call", "legal"
constexpr bool is_slow(Way way) {
    return way == Way::emulated || way == Way::split || way == Way::slower || way == Way::call;
}

// Something that ptxas said or made on some targets.
struct OnTargets {
    std::string text;
    Mask targets = 0;
};

// A few statements that were assembled for every target and whose machine code was read.
struct Snippet {
    std::string name;   // "mma.m16n8k32.e4m3.e4m3.f32"
    std::string group;  // "mma.sync fp8/fp6/fp4"
    // Registers %r 32-bit, %f f32, %d 64-bit, %g f64, %h 16-bit, %p predicate; %S an address of shared
    // memory.
    std::string ptx;
    std::string directives;  // of the entry it was assembled in
    std::vector<Way> ways;   // by architecture
    int version = 0;         // of PTX, the first that takes it for some target; 0: no target has it
    std::vector<OnTargets> how;
    std::vector<OnTargets> sass;  // "HMMAx2 FADDx4 F2FPx12"
    std::vector<std::string> refusals;
    std::string note;
    int num_forms = 0;  // that it holds
};
const std::vector<Snippet>& snippets();

struct Form {
    std::string name;
    std::string spelled;  // with the modifiers in the order of PTX
    Mask targets = 0;
    int version = 0;   // as of a snippet
    int snippet = -1;  // that holds it; -1: it was assembled only
    Way way(int architecture) const;
};
const std::vector<Form>& forms();  // by name
// Null for what was not assembled.
const Form* find_form(std::string_view name);

// What ptxas makes of it: "emulated: HMMAx2 FADDx4 F2FPx12", "HGMMA WARPGROUPx2 (with 3 other forms)"; empty
// where that was not looked into.
std::string code_text(const Form& form, int architecture);

// What is to know about forms with these modifiers on these targets.
struct Note {
    std::string opcode;
    std::vector<std::string> modifiers;
    OnTargets text;
    std::string source;
};
std::vector<const Note*> notes_of(std::string_view form);
size_t num_notes();

// What an opcode is: "mma" -> "matrix product of a warp, operands in registers"; "" where nobody said it.
std::string_view family_text(std::string_view opcode);

// "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", as PTX writes it -> the form's name. `is_wide`: a min
// or max with four operands.
std::string form_name(std::string_view mnemonic, bool is_wide = false);

// Targets of a form by rules that speak of its opcode and some modifiers; all targets where none speaks. For
// the emulator, which must decide; a test holds them to what was assembled.
Mask targets_by_rule(std::string_view form);

// "sm_90 or later", or a list. `none` for no target.
std::string targets_text(Mask targets, std::string_view none = "no target");
// The same with the least demanding architecture of each number: "sm_90a, sm_100f" where sm_100a has it, too.
std::string least_text(Mask targets, std::string_view none = "no target");
std::string version_text(int version);  // 86 -> "8.6"
int parse_version(std::string_view text);

}  // namespace warpwright::isa
