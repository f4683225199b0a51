// SPDX-License-Identifier: Apache-2.0
// Comparison and selection (PTX ISA 9.7.6, 9.7.7), logic and shifts (9.7.8).
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

struct ComparedType {
    std::string name, kind;
    std::vector<std::string> comparisons;
};

const std::vector<std::string> kEqual = {"eq", "ne"};
const std::vector<std::string> kSigned = {"eq", "ne", "lt", "le", "gt", "ge"};
const std::vector<std::string> kUnsigned = {"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"};
const std::vector<std::string> kFloat = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                         "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

std::vector<ComparedType> compared_types() {
    return {{"b16", "i16", kEqual},    {"b32", "i32", kEqual},     {"b64", "i64", kEqual},
            {"u16", "i16", kUnsigned}, {"u32", "i32", kUnsigned},  {"u64", "i64", kUnsigned},
            {"s16", "i16", kSigned},   {"s32", "i32", kSigned},    {"s64", "i64", kSigned},
            {"f32", "f32", kFloat},    {"ftz.f32", "f32", kFloat}, {"f64", "f64", kFloat},
            {"f16", "f16", kFloat},    {"ftz.f16", "f16", kFloat}, {"bf16", "bf16", kFloat}};
}

// Every comparison of a type in one word, a bit for each.
void add_setp(Forms& forms, const ComparedType& type) {
    std::string body = "mov.b32 %o0, 0;\n";
    for (std::size_t i = 0; i < type.comparisons.size(); ++i) {
        body += fmt::format(
            "setp.{}.{} %p0, %i0, %i1;\n"
            "selp.b32 %r0, {}, 0, %p0;\n"
            "or.b32 %o0, %o0, %r0;\n",
            type.comparisons[i], type.name, 1u << i);
    }
    forms.add("setp." + type.name, fmt::format("{0} {0} > b32", type.kind), body);
}

// Both destinations, and a third operand joined to them.
void add_setp_joined(Forms& forms, const ComparedType& type) {
    std::string signature = fmt::format("{0} {0} pred >", type.kind);
    std::string body;
    int output = 0;
    const auto add = [&](const std::string& modifiers, const std::string& joined) {
        signature += " pred";
        body += fmt::format("setp.{}.{} %o{}", modifiers, type.name, output++);
        // Halves have one destination.
        if (!type.name.ends_with("f16")) {
            signature += " pred";
            body += fmt::format("|%o{}", output++);
        }
        body += fmt::format(", %i0, %i1{};\n", joined);
    };
    const std::string& comparison = type.comparisons[type.comparisons.size() / 2];
    for (const char* join : {"and", "or", "xor"}) {
        for (const char* sign : {"", "!"})
            add(fmt::format("{}.{}", comparison, join), fmt::format(", {}%i2", sign));
    }
    add(type.comparisons[1], "");
    forms.add("setp.{and,or,xor}." + type.name, signature, body);
}

void add_setp_pairs(Forms& forms, const std::string& type, const std::string& kind) {
    std::string body = "mov.b32 %o0, 0;\n";
    for (std::size_t i = 0; i < kFloat.size(); ++i) {
        body += fmt::format(
            "setp.{}.{} %p0|%p1, %i0, %i1;\n"
            "selp.b32 %r0, {}, 0, %p0;\n"
            "selp.b32 %r1, {}, 0, %p1;\n"
            "or.b32 %o0, %o0, %r0;\n"
            "or.b32 %o0, %o0, %r1;\n",
            kFloat[i], type, 1u << i, 1u << (i + 16));
    }
    forms.add("setp." + type, fmt::format("{0} {0} > b32", kind), body);
}

void add_set(Forms& forms, const ComparedType& type) {
    std::vector<std::string> opcodes;
    for (const char* result : {"u32", "s32", "f32"})
        opcodes.push_back(fmt::format("set.{}.{}.{}", type.comparisons.back(), result, type.name));
    // .ftz stands before both types.
    for (std::string& opcode : opcodes) {
        const std::size_t at = opcode.find(".ftz");
        if (at == opcode.npos) continue;
        opcode.erase(at, 4);
        opcode.insert(opcode.find('.', 4), ".ftz");
    }
    forms.add_all("set." + type.name, opcodes, fmt::format("{0} {0}", type.kind), "b32");
    std::string joined = opcodes[0];
    joined.insert(joined.find('.', 4), ".and");
    forms.add("set.and." + type.name, fmt::format("{0} {0} pred > b32", type.kind),
              joined + " %o0, %i0, %i1, !%i2;");
}

void add_selections(Forms& forms) {
    for (const char* type : {"b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"}) {
        const std::string size = std::string(type).substr(1);
        forms.add(fmt::format("selp.{}", type), fmt::format("i{0} i{0} pred > b{0}", size));
        for (const char* by : {"s32", "f32"}) {
            forms.add(fmt::format("slct.{}.{}", type, by),
                      fmt::format("i{0} i{0} {1} > b{0}", size, by[0] == 's' ? "i32" : "f32"));
        }
    }
    forms.add("slct.ftz.b32.f32", "i32 i32 f32 > b32");
}

void add_logic(Forms& forms) {
    for (const char* type : {"b16", "b32", "b64"}) {
        const std::string kind = fmt::format("i{}", type + 1);
        forms.add_all(fmt::format("and or xor.{}", type),
                      {fmt::format("and.{}", type), fmt::format("or.{}", type), fmt::format("xor.{}", type)},
                      kind + " " + kind, type);
        forms.add_all(fmt::format("not cnot.{}", type),
                      {fmt::format("not.{}", type), fmt::format("cnot.{}", type)}, kind, type);
        forms.add(fmt::format("shl.{}", type), fmt::format("{} shift > {}", kind, type));
        forms.add_all(
            fmt::format("shr.{{b,u,s}}{}", type + 1),
            {fmt::format("shr.{}", type), fmt::format("shr.u{}", type + 1), fmt::format("shr.s{}", type + 1)},
            kind + " shift", type);
    }
    forms.add_all("and or xor.pred", {"and.pred", "or.pred", "xor.pred"}, "pred pred", "pred");
    forms.add("not.pred", "pred > pred");
    forms.add("mov.pred", "pred > pred pred", "mov.pred %o0, %i0;\nmov.pred %o1, 1;\n");

    std::string body, signature = "i32 i32 i32 >";
    int output = 0;
    for (const int table :
         {0x00, 0x01, 0x17, 0x2d, 0x3c, 0x53, 0x6a, 0x78, 0x80, 0x96, 0xb8, 0xca, 0xd4, 0xe8, 0xf8, 0xfe}) {
        body += fmt::format("lop3.b32 %o{}, %i0, %i1, %i2, {:#x};\n", output++, table);
        signature += " b32";
    }
    forms.add("lop3.b32", signature, body);
    forms.add("lop3.{or,and}.b32", "i32 i32 i32 pred > b32 pred b32 pred",
              "lop3.or.b32 %o0|%o1, %i0, %i1, %i2, 0x80, %i3;\n"
              "lop3.and.b32 %o2|%o3, %i0, %i1, %i2, 0x96, !%i3;\n");
    forms.add_all("shf.{l,r}.{clamp,wrap}.b32",
                  {"shf.l.clamp.b32", "shf.l.wrap.b32", "shf.r.clamp.b32", "shf.r.wrap.b32"}, "i32 i32 shift",
                  "b32");
}

}  // namespace

void add_compare_forms(Forms& forms) {
    for (const ComparedType& type : compared_types()) {
        add_setp(forms, type);
        add_setp_joined(forms, type);
        if (!type.name.starts_with("b") && type.name.find("16") == std::string::npos) add_set(forms, type);
    }
    add_setp_pairs(forms, "f16x2", "f16x2");
    add_setp_pairs(forms, "ftz.f16x2", "f16x2");
    add_setp_pairs(forms, "bf16x2", "bf16x2");
    for (const char* type : {"f16", "bf16"}) {
        forms.add(fmt::format("set.{}", type), fmt::format("{0} {0} > b16 b16 b32 b32", type),
                  fmt::format("set.lt.{0}.{0} %o0, %i0, %i1;\nset.geu.u16.{0} %o1, %i0, %i1;\n"
                              "set.nan.u32.{0} %o2, %i0, %i1;\nset.eq.s32.{0} %o3, %i0, %i1;\n",
                              type));
        forms.add(fmt::format("set.{}x2", type), fmt::format("{0}x2 {0}x2 > b32", type),
                  fmt::format("set.lt.{0}x2.{0}x2 %o0, %i0, %i1;\n", type));
    }
    add_selections(forms);
    add_logic(forms);
}

}  // namespace warpwright::words
