// SPDX-License-Identifier: Apache-2.0
// Tables of instruction forms. Most instructions compute a function of their sources in each lane: all that
// is to say about them is how they are written, and which handler they have.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "emulator/decode/binding.h"
#include "emulator/execute/simd.h"

namespace warpwright::emulator {

struct Form {
    std::string_view opcode;  // "add"
    // As the PTX ISA writes them: ".sat.s32" stands there, "{.rn}" may stand there, ".{u32,s32}" is one of
    // two. What may be left out means nothing. Types keep their order, other modifiers may stand anywhere.
    std::string_view modifiers;
    Handler handler = nullptr;
    Type dest = Type::none;
    u8 num_sources = 0;
    Type source[4] = {};
};

// True when the statement's modifiers are the form's.
bool matches(const Form& form, const Statement& statement);

// Takes the modifiers and binds destination and sources, when a form of these tables is the statement's and
// the number of operands is right; not_mine() otherwise.
Status bind_form(Binding& binding, std::initializer_list<std::span<const Form>> tables);

// The forms of one opcode in one text, for Opcode::forms. It lives as long as the program.
std::string_view forms_text(std::string_view opcode, std::initializer_list<std::span<const Form>> tables);

// Modifiers of forms in fewer words: {"", ".ftz"} of .f16 and .f16x2 are "{.ftz}.{f16,f16x2}".
std::string compact_forms(std::span<const std::string_view> modifiers);

// The one for the CPU's level.
template <class T>
T at_level(T baseline, T avx2, T avx512) {
    switch (simd_level()) {
        case SimdLevel::baseline: return baseline;
        case SimdLevel::avx2: return avx2;
        case SimdLevel::avx512: return avx512;
    }
    return baseline;
}

}  // namespace warpwright::emulator
