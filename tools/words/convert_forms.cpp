// SPDX-License-Identifier: Apache-2.0
// cvt and cvt.pack, PTX ISA 9.7.9.21 and 9.7.9.22. Results narrower than 32 bits are taken from a 32-bit
// register, so that what an instruction does with the bits above its type is seen too.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

constexpr int kAll16 = 65536;
constexpr const char* kIntegers[] = {"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"};

std::string kind_of(const std::string& integer) {
    return "i" + integer.substr(1);
}
std::string result_of(const std::string& type) {
    return type.ends_with("64") ? "b64" : "b32";
}

// Whether every value of the one type is one of the other: .sat is not allowed then.
bool holds(const std::string& to, const std::string& from) {
    const int to_bits = std::stoi(to.substr(1)), from_bits = std::stoi(from.substr(1));
    if (to[0] == from[0]) return to_bits >= from_bits;
    return to[0] == 's' && to_bits > from_bits;
}

void add_integer_to_integer(Forms& forms) {
    for (const std::string from : kIntegers) {
        Statements plain, saturated;
        for (const std::string to : kIntegers) {
            plain.add(fmt::format("cvt.{}.{}", to, from), result_of(to));
            if (!holds(to, from)) saturated.add(fmt::format("cvt.sat.{}.{}", to, from), result_of(to));
        }
        forms.add("cvt.INT." + from, kind_of(from) + " >" + plain.results, plain.body);
        forms.add("cvt.sat.INT." + from, kind_of(from) + " >" + saturated.results, saturated.body);
    }
}

// The assembler has none between bf16 and 8 bits.
bool has_conversion(const std::string& real, const std::string& integer) {
    return real != "bf16" || !integer.ends_with("8");
}

void add_integer_to_float(Forms& forms) {
    for (const std::string from : kIntegers) {
        for (const std::string to : {"f16", "bf16", "f32", "f64"}) {
            if (!has_conversion(to, from)) continue;
            Statements group;
            for (const char* rounding : {"rn", "rz", "rm", "rp"}) {
                group.add(fmt::format("cvt.{}.{}.{}", rounding, to, from),
                          to.ends_with("16") ? "b16" : result_of(to));
            }
            forms.add(fmt::format("cvt.{{rn,rz,rm,rp}}.{}.{}", to, from),
                      kind_of(from) + " >" + group.results, group.body);
        }
    }
}

void add_float_to_integer(Forms& forms) {
    for (const std::string from : {"f16", "bf16", "f32", "f64"}) {
        const bool is_16 = from.ends_with("16");
        for (const std::string to : kIntegers) {
            if (!has_conversion(from, to)) continue;
            // Of bf16 the registers must be as wide as the types.
            const bool is_narrow = from == "bf16" && to.ends_with("16");
            Statements group;
            for (const char* rounding : {"rni", "rzi", "rmi", "rpi"})
                group.add(fmt::format("cvt.{}.{}.{}", rounding, to, from), is_narrow ? "b16" : result_of(to));
            if (from == "f32") {
                group.add(fmt::format("cvt.rpi.ftz.{}.{}", to, from), result_of(to));
                group.add(fmt::format("cvt.rmi.ftz.sat.{}.{}", to, from), result_of(to));
            }
            forms
                .add(fmt::format("cvt.{{rni,rzi,rmi,rpi}}.{}.{}", to, from),
                     (is_16 ? "x16" : from) + " >" + group.results, group.body)
                .with_vectors(is_16 ? kAll16 : kVectors);
        }
    }
}

void add_float_to_float(Forms& forms) {
    const auto unary = [&](const std::string& title, const std::string& kind,
                           const std::vector<std::string>& opcodes, const std::string& result) {
        forms.add_all(title, opcodes, kind, result).with_vectors(kind == "x16" ? kAll16 : kVectors);
    };
    unary("cvt.f32.f16", "x16", {"cvt.f32.f16", "cvt.ftz.f32.f16", "cvt.sat.f32.f16"}, "b32");
    unary("cvt.f64.f16", "x16", {"cvt.f64.f16"}, "b64");
    unary("cvt.f32.bf16", "x16", {"cvt.f32.bf16", "cvt.ftz.f32.bf16"}, "b32");
    unary("cvt.f64.bf16", "x16", {"cvt.f64.bf16"}, "b64");
    unary("cvt.f16.bf16", "x16", {"cvt.rn.f16.bf16", "cvt.rz.f16.bf16"}, "b16");
    unary("cvt.bf16.f16", "x16", {"cvt.rn.bf16.f16", "cvt.rz.bf16.f16"}, "b16");
    unary("cvt.{rni,rzi,rmi,rpi}.f16.f16", "x16",
          {"cvt.rni.f16.f16", "cvt.rzi.f16.f16", "cvt.rmi.f16.f16", "cvt.rpi.f16.f16", "cvt.sat.f16.f16"},
          "b16");
    unary("cvt.{rni,rzi,rmi,rpi}.bf16.bf16", "x16",
          {"cvt.rni.bf16.bf16", "cvt.rzi.bf16.bf16", "cvt.rmi.bf16.bf16", "cvt.rpi.bf16.bf16"}, "b16");
    for (const std::string type : {"f32", "f64"}) {
        std::vector<std::string> opcodes;
        for (const char* rounding : {"rni", "rzi", "rmi", "rpi"})
            opcodes.push_back(fmt::format("cvt.{0}.{1}.{1}", rounding, type));
        opcodes.push_back(fmt::format("cvt.sat.{0}.{0}", type));
        if (type == "f32") opcodes.insert(opcodes.end(), {"cvt.rni.ftz.f32.f32", "cvt.ftz.sat.f32.f32"});
        unary(fmt::format("cvt.{{rni,rzi,rmi,rpi}}.{0}.{0}", type), type, opcodes, result_of(type));
    }
    for (const std::string to : {"f32", "f16", "bf16"}) {
        std::vector<std::string> opcodes;
        for (const char* rounding : {"rn", "rz", "rm", "rp"})
            opcodes.push_back(fmt::format("cvt.{}.{}.f64", rounding, to));
        if (to != "bf16") opcodes.push_back(fmt::format("cvt.rn.sat.{}.f64", to));
        unary(fmt::format("cvt.{{rn,rz,rm,rp}}.{}.f64", to), "f64", opcodes, to == "f32" ? "b32" : "b16");
    }
    unary("cvt.f64.f32", "f32", {"cvt.f64.f32", "cvt.ftz.f64.f32", "cvt.sat.f64.f32"}, "b64");
    unary("cvt.f16.f32", "f32",
          {"cvt.rn.f16.f32", "cvt.rz.f16.f32", "cvt.rm.f16.f32", "cvt.rp.f16.f32", "cvt.rn.ftz.f16.f32",
           "cvt.rn.sat.f16.f32", "cvt.rn.relu.f16.f32", "cvt.rz.relu.f16.f32", "cvt.rn.satfinite.f16.f32",
           "cvt.rz.relu.satfinite.f16.f32"},
          "b16");
    unary("cvt.bf16.f32", "f32",
          {"cvt.rn.bf16.f32", "cvt.rz.bf16.f32", "cvt.rm.bf16.f32", "cvt.rp.bf16.f32", "cvt.rn.relu.bf16.f32",
           "cvt.rz.relu.bf16.f32", "cvt.rn.satfinite.bf16.f32", "cvt.rz.relu.satfinite.bf16.f32"},
          "b16");
    unary("cvt.tf32.f32", "f32",
          {"cvt.rna.tf32.f32", "cvt.rna.satfinite.tf32.f32", "cvt.rn.tf32.f32", "cvt.rz.tf32.f32",
           "cvt.rn.relu.tf32.f32", "cvt.rz.relu.tf32.f32"},
          "b32");
}

void add_packed(Forms& forms) {
    for (const char* type : {"f16x2", "bf16x2"}) {
        std::vector<std::string> opcodes;
        for (const char* rounding : {"rn", "rz"}) {
            for (const char* modifier : {"", ".relu", ".satfinite", ".relu.satfinite"})
                opcodes.push_back(fmt::format("cvt.{}{}.{}.f32", rounding, modifier, type));
        }
        forms.add_all(fmt::format("cvt.{}.f32", type), opcodes, "f32 f32", "b32");
    }
    for (const char* type : {"e4m3x2", "e5m2x2"}) {
        const std::vector<std::string> narrow = {fmt::format("cvt.rn.satfinite.{}", type),
                                                 fmt::format("cvt.rn.satfinite.relu.{}", type)};
        forms.add_all(fmt::format("cvt.{}.f32", type), {narrow[0] + ".f32", narrow[1] + ".f32"}, "f32 f32",
                      "b16");
        forms.add_all(fmt::format("cvt.{}.f16x2", type), {narrow[0] + ".f16x2", narrow[1] + ".f16x2"},
                      "f16x2", "b16");
        // Every f16, in the lower half.
        forms.add_all(fmt::format("cvt.{}.f16x2 of all f16", type), {narrow[0] + ".f16x2"}, "x16w", "b16")
            .with_vectors(kAll16);
        forms
            .add_all(fmt::format("cvt.f16x2.{}", type),
                     {fmt::format("cvt.rn.f16x2.{}", type), fmt::format("cvt.rn.relu.f16x2.{}", type)}, "x16",
                     "b32")
            .with_vectors(kAll16);
    }
    Statements pairs;
    for (const char* type : {"u16", "s16"})
        pairs.add(fmt::format("cvt.pack.sat.{}.s32", type), "b32", "%i0, %i1");
    for (const char* type : {"u8", "s8", "u4", "s4", "u2", "s2"})
        pairs.add(fmt::format("cvt.pack.sat.{}.s32.b32", type), "b32", "%i0, %i1, %i2");
    forms.add("cvt.pack.sat", "i32 i32 i32 >" + pairs.results, pairs.body);
}

}  // namespace

void add_convert_forms(Forms& forms) {
    add_integer_to_integer(forms);
    add_integer_to_float(forms);
    add_float_to_integer(forms);
    add_float_to_float(forms);
    add_packed(forms);
}

}  // namespace warpwright::words
