// SPDX-License-Identifier: Apache-2.0
// What the parser makes of each construct. Mistakes are in parse_error_test.cpp.
#include <bit>
#include <cstring>

#include <gtest/gtest.h>
#include "emulator/parse/module.h"

namespace warpwright::emulator {
namespace {

const std::string kHeader = ".version 9.0\n.target sm_90a\n.address_size 64\n";

Module parsed(const std::string& text) {
    Result<Module> module = parse(kHeader + text);
    EXPECT_TRUE(module.ok()) << module.status().message();
    return module.ok() ? std::move(*module) : Module();
}

// The entry "k", with a few registers declared: %p0..7 are registers 0..7, then 8 each of the others.
constexpr int kP = 0, kR = 8, kRd = 16, kF = 24;
Function parsed_body(const std::string& body, const std::string& before = "") {
    const Module module =
        parsed(before + ".visible .entry k(.param .u64 a, .param .align 8 .b8 b[64])\n{\n" +
               ".reg .pred %p<8>; .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .f32 %f<8>;\n" + body + "\n}\n");
    return module.functions.empty() ? Function() : module.functions.back();
}

Statement parsed_statement(const std::string& text, const std::string& before = "") {
    const Function function = parsed_body(text, before);
    EXPECT_EQ(function.statements.size(), 1u) << text;
    return function.statements.empty() ? Statement() : function.statements.at(0);
}

Operand parsed_operand(const std::string& text, const std::string& before = "") {
    const Statement statement = parsed_statement("mov.b32 %r0, " + text + ";", before);
    EXPECT_EQ(statement.operands.size(), 2u) << text;
    return statement.operands.size() == 2 ? statement.operands[1] : Operand();
}

template <class T>
std::vector<T> initial_as(const Variable& variable) {
    std::vector<T> values(variable.initial.size() / sizeof(T));
    std::memcpy(values.data(), variable.initial.data(), values.size() * sizeof(T));
    return values;
}

using Kind = Operand::Kind;

// --- types ------------------------------------------------------------------------------------------------

TEST(ParseTypes, NamesAndFactsAgree) {
    for (int i = 1; i <= static_cast<int>(Type::b1); ++i) {
        const Type type = static_cast<Type>(i);
        EXPECT_EQ(type_named(facts_of(type).name), type) << facts_of(type).name;
        EXPECT_GT(facts_of(type).bits, 0) << facts_of(type).name;
    }
    EXPECT_EQ(type_named("b129"), Type::none);
    EXPECT_EQ(type_named("f3"), Type::none);
    EXPECT_EQ(type_named(""), Type::none);
}

TEST(ParseTypes, Facts) {
    EXPECT_EQ(facts_of(Type::pred).bits, 1);
    EXPECT_EQ(facts_of(Type::b128).bits, 128);
    EXPECT_EQ(facts_of(type_named("bf16x2")).bits, 32);
    EXPECT_TRUE(facts_of(type_named("bf16x2")).is_float);
    EXPECT_EQ(facts_of(type_named("e2m1x2")).bits, 8);   // two in a byte
    EXPECT_EQ(facts_of(type_named("e3m2x4")).bits, 32);  // each in a byte of its own
    EXPECT_EQ(facts_of(type_named("e2m1x4")).bits, 16);
    EXPECT_TRUE(facts_of(type_named("s8")).is_signed);
    EXPECT_FALSE(facts_of(type_named("u64")).is_signed);
    EXPECT_FALSE(facts_of(type_named("b32")).is_float);
}

// --- module -----------------------------------------------------------------------------------------------

TEST(ParseModule, Header) {
    const Result<Module> module =
        parse("// made by hand\n.version 8.7 /* two\nlines */ .target sm_120f, texmode_independent, debug\n");
    ASSERT_TRUE(module.ok()) << module.status().message();
    EXPECT_EQ(module->version_major, 8);
    EXPECT_EQ(module->version_minor, 7);
    EXPECT_EQ(module->target, "sm_120f");
    EXPECT_EQ(module->address_size, 64);
}

TEST(ParseModule, TrailingZerosOfAString) {
    EXPECT_TRUE(parse(kHeader + std::string(3, '\0')).ok());
}

TEST(ParseModule, SkipsPragmasAndSections) {
    const Module module = parsed(R"(
.pragma "nounroll", "one more";
.section .debug_str
{
$info:
.b8 95,90,53,0
.b64 $info, .debug_abbrev
{ }
}
.global .b32 x;
)");
    ASSERT_EQ(module.variables.size(), 1u);
    EXPECT_EQ(module.variables.at(0).line, 13);
}

TEST(ParseModule, Linkage) {
    const Module module = parsed(R"(
.extern .shared .align 128 .b8 dynamic[];
.visible .const .f32 c = 0f3F800000;
.weak .global .b32 w, v;
.common .global .b32 x;
.shared .align 8 .b8 s[16];
)");
    ASSERT_EQ(module.variables.size(), 6u);
    const Variable& dynamic = module.variables.at(0);
    EXPECT_EQ(dynamic.name, "dynamic");
    EXPECT_EQ(dynamic.space, Space::shared);
    EXPECT_EQ(dynamic.alignment, 128);
    EXPECT_EQ(dynamic.bytes, 0u);
    EXPECT_TRUE(dynamic.is_extern);
    EXPECT_EQ(module.variables.at(1).space, Space::constant);
    EXPECT_EQ(module.variables.at(3).name, "v");
    EXPECT_FALSE(module.variables.at(3).is_extern);
    EXPECT_TRUE(module.variables.at(3).initial.empty());
    EXPECT_EQ(module.variables.at(5).bytes, 16u);
}

TEST(ParseModule, ADefinitionReplacesItsDeclaration) {
    const Module module = parsed(R"(
.extern .global .b32 x;
.visible .global .b32 x = 7;
.func f(.param .b32 a);
.func g { call f, (1); ret; }
.func f(.param .b32 a) { ret; }
)");
    ASSERT_EQ(module.variables.size(), 1u);
    EXPECT_FALSE(module.variables.at(0).is_extern);
    EXPECT_EQ(initial_as<u32>(module.variables.at(0)), (std::vector<u32>{7}));
    ASSERT_EQ(module.functions.size(), 2u);
    EXPECT_EQ(module.functions.at(0).name, "f");
    EXPECT_FALSE(module.functions.at(0).is_declaration);
    EXPECT_EQ(module.functions.at(0).statements.size(), 1u);
}

// --- variables --------------------------------------------------------------------------------------------

TEST(ParseVariables, SizesAndAlignments) {
    const Module module = parsed(R"(
.global .b8 a;
.global .v4 .f32 b;
.global .align 2 .b32 c[3][5];
.global .v2 .u16 d[2];
.global .b128 e;
)");
    const u64 bytes[] = {1, 16, 60, 8, 16};
    const int alignments[] = {1, 16, 2, 4, 16};
    ASSERT_EQ(module.variables.size(), 5u);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(module.variables.at(i).bytes, bytes[i]) << i;
        EXPECT_EQ(module.variables.at(i).alignment, alignments[i]) << i;
    }
    EXPECT_EQ(module.variables.at(1).vector, 4);
    EXPECT_EQ(module.variables.at(1).type, Type::f32);
}

TEST(ParseVariables, IntegersAreCutToTheirType) {
    const Module module = parsed(
        ".global .b8 a[6] = {255, -1, 0x1ff, 017, 0b101, 7U};\n"
        ".global .s64 b = -9223372036854775808;\n"
        ".global .u64 c = 0xFFFFFFFFFFFFFFFFU;\n");
    EXPECT_EQ(initial_as<u8>(module.variables.at(0)), (std::vector<u8>{255, 255, 255, 15, 5, 7}));
    EXPECT_EQ(initial_as<u64>(module.variables.at(1)), (std::vector<u64>{1ull << 63}));
    EXPECT_EQ(initial_as<u64>(module.variables.at(2)), (std::vector<u64>{~0ull}));
}

TEST(ParseVariables, Reals) {
    const Module module = parsed(
        ".global .f32 a[6] = {0f3F800000, 0d4000000000000000, 1.5, -2., 25e-1, 0fFF800001};\n"
        ".global .f64 b[3] = {0f3F800000, 0d4000000000000000, -1e300};\n"
        ".global .b32 c[2] = {1.5, 1};\n"
        ".global .b64 d = 0.5;\n");
    const std::vector<u32> a = initial_as<u32>(module.variables.at(0));
    ASSERT_EQ(a.size(), 6u);
    const float expected[] = {1, 2, 1.5, -2, 2.5};
    for (int i = 0; i < 5; ++i) EXPECT_EQ(std::bit_cast<float>(a[i]), expected[i]) << i;
    EXPECT_EQ(a[5], 0xff800001u);  // a signalling NaN keeps its bits
    EXPECT_EQ(initial_as<double>(module.variables.at(1)), (std::vector<double>{1, 2, -1e300}));
    EXPECT_EQ(initial_as<u32>(module.variables.at(2)), (std::vector<u32>{0x3fc00000, 1}));
    EXPECT_EQ(initial_as<double>(module.variables.at(3)), (std::vector<double>{0.5}));
}

TEST(ParseVariables, BracesPerDimensionAndZerosBehind) {
    const Module module = parsed(R"(
.global .b16 a[2][3] = {{1, 2}, {4, 5, 6}};
.global .b16 b[] = {1, 2, 3};
.global .b16 c[][2] = {{1}, {3, 4}, {}};
.global .v2 .b16 d[2] = {{1, 2}, {3, 4}};
.global .v4 .b16 e = {1, 2};
.global .b16 f[4] = {};
)");
    const std::vector<u16> expected[] = {{1, 2, 0, 4, 5, 6}, {1, 2, 3},    {1, 0, 3, 4, 0, 0},
                                         {1, 2, 3, 4},       {1, 2, 0, 0}, {0, 0, 0, 0}};
    ASSERT_EQ(module.variables.size(), 6u);
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(initial_as<u16>(module.variables.at(i)), expected[i]) << i;
        EXPECT_EQ(module.variables.at(i).bytes, expected[i].size() * 2) << i;
    }
}

TEST(ParseVariables, Addresses) {
    const Module module = parsed(R"(
.global .b32 x;
.const .b32 y;
.func f { ret; }
.global .u64 a[5] = {x, generic(y), x+8, generic(y)+-4, f};
.global .u32 b = x;
.global .u8 c[3] = {1, 0XFF00(generic(x)+2), 0xFF00000000000000(y)};
)");
    const std::vector<Relocation>& a = module.variables.at(2).relocations;
    ASSERT_EQ(a.size(), 5u);
    EXPECT_EQ(a[0].symbol, "x");
    EXPECT_EQ(a[0].offset, 0u);
    EXPECT_EQ(a[0].bytes, 8);
    EXPECT_FALSE(a[0].is_generic);
    EXPECT_EQ(a[1].symbol, "y");
    EXPECT_EQ(a[1].offset, 8u);
    EXPECT_TRUE(a[1].is_generic);
    EXPECT_EQ(a[2].addend, 8);
    EXPECT_EQ(a[3].addend, -4);
    EXPECT_TRUE(a[3].is_generic);
    EXPECT_EQ(a[4].symbol, "f");
    EXPECT_EQ(module.variables.at(3).relocations.at(0).bytes, 4);
    const std::vector<Relocation>& c = module.variables.at(4).relocations;
    ASSERT_EQ(c.size(), 2u);
    EXPECT_EQ(c[0].offset, 1u);
    EXPECT_EQ(c[0].bytes, 1);
    EXPECT_EQ(c[0].shift, 8);
    EXPECT_EQ(c[0].addend, 2);
    EXPECT_EQ(c[1].shift, 56);
    EXPECT_FALSE(c[1].is_generic);
}

// --- functions --------------------------------------------------------------------------------------------

TEST(ParseFunctions, Entry) {
    const Module module = parsed(R"(
.visible .entry k(
    .param .align 64 .b8 map[128],
    .param .u64 .ptr .global .align 16 pointer,
    .param .f32 scale
)
.reqntid 32, 4
.maxntid 128, 1, 1
.minnctapersm 2
.maxnreg 64
.explicitcluster
.reqnctapercluster 2, 1, 1
.maxclusterrank 8
.pragma "nounroll";
{
    ret;
}
)");
    ASSERT_EQ(module.functions.size(), 1u);
    const Function& function = module.functions.at(0);
    EXPECT_TRUE(function.is_entry);
    EXPECT_FALSE(function.is_declaration);
    EXPECT_EQ(function.line, 5);
    ASSERT_EQ(function.parameters.size(), 3u);
    EXPECT_EQ(function.parameters.at(0).name, "map");
    EXPECT_EQ(function.parameters.at(0).bytes, 128u);
    EXPECT_EQ(function.parameters.at(0).alignment, 64);
    EXPECT_EQ(function.parameters.at(0).space, Space::param);
    EXPECT_EQ(function.parameters.at(1).name, "pointer");
    EXPECT_EQ(function.parameters.at(1).alignment, 8);  // the 16 is of what it points to
    EXPECT_EQ(function.parameters.at(2).bytes, 4u);
    EXPECT_EQ(function.required_threads.x, 32u);
    EXPECT_EQ(function.required_threads.y, 4u);
    EXPECT_EQ(function.required_threads.z, 1u);
    EXPECT_EQ(function.max_threads.x, 128u);
    EXPECT_EQ(function.min_blocks_per_sm, 2);
    EXPECT_EQ(function.max_registers, 64);
    EXPECT_TRUE(function.is_explicit_cluster);
    EXPECT_EQ(function.required_cluster.x, 2u);
    EXPECT_EQ(function.max_cluster_rank, 8);
}

TEST(ParseFunctions, Declarations) {
    const Module module = parsed(R"(
.extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e) .noreturn;
.extern .func (.param .b32 result) vprintf(.param .b64 format, .param .b64 args);
.extern .func many(.param .b8 list[]);
)");
    ASSERT_EQ(module.functions.size(), 3u);
    EXPECT_TRUE(module.functions.at(0).is_declaration);
    EXPECT_TRUE(module.functions.at(0).is_noreturn);
    EXPECT_FALSE(module.functions.at(0).is_entry);
    EXPECT_EQ(module.functions.at(0).parameters.size(), 5u);
    ASSERT_EQ(module.functions.at(1).returns.size(), 1u);
    EXPECT_EQ(module.functions.at(1).returns[0].name, "result");
    EXPECT_EQ(module.functions.at(2).parameters[0].bytes, 0u);
}

TEST(ParseFunctions, RegisterParameters) {
    const Module module =
        parsed(".func (.reg .b32 r) twice(.reg .b32 a, .reg .pred p) { add.s32 r, a, a; ret; }");
    ASSERT_EQ(module.functions.size(), 1u);
    const Function& function = module.functions.at(0);
    ASSERT_EQ(function.registers.size(), 3u);
    EXPECT_EQ(function.returns.at(0).name, "r");
    EXPECT_EQ(function.returns.at(0).space, Space::reg);
    EXPECT_EQ(function.parameters.at(1).name, "p");
    EXPECT_EQ(function.registers.at(2).type, Type::pred);
    EXPECT_EQ(function.statements.at(0).operands.at(0).reg, 0);
    EXPECT_EQ(function.statements.at(0).operands.at(2).reg, 1);
}

TEST(ParseFunctions, Calls) {
    const Function function =
        parsed_body(R"(
    {
        .param .b64 param0;
        .param .b32 retval0;
        st.param.b64 [param0], %rd1;
        call.uni (retval0), f, (param0, 4, %r1);
        ld.param.b32 %r1, [retval0];
    }
    call g;
    {
        .param .b64 param0;
        st.param.b64 [param0+0], %rd1;
        call h, (param0);
    }
    ret;
)",
                    ".func (.param .b32 r) f(.param .b64 a, .param .b32 b, .param .b32 c);\n"
                    ".func g; .func h(.param .b64 a);\n");
    ASSERT_EQ(function.statements.size(), 7u);
    const Statement& call = function.statements.at(1);
    EXPECT_EQ(call.opcode, "call");
    EXPECT_EQ(call.modifiers, std::vector<std::string>{"uni"});
    ASSERT_EQ(call.operands.size(), 3u);
    EXPECT_EQ(call.operands[0].kind, Kind::vector);
    EXPECT_EQ(call.operands[0].elements.at(0).symbol, "retval0");
    EXPECT_EQ(call.operands[1].kind, Kind::symbol);
    EXPECT_EQ(call.operands[1].symbol, "f");
    ASSERT_EQ(call.operands[2].elements.size(), 3u);
    EXPECT_EQ(call.operands[2].elements[0].symbol, "param0");
    EXPECT_EQ(call.operands[2].elements[1].integer, 4u);
    EXPECT_EQ(call.operands[2].elements[2].reg, kR + 1);
    EXPECT_EQ(function.statements.at(3).operands.size(), 1u);
    // The second block of parameters is another variable.
    ASSERT_EQ(function.variables.size(), 3u);
    EXPECT_EQ(function.variables.at(0).name, "param0");
    EXPECT_EQ(function.variables.at(2).name, "param0#2");
    EXPECT_EQ(function.statements.at(4).operands[0].symbol, "param0#2");
    EXPECT_EQ(function.statements.at(5).operands[1].elements[0].symbol, "param0#2");
}

TEST(ParseFunctions, AFunctionMayCallItself) {
    EXPECT_EQ(parsed(".func f { call f; ret; }").functions.at(0).statements.at(0).operands.at(0).symbol, "f");
}

TEST(ParseFunctions, SourceLines) {
    // Compilers write the names of files at the end.
    const Module module = parsed(R"(
.visible .entry k()
{
    .reg .b32 %r<2>;
    mov.u32 %r0, 1;
    .loc 1 9 42
    mov.u32 %r0, 2;
    .loc 2 8 40, function_name $L__info_string0, inlined_at 1 9 42
    mov.u32 %r0, 3;
    .loc 7 1 1
    .pragma "nounroll";
    .loc 3 1 0, function_name $L__info_string0+12, inlined_at 2 8 40
    ret;
}
.file 1 "kernel.cu"
.file 2 "inner.cuh", 1700000000, 4096
)");
    const std::vector<Statement>& statements = module.functions.at(0).statements;
    ASSERT_EQ(statements.size(), 4u);
    EXPECT_EQ(statements.at(0).line, 8);
    EXPECT_EQ(statements.at(0).source_file, 0);
    EXPECT_EQ(statements.at(1).source_file, 1);
    EXPECT_EQ(statements.at(1).source_line, 9);
    EXPECT_EQ(statements.at(2).source_file, 2);
    EXPECT_EQ(statements.at(2).source_line, 8);
    EXPECT_EQ(statements.at(3).source_file, 0);  // file 3 has no name
    EXPECT_EQ(module.files, (std::vector<std::string>{"", "kernel.cu", "inner.cuh"}));
}

// --- scopes -----------------------------------------------------------------------------------------------

TEST(ParseScopes, Registers) {
    const Function function = parsed_body(R"(
    .reg .b16 one, %q<2>, two;
    { .reg .b16 tmp; mov.b32 {tmp, one}, %r1; }
    { .reg .b64 tmp; mov.b64 tmp, %rd1;
        { .reg .f32 %r<2>; mov.f32 %r1, %f1; mov.u32 %r2, 1; }
      mov.u32 %r1, 1; }
)");
    EXPECT_EQ(function.registers.size(), 32u + 4 + 1 + 1 + 2);
    const std::vector<Statement>& statements = function.statements;
    ASSERT_EQ(statements.size(), 5u);
    const auto name = [&](int statement) {
        const Operand& operand = statements.at(statement).operands[0];
        return function.registers.at(operand.kind == Kind::vector ? operand.elements[0].reg : operand.reg)
            .name;
    };
    EXPECT_EQ(name(0), "tmp");
    EXPECT_EQ(name(1), "tmp#2");
    EXPECT_EQ(name(2), "%r1#2");  // hides the outer one
    EXPECT_EQ(function.registers[statements.at(2).operands[0].reg].type, Type::f32);
    EXPECT_EQ(name(3), "%r2");  // the inner range ends before it
    EXPECT_EQ(name(4), "%r1");  // visible again
    EXPECT_EQ(function.registers.at(32).name, "one");
    EXPECT_EQ(function.registers.at(34).name, "%q1");
    EXPECT_EQ(function.registers.at(35).name, "two");
}

TEST(ParseScopes, LabelsOfOneNameInManyScopes) {
    const Function function = parsed_body(R"(
    {
        .reg .pred P1;
        LAB_WAIT:
        mbarrier.try_wait.parity.shared::cta.b64 P1, [%r1], %r2;
        @P1 bra DONE;
        bra LAB_WAIT;
        DONE:
    }
    {
        .reg .pred P1;
        LAB_WAIT: mbarrier.try_wait.parity.shared::cta.b64 P1, [%r1], %r2;
        @P1 bra DONE; bra LAB_WAIT; DONE:
    }
    ret;
)");
    ASSERT_EQ(function.labels.size(), 4u);
    EXPECT_EQ(function.labels.at(0).name, "LAB_WAIT");
    EXPECT_EQ(function.labels.at(2).name, "LAB_WAIT#2");
    const std::vector<Statement>& statements = function.statements;
    ASSERT_EQ(statements.size(), 7u);
    const int targets[] = {-1, 3, 0, -1, 6, 3};  // by statement
    for (int i = 0; i < 6; ++i) {
        if (targets[i] < 0) continue;
        ASSERT_EQ(statements.at(i).operands.size(), 1u);
        EXPECT_EQ(statements.at(i).operands[0].kind, Kind::label);
        EXPECT_EQ(function.labels[statements.at(i).operands[0].label].statement, targets[i]) << i;
    }
    EXPECT_EQ(function.registers.at(statements[4].guard.reg).name, "P1#2");
}

TEST(ParseScopes, ALabelMayBeDeclaredLaterOutside) {
    const Function function = parsed_body(R"(
    { { bra out; } bra in; in: bra out; }
    { bra in; }
in: out:
)");
    ASSERT_EQ(function.statements.size(), 4u);
    const auto target = [&](int i) {
        return function.labels[function.statements.at(i).operands[0].label].name;
    };
    EXPECT_EQ(target(0), "out");
    EXPECT_EQ(target(1), "in");  // the nearer one
    EXPECT_EQ(target(2), "out");
    EXPECT_EQ(target(3), "in#2");  // the inner scope is closed: the one of the function
    EXPECT_EQ(function.labels.at(1).statement, 4);
}

TEST(ParseScopes, ALabelDeclaredLaterHidesAnOuterOneEverywhereInItsScope) {
    const Function function = parsed_body("L: ret; { bra L; ret; L: ret; } bra L;");
    EXPECT_EQ(function.labels.at(function.statements.at(1).operands[0].label).statement, 3);
    EXPECT_EQ(function.labels.at(function.statements.at(4).operands[0].label).statement, 0);
}

TEST(ParseScopes, ABranchTargetIsALabelEvenWhereARegisterHasItsName) {
    const Function function = parsed_body(".reg .b32 L; { L: bra L; }");
    EXPECT_EQ(function.statements.at(0).operands.at(0).kind, Kind::label);
    EXPECT_EQ(function.labels.at(0).statement, 0);
}

TEST(ParseScopes, VariablesHideSymbolsOfTheModule) {
    const Function function = parsed_body(R"(
    mov.u32 %r1, s;
    .shared .align 16 .b8 s[32];
    .local .b32 depot;
    mov.u32 %r1, s;
    { .shared .b32 s; mov.u32 %r1, s; }
    mov.u32 %r1, s;
    mov.b64 %rd1, a;
)",
                                          ".shared .b32 s;\n");
    ASSERT_EQ(function.variables.size(), 3u);
    EXPECT_EQ(function.variables.at(0).name, "s#2");
    EXPECT_EQ(function.variables.at(0).bytes, 32u);
    EXPECT_EQ(function.variables.at(1).space, Space::local);
    EXPECT_EQ(function.variables.at(2).name, "s#3");
    const char* const symbols[] = {"s", "s#2", "s#3", "s#2", "a"};
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(function.statements.at(i).operands.at(1).kind, Kind::symbol) << i;
        EXPECT_EQ(function.statements.at(i).operands.at(1).symbol, symbols[i]) << i;
    }
}

TEST(ParseScopes, NamesOfOneFunctionAreNotOfTheNext) {
    const Module module = parsed(
        ".func f { .reg .b32 x; .shared .b32 s; L: bra L; }\n"
        ".func g { .reg .b64 x; .shared .b64 s; L: bra L; }\n");
    ASSERT_EQ(module.functions.size(), 2u);
    EXPECT_EQ(module.functions.at(1).registers.at(0).name, "x");
    EXPECT_EQ(module.functions.at(1).variables.at(0).name, "s");
    EXPECT_EQ(module.functions.at(1).labels.at(0).name, "L");
}

// --- statements -------------------------------------------------------------------------------------------

TEST(ParseStatements, ModifiersKeepTheirOrder) {
    const Statement load =
        parsed_statement("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%r0, %r1, %r2, %r3}, [%rd1];");
    EXPECT_EQ(load.opcode, "ld");
    EXPECT_EQ(load.modifiers,
              (std::vector<std::string>{"global", "nc", "L1::no_allocate", "L2::128B", "v4", "u32"}));
    const Statement copy = parsed_statement(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r1], [%rd1, "
        "{%r2, %r3}], "
        "[%r4];");
    EXPECT_EQ(copy.modifiers, (std::vector<std::string>{"async", "bulk", "tensor", "2d", "shared::cluster",
                                                        "global", "tile", "mbarrier::complete_tx::bytes"}));
}

TEST(ParseStatements, SeveralOnOneLineAndOneOnSeveral) {
    const Function function = parsed_body("A: B: @%p1 mov.u32 %r1, 1; @ ! %p2 mov.u32 %r2,\n 2; C: { ret; }");
    ASSERT_EQ(function.statements.size(), 3u);
    EXPECT_EQ(function.statements.at(0).guard.reg, kP + 1);
    EXPECT_FALSE(function.statements.at(0).guard.negated);
    EXPECT_EQ(function.statements.at(1).guard.reg, kP + 2);
    EXPECT_TRUE(function.statements.at(1).guard.negated);
    EXPECT_EQ(function.statements.at(2).guard.reg, -1);
    EXPECT_EQ(function.statements.at(2).line, function.statements.at(0).line + 1);
    EXPECT_EQ(function.labels.at(1).statement, 0);
    EXPECT_EQ(function.labels.at(2).statement, 2);
}

TEST(ParseOperands, Integers) {
    const std::pair<const char*, u64> literals[] = {{"0", 0},          {"42", 42},
                                                    {"42U", 42},       {"-1", ~0ull},
                                                    {"0x1F", 31},      {"0XffU", 255},
                                                    {"017", 15},       {"0b1011", 11},
                                                    {"- 3", 0ull - 3}, {"--3", 3},
                                                    {"+3", 3},         {"0xffffffffffffffff", ~0ull},
                                                    {"00", 0},         {"-9223372036854775808", 1ull << 63}};
    for (const auto& [text, value] : literals) {
        const Operand operand = parsed_operand(text);
        EXPECT_EQ(operand.kind, Kind::integer) << text;
        EXPECT_EQ(operand.integer, value) << text;
    }
}

TEST(ParseOperands, Reals) {
    EXPECT_EQ(parsed_operand("0f3F800000").kind, Kind::real32);
    EXPECT_EQ(parsed_operand("0F3f800000").integer, 0x3f800000u);
    const std::pair<const char*, double> literals[] = {{"1.5", 1.5},
                                                       {"-1.5", -1.5},
                                                       {"2.", 2},
                                                       {"1e5", 1e5},
                                                       {"1.25E-3", 1.25e-3},
                                                       {"1e+2", 100},
                                                       {"0d3FF0000000000000", 1},
                                                       {"-0d3FF0000000000000", -1},
                                                       {"0.0", 0},
                                                       {"00.5", 0.5},
                                                       {"0e0", 0}};
    for (const auto& [text, value] : literals) {
        const Operand operand = parsed_operand(text);
        EXPECT_EQ(operand.kind, Kind::real) << text;
        EXPECT_EQ(operand.real, value) << text;
        EXPECT_EQ(operand.integer, std::bit_cast<u64>(value)) << text;
    }
}

TEST(ParseOperands, Registers) {
    EXPECT_EQ(parsed_operand("%r3").reg, kR + 3);
    const Statement statement = parsed_statement("selp.b32 %r1, %r2, 3, !%p4;");
    EXPECT_FALSE(statement.operands.at(1).negated);
    EXPECT_EQ(statement.operands.at(3).kind, Kind::reg);
    EXPECT_EQ(statement.operands.at(3).reg, kP + 4);
    EXPECT_TRUE(statement.operands.at(3).negated);
}

TEST(ParseOperands, SpecialRegisters) {
    for (const char* name : {"%tid.x", "%ctaid.z", "%laneid", "WARP_SZ", "%lanemask_lt", "%clock64",
                             "%envreg31", "%cluster_ctaid.y", "%dynamic_smem_size", "%globaltimer", "%tid"}) {
        const Operand operand = parsed_operand(name);
        EXPECT_EQ(operand.kind, Kind::special) << name;
        EXPECT_EQ(operand.symbol, name);
    }
    EXPECT_EQ(parsed_operand("%tid .y").symbol, "%tid.y");
    // A declared register comes first.
    EXPECT_EQ(parsed_body(".reg .b32 %laneid; mov.u32 %r1, %laneid;").statements.at(0).operands.at(1).kind,
              Kind::reg);
}

TEST(ParseOperands, Symbols) {
    const Operand plain = parsed_operand("b");
    EXPECT_EQ(plain.kind, Kind::symbol);
    EXPECT_EQ(plain.symbol, "b");
    EXPECT_EQ(plain.offset, 0);
    EXPECT_EQ(parsed_operand("b+8").offset, 8);
    EXPECT_EQ(parsed_operand("table+0x10", ".global .b8 table[32];\n").symbol, "table");
    EXPECT_EQ(parsed_operand("f", ".func f;\n").symbol, "f");
}

TEST(ParseOperands, Addresses) {
    struct Case {
        const char* text;
        int reg;
        const char* symbol;
        i64 offset;
    };
    const Case cases[] = {{"[%rd1]", kRd + 1, "", 0},
                          {"[%rd1+16]", kRd + 1, "", 16},
                          {"[%rd1 + -16]", kRd + 1, "", -16},
                          {"[%rd1-16]", kRd + 1, "", -16},
                          {"[%rd1+4+8]", kRd + 1, "", 12},
                          {"[b]", -1, "b", 0},
                          {"[b+136]", -1, "b", 136},
                          {"[b+-8]", -1, "b", -8},
                          {"[64]", -1, "", 64},
                          {"[-64]", -1, "", -64},
                          {"[0xffffffffffffffff]", -1, "", -1}};
    for (const Case& expected : cases) {
        const Operand operand = parsed_operand(expected.text);
        EXPECT_EQ(operand.kind, Kind::address) << expected.text;
        EXPECT_EQ(operand.reg, expected.reg) << expected.text;
        EXPECT_EQ(operand.symbol, expected.symbol) << expected.text;
        EXPECT_EQ(operand.offset, expected.offset) << expected.text;
        EXPECT_TRUE(operand.elements.empty()) << expected.text;
    }
}

TEST(ParseOperands, TensorAddresses) {
    const Operand operand = parsed_operand("[%rd1, {%r1, %r2, 0}]");
    EXPECT_EQ(operand.kind, Kind::address);
    EXPECT_EQ(operand.reg, kRd + 1);
    ASSERT_EQ(operand.elements.size(), 1u);
    EXPECT_EQ(operand.elements[0].kind, Kind::vector);
    ASSERT_EQ(operand.elements[0].elements.size(), 3u);
    EXPECT_EQ(operand.elements[0].elements[1].reg, kR + 2);
    EXPECT_EQ(operand.elements[0].elements[2].kind, Kind::integer);
}

TEST(ParseOperands, VectorsSinksAndPairs) {
    const Operand vector = parsed_operand("{%r1, _, -1, {%r2}}");
    EXPECT_EQ(vector.kind, Kind::vector);
    ASSERT_EQ(vector.elements.size(), 4u);
    EXPECT_EQ(vector.elements[0].reg, kR + 1);
    EXPECT_EQ(vector.elements[1].kind, Kind::sink);
    EXPECT_EQ(vector.elements[2].integer, ~0ull);
    EXPECT_EQ(vector.elements[3].elements.at(0).reg, kR + 2);
    EXPECT_TRUE(parsed_operand("{}").elements.empty());

    const Operand pair = parsed_statement("shfl.sync.down.b32 %r1|%p2, %r3, 1, 31, -1;").operands.at(0);
    EXPECT_EQ(pair.kind, Kind::pair);
    ASSERT_EQ(pair.elements.size(), 2u);
    EXPECT_EQ(pair.elements[0].reg, kR + 1);
    EXPECT_EQ(pair.elements[1].reg, kP + 2);
    const Operand sink = parsed_statement("elect.sync _ | %p1, -1;").operands.at(0);
    EXPECT_EQ(sink.elements.at(0).kind, Kind::sink);
    EXPECT_EQ(sink.elements.at(1).reg, kP + 1);
}

TEST(ParseOperands, VectorRegisters) {
    const Function function = parsed_body(R"(
    .reg .v4 .f32 v; .reg .v2 .b32 w<2>;
    st.global.v4.f32 [%rd1], v;
    mov.f32 v.y, 0f00000000;
    mov.b32 %r1, w1.x;
)");
    ASSERT_EQ(function.registers.size(), 32u + 4 + 4);
    EXPECT_EQ(function.registers.at(33).name, "v.y");
    EXPECT_EQ(function.registers.at(38).name, "w1.x");
    const Operand& all = function.statements.at(0).operands.at(1);
    EXPECT_EQ(all.kind, Kind::vector);
    ASSERT_EQ(all.elements.size(), 4u);
    EXPECT_EQ(all.elements[3].reg, 35);
    EXPECT_EQ(function.statements.at(1).operands.at(0).reg, 33);
    EXPECT_EQ(function.statements.at(2).operands.at(1).reg, 38);
}

TEST(ParseOperands, WideRegisters) {
    const Function function = parsed_body(".reg .b128 handle; ld.shared.b128 handle, [%r1];");
    EXPECT_EQ(function.registers.back().type, Type::b128);
}

}  // namespace
}  // namespace warpwright::emulator
