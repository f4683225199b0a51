// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f16 and bf16 and their pairs, PTX ISA 9.7.4.
#include <array>

#include "emulator/decode/binding.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

enum class Clamp : u8 { none, sat, relu };

#define WW_SIMD_FILE "emulator/execute/half.inl"
#include "emulator/execute/each_simd_level.inl"

Status bind_half(Binding& b) {
    return bind_form(b, {at_level<std::span<const Form>>(baseline::kForms, avx2::kForms, avx512::kForms)});
}

}  // namespace

std::span<const Opcode> half_opcodes() {
    const auto forms = [](std::string_view opcode) { return forms_text(opcode, {baseline::kForms}); };
    static const std::array list = {
        Opcode{"add", bind_half, "9.7.4.1", forms("add")}, Opcode{"sub", bind_half, "9.7.4.2", forms("sub")},
        Opcode{"mul", bind_half, "9.7.4.3", forms("mul")}, Opcode{"fma", bind_half, "9.7.4.4", forms("fma")},
        Opcode{"neg", bind_half, "9.7.4.5", forms("neg")}, Opcode{"abs", bind_half, "9.7.4.6", forms("abs")},
        Opcode{"min", bind_half, "9.7.4.7", forms("min")}, Opcode{"max", bind_half, "9.7.4.8", forms("max")},
    };
    return list;
}

}  // namespace warpwright::emulator
