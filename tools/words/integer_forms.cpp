// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic, PTX ISA 9.7.1 and 9.7.2.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

struct IntegerType {
    std::string name, kind, divisor, result, wide_result;
    bool is_signed;
};
const IntegerType kTypes[] = {
    {"u16", "i16", "n16", "b16", "b32", false}, {"s16", "i16", "n16", "b16", "b32", true},
    {"u32", "i32", "n32", "b32", "b64", false}, {"s32", "i32", "n32", "b32", "b64", true},
    {"u64", "i64", "n64", "b64", "", false},    {"s64", "i64", "n64", "b64", "", true},
};

void add_of_type(Forms& forms, const IntegerType& type) {
    const std::string& t = type.name;
    const std::string two = type.kind + " " + type.kind;
    const std::string three = two + " " + type.kind;
    forms.add_all("add sub." + t, {"add." + t, "sub." + t}, two, type.result);
    forms.add_all("mul.{lo,hi}." + t, {"mul.lo." + t, "mul.hi." + t}, two, type.result);
    forms.add_all("mad.{lo,hi}." + t, {"mad.lo." + t, "mad.hi." + t}, three, type.result);
    if (!type.wide_result.empty()) {
        forms.add("mul.wide." + t, two + " > " + type.wide_result);
        forms.add("mad.wide." + t, fmt::format("{} {} > {}", two, type.wide_result, type.wide_result));
    }
    forms.add("sad." + t, three + " > " + type.result);
    forms.add_all("div rem." + t, {"div." + t, "rem." + t}, type.kind + " " + type.divisor, type.result);
    forms.add_all("min max." + t, {"min." + t, "max." + t}, two, type.result);
    if (type.is_signed) forms.add_all("abs neg." + t, {"abs." + t, "neg." + t}, type.kind, type.result);
}

void add_bits(Forms& forms) {
    for (const char* type : {"b32", "b64"}) {
        const std::string kind = type == std::string("b32") ? "i32" : "i64";
        forms.add_all(fmt::format("popc clz.{}", type),
                      {fmt::format("popc.{}", type), fmt::format("clz.{}", type)}, kind, "b32");
        forms.add(fmt::format("brev.{}", type), fmt::format("{} > {}", kind, type));
        forms.add(fmt::format("bfi.{}", type), fmt::format("{} {} bits bits > {}", kind, kind, type));
    }
    for (const char* type : {"u32", "s32", "u64", "s64"}) {
        const std::string kind = type[1] == '3' ? "i32" : "i64";
        const std::string result = type[1] == '3' ? "b32" : "b64";
        forms.add_all(fmt::format("bfind{{,.shiftamt}}.{}", type),
                      {fmt::format("bfind.{}", type), fmt::format("bfind.shiftamt.{}", type)}, kind, "b32");
        forms.add(fmt::format("bfe.{}", type), fmt::format("{} bits bits > {}", kind, result));
    }
    forms.add("fns.b32", "i32 lane lane > b32 b32",
              "sub.s32 %r0, %i2, 15;\n"
              "fns.b32 %o0, %i0, %i1, %r0;\n"
              "fns.b32 %o1, %i0, 0, 1;\n");
    forms.add_all("bmsk.{clamp,wrap}.b32", {"bmsk.clamp.b32", "bmsk.wrap.b32"}, "bits bits", "b32");
    forms.add_all("szext.{clamp,wrap}.{u32,s32}",
                  {"szext.clamp.u32", "szext.wrap.u32", "szext.clamp.s32", "szext.wrap.s32"}, "i32 bits",
                  "b32");
}

}  // namespace

void add_integer_forms(Forms& forms) {
    for (const IntegerType& type : kTypes) add_of_type(forms, type);
    forms.add_all("add.sat sub.sat.s32", {"add.sat.s32", "sub.sat.s32"}, "i32 i32", "b32");
    forms.add_all("add.{u16x2,s16x2}", {"add.u16x2", "add.s16x2"}, "i16x2 i16x2", "b32");
    forms.add_all("min max.{u16x2,s16x2}{,.relu}",
                  {"min.u16x2", "max.u16x2", "min.s16x2", "max.s16x2", "min.relu.s16x2", "max.relu.s16x2"},
                  "i16x2 i16x2", "b32");
    forms.add_all("min.relu max.relu.s32", {"min.relu.s32", "max.relu.s32"}, "i32 i32", "b32");
    forms.add("mad.hi.sat.s32", "i32 i32 i32 > b32");
    forms.add_all("mul24.{lo,hi}.{u32,s32}", {"mul24.lo.u32", "mul24.hi.u32", "mul24.lo.s32", "mul24.hi.s32"},
                  "i32 i32", "b32");
    forms.add_all("mad24.{lo,hi}.{u32,s32}",
                  {"mad24.lo.u32", "mad24.hi.u32", "mad24.lo.s32", "mad24.hi.s32", "mad24.hi.sat.s32"},
                  "i32 i32 i32", "b32");
    forms.add_all("dp4a.{u32,s32}.{u32,s32}",
                  {"dp4a.u32.u32", "dp4a.u32.s32", "dp4a.s32.u32", "dp4a.s32.s32"}, "i32 i32 i32", "b32");
    for (const char* half : {"lo", "hi"}) {
        std::vector<std::string> opcodes;
        for (const char* types : {"u32.u32", "u32.s32", "s32.u32", "s32.s32"})
            opcodes.push_back(fmt::format("dp2a.{}.{}", half, types));
        forms.add_all(fmt::format("dp2a.{}.{{u32,s32}}.{{u32,s32}}", half), opcodes, "i32 i32 i32", "b32");
    }
    add_bits(forms);

    // Carry chains: sums of 96 and 192 bits, products of 64 x 64 bits.
    for (const char* type : {"u32", "s32", "u64", "s64"}) {
        const std::string kind = type[1] == '3' ? "i32" : "i64";
        const std::string result = type[1] == '3' ? "b32" : "b64";
        for (const char* operation : {"add", "sub"}) {
            forms.add(fmt::format("{0}.cc {0}c.cc {0}c.{1}", operation, type),
                      fmt::format("{0} {0} {0} {0} {0} {0} > {1} {1} {1}", kind, result),
                      fmt::format("{0}.cc.{1} %o0, %i0, %i3;\n"
                                  "{0}c.cc.{1} %o1, %i1, %i4;\n"
                                  "{0}c.{1} %o2, %i2, %i5;\n",
                                  operation, type));
        }
        forms.add(fmt::format("mad.cc madc.cc madc.{{lo,hi}}.{}", type),
                  fmt::format("{0} {0} {0} {0} > {1} {1} {1}", kind, result),
                  fmt::format("mad.lo.cc.{0} %o0, %i0, %i1, %i2;\n"
                              "madc.hi.cc.{0} %o1, %i0, %i1, %i3;\n"
                              "madc.lo.{0} %o2, %i2, %i3, %i0;\n",
                              type));
    }
}

}  // namespace warpwright::words
