// SPDX-License-Identifier: Apache-2.0
// What the parser says of mistakes and of what it does not cover, and that no text costs more than its
// length.
#include <algorithm>
#include <ctime>

#include <gtest/gtest.h>
#include "emulator/parse/module.h"

namespace warpwright::emulator {
namespace {

const std::string kHeader = ".version 9.0 .target sm_90a .address_size 64\n";  // line 1

std::string error_of(const std::string& text) {
    const Result<Module> module = parse(kHeader + text);
    if (module.ok()) return "no error";
    EXPECT_EQ(module.status().kind(), ErrorKind::caller);
    return module.status().message();
}

// `body` is line 4.
std::string error_of_body(const std::string& body) {
    return error_of(
        ".visible .entry k(.param .u64 a) {\n"
        ".reg .pred %p<4>; .reg .b32 %r<4>; .reg .b64 %rd<4>;\n" +
        body + "\n}\n");
}

struct Mistake {
    const char* text;
    const char* message;
};

TEST(ParseErrors, Module) {
    EXPECT_EQ(parse("").status().message(), "line 1: expected '.version', got none in the text");
    EXPECT_EQ(parse(".version 9.0").status().message(), "line 1: expected '.target', got none in the text");
    const Mistake mistakes[] = {
        {"hello", "line 2: expected a directive, got 'hello'"},
        {"\n\n.global .b32 x", "line 4: expected ';' after a variable, got the end of the text"},
        {".version 9", "line 2: expected a version, as in '9.0', got '9'"},
        {".version sm_90", "line 2: expected a version, as in '9.0', got 'sm_90'"},
        {".target 90", "line 2: expected a target, as in 'sm_90a', got '90'"},
        {".address_size 32", "line 2: not covered yet: 32-bit addresses"},
        {".address_size 128", "line 2: expected an address size of at most 64, got '128'"},
        {".tex .u64 t;", "line 2: not covered yet: '.tex' in a module"},
        {".alias f, g;", "line 2: not covered yet: '.alias' in a module"},
        {".extern .reg .b32 r;", "line 2: not covered yet: '.reg' in a module"},
        {".visible 4", "line 2: expected a symbol's space, '.entry' or '.func', got '4'"},
        {".file x", "line 2: expected the index of a file, got 'x'"},
        {".file 1 x", "line 2: expected the name of a file, quoted, got 'x'"},
        {".pragma nounroll;", "line 2: expected a pragma, quoted, got 'nounroll'"},
        {".section .debug_info {\n .b8 1 { }",
         "line 3: expected '}' of section '.debug_info' of line 2, got the "
         "end of the text"},
        {"/* never\nclosed", "line 2: the comment opened here is not closed"},
        {".file 1 \"never closed\n\"", "line 2: the string opened here is not closed on its line"},
        {"\x01", "line 2: expected a directive, got '\\x01'"},
        {"#include", "line 2: expected a directive, got '#'"},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
         "line 2: expected a directive, got 'abcdefghijklmnopqrstuvwxyzabcdefghijklmn'..."},
    };
    for (const Mistake& mistake : mistakes)
        EXPECT_EQ(error_of(mistake.text), mistake.message) << mistake.text;
}

TEST(ParseErrors, Variables) {
    const Mistake mistakes[] = {
        {".global x;", "line 2: expected a type, got 'x'"},
        {".global .b32;", "line 2: expected the name of a variable, got ';'"},
        {".global .b32 .u32 x;", "line 2: expected one type, got b32 and u32"},
        {".global .pred x;", "line 2: not covered yet: '.pred' in a .global declaration"},
        {".global .bf16 x;", "line 2: not covered yet: '.bf16' in a .global declaration"},
        {".global .attribute(.managed) .b32 x;",
         "line 2: not covered yet: '.attribute' in a .global declaration"},
        {".global .align 3 .b32 x;", "line 2: expected a power of two as alignment, got 3"},
        {".global .align 0 .b32 x;", "line 2: expected a power of two as alignment, got 0"},
        {".global .align 8192 .b32 x;", "line 2: expected an alignment of at most 4096, got '8192'"},
        {".global .b32 x[0];", "line 2: expected at least 1 element, got 0"},
        {".global .b32 x[];", "line 2: expected a number of elements for 'x', got '[]'"},
        {".global .b32 x[2][];", "line 2: expected a number of elements, got ']'"},
        {".global .b32 x[-1];", "line 2: expected a number of elements, got '-'"},
        {".global .b32 x[4;", "line 2: expected ']' after a number of elements, got ';'"},
        {".global .b32 x;\n.const .b32 x;", "line 3: 'x' is already declared in line 2"},
        {".func x;\n.const .b32 x;", "line 3: 'x' is already declared in line 2"},
        {".shared .b32 x = 1;", "line 2: 'x' has an initial value, which .shared variables have not"},
        {".extern .global .b32 x = 1;", "line 2: 'x' has an initial value, which .extern variables have not"},
        {".global .b32 x = ;", "line 2: expected a value of type b32, got ';'"},
        {".global .b32 x = 0x;", "line 2: expected a value of type b32, got '0x'"},
        {".global .b32 x = {1};", "line 2: expected a value of type b32, got '{'"},
        {".global .b32 x[2] = 1;", "line 2: expected '{' of an initialiser, got '1'"},
        {".global .b32 x[2] = {1, 2, 3};",
         "line 2: expected '}': the variable has no room for more values, got '3'"},
        {".global .b32 x[2][2] = {1, 2};", "line 2: expected '{' of an initialiser, got '1'"},
        {".global .b32 x[2] = {1, };", "line 2: expected a value of type b32, got '}'"},
        {".global .b32 x[2] = {1 2};", "line 2: expected '}' or ',' in an initialiser, got '2'"},
        {".global .f32 x = 1;", "line 2: expected a value of type f32, got '1'"},
        {".global .u32 x = 1.0;", "line 2: expected a value of type u32, got '1.0'"},
        {".global .b16 x = 0f3F800000;", "line 2: expected a value of type b16, got '0f3F800000'"},
        {".global .f16 x = 1.0;", "line 2: expected a value of type f16, got '1.0'"},
        {".global .b128 x = 1;", "line 2: expected a value of type b128, got '1'"},
        {".global .u64 x = y;", "line 2: 'y' is not declared"},
        {".global .u64 x = x;", "line 2: 'x' is not declared"},
        {".global .b64 x = y;", "line 2: expected a value of type b64, got 'y'"},
        {".shared .b32 s; .global .u64 x = s;",
         "line 2: expected a .global or .const variable or a function, got the .shared variable 's'"},
        {".global .b32 g; .global .u64 x = generic g;", "line 2: expected '(' after 'generic', got 'g'"},
        {".global .b32 g; .global .u64 x = generic(g+4);",
         "line 2: expected ')' after the symbol of 'generic', got '+'"},
        {".global .b32 g; .global .u64 x = g+;", "line 2: expected an offset in bytes, got ';'"},
        {".global .b32 g; .global .u8 x = 0xff0(g);",
         "line 2: expected the mask of one byte, as in '0xff00(symbol)', and type u8"},
        {".global .b32 g; .global .u32 x = 0xff(g);",
         "line 2: expected the mask of one byte, as in '0xff00(symbol)', and type u8"},
        {".global .b32 g; .global .u8 x = 0(g);",
         "line 2: expected the mask of one byte, as in '0xff00(symbol)', and type u8"},
    };
    for (const Mistake& mistake : mistakes)
        EXPECT_EQ(error_of(mistake.text), mistake.message) << mistake.text;
}

TEST(ParseErrors, Functions) {
    const Mistake mistakes[] = {
        {".entry { }", "line 2: expected the name of a function, got '{'"},
        {".entry k(.reg .b32 x) { }", "line 2: expected '.param' of a parameter, got '.reg'"},
        {".entry k(.param .b32) { }", "line 2: expected the name of a variable, got ')'"},
        {".entry k(.param .b32 x { }", "line 2: expected ')' or ',' after a parameter, got '{'"},
        {".entry k(.param .b32 x,\n.param .b32 x) { }", "line 3: 'x' is already declared in line 2"},
        {".func f(.reg .v2 .b32 x) { }", "line 2: not covered yet: a vector register as parameter"},
        {".func f(.reg .align 4 .b32 x) { }", "line 2: not covered yet: '.align' in a .reg declaration"},
        {".entry k() ret;", "line 2: expected '{' or ';' after the signature of 'k', got 'ret'"},
        {".entry k() .maxntid { }", "line 2: expected a number of threads, got '{'"},
        {".entry k() .maxntid 32, 0 { }", "line 2: expected at least 1 thread, got 0"},
        {".entry k() .maxntid 1, 2, 3, 4 { }", "line 2: expected at most 3 numbers, got '4'"},
        {".entry k() .blocksareclusters { }", "line 2: not covered yet: '.blocksareclusters' of a function"},
        {".entry k() {\nret;",
         "line 3: expected an instruction, a directive or '}', got the end of the text"},
        {".entry k() { }\n.entry k() { }", "line 3: 'k' is already declared in line 2"},
        {".entry k() { } }", "line 2: expected a directive, got '}'"},
    };
    for (const Mistake& mistake : mistakes)
        EXPECT_EQ(error_of(mistake.text), mistake.message) << mistake.text;
}

TEST(ParseErrors, Scopes) {
    const Mistake mistakes[] = {
        {"mov.b32 %r9, 1;", "line 4: '%r9' is not declared"},
        {"{ .reg .b32 x; }\nmov.b32 x, 1;", "line 5: 'x' is not declared"},
        {"mov.b32 x, 1;\n.reg .b32 x;", "line 4: 'x' is not declared"},
        {"mov.b32 %r04, 1;", "line 4: '%r04' is not declared"},
        {".reg .b32 %r1;", "line 4: '%r1' is already declared in line 3"},
        {".reg .b64 %r<2>;", "line 4: '%r0' is already declared in line 3"},
        {".reg .b32 x;\nx: ret;", "line 5: 'x' is already declared in line 4"},
        {"L: ret;\nL: ret;", "line 5: 'L' is already declared in line 4"},
        {".reg .b32 %q<2;", "line 4: expected '>' after a number of registers, got ';'"},
        {".reg .b32 %q<x>;", "line 4: expected a number of registers, got 'x'"},
        {".reg .b32 %q %s;", "line 4: expected ';' after a register, got '%s'"},
        {".reg .tf32 x;", "line 4: not covered yet: '.tf32' in a .reg declaration"},
        {"bra L;", "line 4: label 'L' is not declared in this scope or one around it"},
        {"ret;\nbra L; { L: ret; }", "line 5: label 'L' is not declared in this scope or one around it"},
        {"{ bra M; }\n{ M: ret; }", "line 4: label 'M' is not declared in this scope or one around it"},
        {"bra %r1;", "line 4: label '%r1' is not declared in this scope or one around it"},
        {"L: mov.b32 %r1, L;", "line 4: expected an operand, got the label 'L'"},
        {".local .b32 x = 1;", "line 4: 'x' has an initial value, which .local variables have not"},
        {".global .b32 x;", "line 4: not covered yet: '.global' in a function"},
        {"L: .branchtargets A, B;", "line 4: not covered yet: '.branchtargets' in a function"},
        {"L: .calltargets f;", "line 4: not covered yet: '.calltargets' in a function"},
        {"L: .callprototype _ ();", "line 4: not covered yet: '.callprototype' in a function"},
        {".loc 1 2;", "line 4: expected the column of '.loc', got ';'"},
        {".loc 1 2 3, inlined at;", "line 4: expected 'function_name' or 'inlined_at', got 'inlined'"},
    };
    for (const Mistake& mistake : mistakes)
        EXPECT_EQ(error_of_body(mistake.text), mistake.message) << mistake.text;
}

TEST(ParseErrors, Statements) {
    const Mistake mistakes[] = {
        {"mov.b32 %r1 %r2;", "line 4: expected ';' or ',' after an operand, got '%r2'"},
        {"mov.b32 %r1, %r2", "line 5: expected ';' or ',' after an operand, got '}'"},
        {"mov.b32 %r1, ;", "line 4: expected an operand, got ';'"},
        {"mov.b32 %r1, .5;", "line 4: expected an operand, got '.5'"},
        {";", "line 4: expected an instruction, a directive or '}', got ';'"},
        {"ret;;", "line 4: expected an instruction, a directive or '}', got ';'"},
        {"4;", "line 4: expected an instruction, a directive or '}', got '4'"},
        {"@ret;", "line 4: expected a predicate register after '@', got 'ret'"},
        {"@%r1 ret;", "line 4: expected a predicate register after '@', got '%r1'"},
        {"@!4 ret;", "line 4: expected a predicate register after '@', got '4'"},
        {"@%p1 { }", "line 4: expected an instruction after the predicate, got '{'"},
        {"bra {L};", "line 4: expected a label, got '{'"},
        {"bra [L];", "line 4: expected a label, got '['"},
        {"bra 4;", "line 4: expected a label, got '4'"},
        {"bra !L;", "line 4: expected a label, got '!'"},
    };
    for (const Mistake& mistake : mistakes)
        EXPECT_EQ(error_of_body(mistake.text), mistake.message) << mistake.text;
}

TEST(ParseErrors, Operands) {
    const Mistake mistakes[] = {
        {"mov.b32 %r1, 08;", "line 4: expected a number that fits 64 bits, got '08'"},
        {"mov.b32 %r1, 12ab;", "line 4: expected a number that fits 64 bits, got '12ab'"},
        {"mov.b32 %r1, 1u;", "line 4: expected a number that fits 64 bits, got '1u'"},
        {"mov.b32 %r1, 0x1ffffffffffffffff;",
         "line 4: expected a number that fits 64 bits, got '0x1ffffffffffffffff'"},
        {"mov.b32 %r1, 0f3F80000;", "line 4: expected a number that fits 64 bits, got '0f3F80000'"},
        {"mov.b32 %r1, 1.0f;", "line 4: expected a number that fits 64 bits, got '1.0f'"},
        {"mov.b32 %r1, 1e999;", "line 4: expected a number that fits 64 bits, got '1e999'"},
        {"mov.b32 %r1, -%r2;", "line 4: expected a number after the sign, got '%r2'"},
        {"mov.b32 %r1, -0f3F800000;", "line 4: expected no sign before a literal of bits, got '0f3F800000'"},
        {"mov.b32 %r1, !4;", "line 4: not covered yet: a constant expression (operator '!')"},
        {"mov.b32 %r1, ~4;", "line 4: not covered yet: a constant expression (operator '~')"},
        {"mov.b32 %r1, 4+3;", "line 4: not covered yet: a constant expression ('+' after a number)"},
        {"mov.b32 %r1, (4);", "line 4: not covered yet: a constant expression in parentheses"},
        {"mov.b32 %r1, !a;", "line 4: expected a predicate register after '!'"},
        {"mov.b32 %r1, !;", "line 4: expected a name, got ';'"},
        {"mov.b32 %r1, !%r2;", "line 4: expected a predicate register after '!'"},
        {"mov.b32 %r1, %r2.b0;", "line 4: not covered yet: '.b0' of register '%r2'"},
        {"mov.b32 %r1, %wrong;", "line 4: '%wrong' is not declared"},
        {"mov.b32 %r1, a[1];", "line 4: expected ';' or ',' after an operand, got '['"},
        {"mov.b32 %r1, %;", "line 4: expected an operand, got '%'"},
        {"mov.b64 {%r1, %rd1;", "line 4: expected '}' or ',' in a list of operands, got ';'"},
        {"mov.b64 {%r1,}, %rd1;", "line 4: expected an operand, got '}'"},
        {"mov.b32 %r1, (%r2);", "line 4: not covered yet: a constant expression in parentheses"},
        {"setp.eq.s32 %p1|4, %r1, %r2;", "line 4: expected a name, got '4'"},
        {"setp.eq.s32 %p1|a, %r1, %r2;", "line 4: expected a register after '|'"},
        {"setp.eq.s32 a|%p1, %r1, %r2;", "line 4: expected ',' or ';' after an operand, got '|'"},
        {"setp.eq.s32 %p1|%p2|%p3, %r1, %r2;", "line 4: expected ';' or ',' after an operand, got '|'"},
        {"ld.b32 %r1, [];", "line 4: expected a register, a symbol or a number in an address, got ']'"},
        {"ld.b32 %r1, [%rd1;", "line 4: expected ']' after an address, got ';'"},
        {"ld.b32 %r1, [%rd1+%rd2];", "line 4: expected an offset in bytes, got '%rd2'"},
        {"ld.b32 %r1, [%rd1+1.5];", "line 4: expected an offset in bytes, got '1.5'"},
        {"ld.b32 %r1, [1.5];", "line 4: expected a register, a symbol or a number in an address, got '1.5'"},
        {"ld.b32 %r1, [%tid.x];",
         "line 4: expected a register, a symbol or a number in an address, got '%tid'"},
        {"ld.b32 %r1, [_];", "line 4: expected a register, a symbol or a number in an address, got '_'"},
        {"ld.b32 %r1, [[%rd1]];", "line 4: expected a register, a symbol or a number in an address, got '['"},
        {"call (%r1, f;", "line 4: 'f' is not declared"},
    };
    for (const Mistake& mistake : mistakes)
        EXPECT_EQ(error_of_body(mistake.text), mistake.message) << mistake.text;
}

// --- limits -----------------------------------------------------------------------------------------------

std::string repeated(const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
}

TEST(ParseLimits, Registers) {
    const std::string message = "line 4: expected a number of registers of at most 65535, got '4000000000'";
    EXPECT_EQ(error_of_body(".reg .b32 %q<4000000000>;"), message);
    const std::string many =
        "expected at most 65535 registers in a function and 1048576 in a module, got more with ";
    EXPECT_EQ(error_of_body(".reg .b32 %q<65535>;"), "line 4: " + many + "'%q65523'");
    EXPECT_EQ(error_of(repeated(".func f; ", 1) + ".func f { .reg .b32 %q<65535>; }"), "no error");
    std::string functions;
    for (int i = 0; i < 20; ++i) functions += ".func f" + std::to_string(i) + " { .reg .b32 %q<65535>; }\n";
    EXPECT_EQ(error_of(functions), "line 18: " + many + "'%q16'");
}

TEST(ParseLimits, Variables) {
    const std::string many = "expected variables of at most 268435456 bytes together, got more with ";
    EXPECT_EQ(error_of(".global .b8 x[10000000000];"), "line 2: " + many + "'x'");
    EXPECT_EQ(error_of(".global .b64 x[0xffffffffffffffff][0xffffffffffffffff];"), "line 2: " + many + "'x'");
    EXPECT_EQ(error_of(".global .b8 x[268435456];"), "no error");
    EXPECT_EQ(error_of(".global .b8 x[268435456];\n.func f { .local .b8 y; }"), "line 3: " + many + "'y'");
    const std::string initialised =
        "expected initialised variables of at most 67108864 bytes together, got more with ";
    EXPECT_EQ(error_of(".global .b8 x[67108865] = {1};"), "line 2: " + initialised + "'x'");
    EXPECT_EQ(error_of(".global .b8 x[67108864] = {1};\n.global .b8 y[] = {1};"),
              "line 3: " + initialised + "'y'");
    EXPECT_EQ(error_of(".global .b8 x[][67108865] = {{1}};"), "line 2: " + initialised + "'x'");
    EXPECT_EQ(error_of(".global .b8 x" + repeated("[1]", 17) + ";"),
              "line 2: expected at most 16 dimensions, got '1'");
}

TEST(ParseLimits, Nesting) {
    EXPECT_EQ(error_of(".func f " + repeated("{", 64) + repeated("}", 64)), "no error");
    EXPECT_EQ(error_of(".func f " + repeated("{", 65)), "line 2: expected at most 64 nested '{', got '{'");
    EXPECT_EQ(error_of_body("mov.b32 " + repeated("{", 100000)),
              "line 4: expected at most 64 nested braces, got '{'");
    EXPECT_EQ(error_of_body("ld.b32 " + repeated("[a,", 100000)),
              "line 4: expected at most 64 nested braces, got '['");
    EXPECT_EQ(error_of_body("call " + repeated("(", 100000)),
              "line 4: expected at most 64 nested braces, got '('");
    EXPECT_EQ(error_of(".section .x " + repeated("{", 100000) + repeated("}", 100000)), "no error");
}

// Of this process, so that other work on the machine does not count.
double seconds_for(const std::string& text) {
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
        const std::clock_t begin = std::clock();
        const bool is_ok = parse(text).ok();
        best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
        EXPECT_TRUE(is_ok);
    }
    return best;
}

// Texts whose cost would be quadratic in a careless parser: 16 times the text may take at most 100 times as
// long, where a quadratic one takes 256 times.
TEST(ParseLimits, TimeIsLinear) {
    const auto text = [](int kind, int n) {
        switch (kind) {
            case 0: return kHeader + ".func f {" + repeated("bra L;\n", n) + "L: }";
            case 1:
                return kHeader + ".func f " + repeated("{", 63) + repeated("bra L;\n", n) +
                       repeated("}", 62) + "L: }";
            case 2: return kHeader + ".func f {" + repeated("{ L: bra L; .reg .b32 x<2>; }\n", n) + "}";
            case 3: return kHeader + repeated("/* * / */ // /*\n", n);
            case 4: return kHeader + ".global .b8 x[] = {1" + repeated(",1", n) + "};";
            case 5: return kHeader + ".section .x {" + repeated("{ \"a\" 1 }\n", n) + "}";
            default:
                return kHeader + ".func f { .reg .b32 x; add" + repeated(".a", n) + " x" + repeated(",x", n) +
                       "; }";
        }
    };
    for (int kind = 0; kind < 7; ++kind) {
        const double small = seconds_for(text(kind, 2000));
        EXPECT_LT(seconds_for(text(kind, 32000)), 100 * small + 0.005) << kind;
    }
}

}  // namespace
}  // namespace warpwright::emulator
