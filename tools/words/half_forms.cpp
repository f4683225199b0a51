// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f16, bf16 and their pairs, PTX ISA 9.7.4.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

// Each opcode with each of the modifiers in turn.
std::vector<std::string> with_modifiers(std::string_view opcode, const std::vector<std::string>& modifiers,
                                        std::string_view type) {
    std::vector<std::string> opcodes;
    for (const std::string& modifier : modifiers)
        opcodes.push_back(fmt::format("{}{}.{}", opcode, modifier, type));
    return opcodes;
}

void add_of_type(Forms& forms, const std::string& type) {
    const bool is_f16 = type.starts_with("f16");
    const std::string result = type.ends_with("x2") ? "b32" : "b16";
    const std::string two = type + " " + type;
    const std::string three = two + " " + type;
    const std::vector<std::string> flush =
        is_f16 ? std::vector<std::string>{"", ".ftz"} : std::vector<std::string>{""};
    const std::vector<std::string> rounded =
        is_f16 ? std::vector<std::string>{"", ".rn.ftz", ".sat", ".rn.ftz.sat"}
               : std::vector<std::string>{"", ".rn"};
    for (const char* opcode : {"add", "sub", "mul"}) {
        forms.add_all(fmt::format("{}.{}", opcode, type), with_modifiers(opcode, rounded, type), two, result);
    }
    forms.add_all(
        "fma.rn." + type,
        with_modifiers("fma.rn",
                       is_f16 ? std::vector<std::string>{"", ".ftz", ".sat", ".ftz.sat", ".relu", ".ftz.relu"}
                              : std::vector<std::string>{"", ".relu"},
                       type),
        three, result);
    std::vector<std::string> opcodes;
    for (const std::string& ftz : flush) {
        opcodes.push_back(fmt::format("abs{}.{}", ftz, type));
        opcodes.push_back(fmt::format("neg{}.{}", ftz, type));
    }
    forms.add_all("abs neg." + type, opcodes, type, result);
    for (const char* opcode : {"min", "max"}) {
        opcodes.clear();
        for (const std::string& ftz : flush) {
            for (const char* nan : {"", ".NaN"}) {
                for (const char* sign : {"", ".xorsign.abs"})
                    opcodes.push_back(fmt::format("{}{}{}{}.{}", opcode, ftz, nan, sign, type));
            }
        }
        forms.add_all(fmt::format("{}.{}", opcode, type), opcodes, two, result);
    }
}

}  // namespace

void add_half_forms(Forms& forms) {
    for (const char* type : {"f16", "f16x2", "bf16", "bf16x2"}) add_of_type(forms, type);
}

}  // namespace warpwright::words
