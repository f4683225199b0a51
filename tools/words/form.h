// SPDX-License-Identifier: Apache-2.0
// Instruction words: what one instruction answers on a real GPU, recorded, so that the emulator can be held
// to it where there is none. A Form is one instruction (or one with all its rounding modes) and the kernel
// around it: each thread loads its operands from a record of the input, executes the body, and stores its
// results as a record of the output.
//
// A signature names operands and results: "f32 f32 > b32 pred". An operand's word is also what values it
// takes (values.h). In the body they are %i0, %i1, ... and %o0, %o1, ...: registers of the field's size, or
// predicates. A field with a star is left in memory, for the body to load or store: [%in + @i0], where @i0
// stands for the field's offset. Without a body the form's name is the opcode. Also there:
//     %in, %out   .b64  the thread's records, global addresses
//     %thread     .b32  index in the block; %lane, %warp likewise
//     %buffer     .b32  shared memory of the block, shared_bytes long
//     %p0..7, %h0..15, %r0..31, %l0..15   predicates, 16-, 32- and 64-bit registers for the body's own use
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/words/approximation.h"
#include "warpwright/types.h"

namespace warpwright::words {

constexpr int kGeneratorVersion = 1;  // of the values: grows when the same form gets others
constexpr int kVectors = 4096;        // threads of a form that says nothing else

struct Kind;  // values.h

struct Field {
    const Kind* kind = nullptr;
    int offset = 0;  // in the thread's record, a multiple of the size
    bool in_memory = false;
};

struct Form {
    std::string name;
    std::vector<Field> inputs, outputs;
    std::string body;
    int vectors = kVectors;
    int block_threads = 128;
    int shared_bytes = 0;
    std::string declarations;  // of the module, before the entry
    // None: the result is defined to the bit, or measured to be the same on every Hopper GPU.
    std::optional<Approximation> approximation;

    int input_bytes() const { return record_bytes(inputs); }  // of one thread
    int output_bytes() const { return record_bytes(outputs); }

    // Chained after Forms::add.
    Form& with_vectors(int count) { return vectors = count, *this; }
    Form& with_block(int threads) { return block_threads = threads, *this; }
    Form& with_shared(int bytes) { return shared_bytes = bytes, *this; }
    Form& with_declarations(std::string text) { return declarations = std::move(text), *this; }
    Form& within(const Approximation& bound) { return approximation = bound, *this; }

private:
    static int record_bytes(const std::vector<Field>& fields);
};

// The body of a form with one result for each statement.
struct Statements {
    std::string results, body;  // results as in a signature, each after a blank
    int count = 0;
    void add(const std::string& opcode, const std::string& result, const std::string& sources = "%i0");
};

class Forms {
public:
    Form& add(std::string name, std::string_view signature, std::string body = {});
    // One form for several opcodes of the same operands: a result for each. `title` names them together.
    Form& add_all(std::string title, const std::vector<std::string>& opcodes, std::string_view operands,
                  std::string_view result);
    std::vector<Form> take() { return std::move(forms_); }

private:
    std::vector<Form> forms_;
};

// Every form, in a fixed order. Names are unique.
const std::vector<Form>& all_forms();

// One per family.
void add_integer_forms(Forms& forms);
void add_float_forms(Forms& forms);
void add_approximate_forms(Forms& forms);
void add_half_forms(Forms& forms);
void add_compare_forms(Forms& forms);  // setp set selp slct, logic, shifts
void add_convert_forms(Forms& forms);
void add_memory_forms(Forms& forms);  // ld st mov prmt cvta, special registers
void add_atomic_forms(Forms& forms);
void add_warp_forms(Forms& forms);    // shfl vote match redux elect, barriers
void add_matrix_forms(Forms& forms);  // ldmatrix stmatrix movmatrix cp.async
void add_mma_forms(Forms& forms);

// The PTX of a form for sm_90a: entry "words" with one parameter, the addresses of input and output.
std::string kernel_text(const Form& form);

// The statement that gives the output its value, for messages: "add.rz.f32 %o1, %i0, %i1".
std::string statement_of(const Form& form, int output);

}  // namespace warpwright::words
