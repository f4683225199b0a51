// SPDX-License-Identifier: Apache-2.0
// Approximate functions, PTX ISA 9.7.3.8 and following, 9.7.4.9 and 9.7.4.10. The hardware's own bits are not
// documented: results here are the nearest ones to the true value that the format has, or next to them.
#include <array>

#include "emulator/decode/binding.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

#define WW_SIMD_FILE "emulator/execute/approximate.inl"
#include "emulator/execute/each_simd_level.inl"

Status bind_approximate(Binding& b) {
    return bind_form(b, {at_level<std::span<const Form>>(baseline::kForms, avx2::kForms, avx512::kForms)});
}

}  // namespace

std::span<const Opcode> approximate_opcodes() {
    const auto forms = [](std::string_view opcode) { return forms_text(opcode, {baseline::kForms}); };
    static const std::array list = {
        Opcode{"div", bind_approximate, "9.7.3.8", forms("div")},
        Opcode{"rcp", bind_approximate, "9.7.3.13", forms("rcp")},
        Opcode{"sqrt", bind_approximate, "9.7.3.15", forms("sqrt")},
        Opcode{"rsqrt", bind_approximate, "9.7.3.16", forms("rsqrt")},
        Opcode{"sin", bind_approximate, "9.7.3.18", forms("sin")},
        Opcode{"cos", bind_approximate, "9.7.3.19", forms("cos")},
        Opcode{"lg2", bind_approximate, "9.7.3.20", forms("lg2")},
        Opcode{"ex2", bind_approximate, "9.7.3.21", forms("ex2")},
        Opcode{"tanh", bind_approximate, "9.7.3.22", forms("tanh")},
    };
    return list;
}

}  // namespace warpwright::emulator
