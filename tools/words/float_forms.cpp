// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f32 and f64 that is defined to the bit, PTX ISA 9.7.3. What is not: approximate_forms.cpp.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

void add_rounded(Forms& forms, const char* opcode, int num_operands, const std::string& suffix) {
    const bool is_double = suffix.ends_with("f64");
    const char* kind = is_double ? "f64" : "f32";
    std::string operands;
    for (int i = 0; i < num_operands; ++i) operands += fmt::format("{}{}", i == 0 ? "" : " ", kind);
    std::vector<std::string> opcodes;
    for (const char* rounding : {"rn", "rz", "rm", "rp"})
        opcodes.push_back(fmt::format("{}.{}{}", opcode, rounding, suffix));
    forms.add_all(fmt::format("{}.{{rn,rz,rm,rp}}{}", opcode, suffix), opcodes, operands,
                  is_double ? "b64" : "b32");
}

void add_minima(Forms& forms, const std::string& ftz) {
    for (const char* opcode : {"min", "max"}) {
        std::vector<std::string> opcodes;
        for (const char* nan : {"", ".NaN"}) {
            for (const char* sign : {"", ".xorsign.abs"})
                opcodes.push_back(fmt::format("{}{}{}{}.f32", opcode, ftz, nan, sign));
        }
        forms.add_all(fmt::format("{}{}{{,.NaN}}{{,.xorsign.abs}}.f32", opcode, ftz), opcodes, "f32 f32",
                      "b32");
    }
}

}  // namespace

void add_float_forms(Forms& forms) {
    for (const char* suffix : {".f32", ".ftz.f32", ".f64"}) {
        for (const char* opcode : {"add", "sub", "mul", "div"}) add_rounded(forms, opcode, 2, suffix);
        for (const char* opcode : {"rcp", "sqrt"}) add_rounded(forms, opcode, 1, suffix);
        add_rounded(forms, "fma", 3, suffix);
    }
    for (const char* ftz : {"", ".ftz"}) {
        for (const char* opcode : {"add", "sub", "mul"}) {
            forms.add_all(fmt::format("{}{{,.sat}}{}.f32", opcode, ftz),
                          {fmt::format("{}{}.f32", opcode, ftz), fmt::format("{}.rn{}.sat.f32", opcode, ftz),
                           fmt::format("{}.rz{}.sat.f32", opcode, ftz)},
                          "f32 f32", "b32");
        }
        forms.add_all(fmt::format("fma mad{}.sat.f32", ftz),
                      {fmt::format("fma.rn{}.sat.f32", ftz), fmt::format("fma.rm{}.sat.f32", ftz),
                       fmt::format("mad.rn{}.f32", ftz), fmt::format("mad.rz{}.sat.f32", ftz)},
                      "f32 f32 f32", "b32");
        forms.add_all(fmt::format("abs neg{}.f32", ftz),
                      {fmt::format("abs{}.f32", ftz), fmt::format("neg{}.f32", ftz)}, "f32", "b32");
        add_minima(forms, ftz);
    }
    forms.add_all("add sub mul.f64", {"add.f64", "sub.f64", "mul.f64"}, "f64 f64", "b64");
    forms.add("mad.rn.f64", "f64 f64 f64 > b64");
    forms.add_all("abs neg.f64", {"abs.f64", "neg.f64"}, "f64", "b64");
    forms.add_all("min max.f64", {"min.f64", "max.f64"}, "f64 f64", "b64");
    for (const char* type : {"f32", "f64"}) {
        forms.add(fmt::format("copysign.{}", type),
                  fmt::format("{0} {0} > {1}", type, type[1] == '3' ? "b32" : "b64"));
        std::vector<std::string> opcodes;
        for (const char* test : {"finite", "infinite", "number", "notanumber", "normal", "subnormal"})
            opcodes.push_back(fmt::format("testp.{}.{}", test, type));
        forms.add_all(fmt::format("testp.{}", type), opcodes, type, "pred");
    }
}

}  // namespace warpwright::words
