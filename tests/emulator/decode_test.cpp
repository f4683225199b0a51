// SPDX-License-Identifier: Apache-2.0
// Binding: modifiers, operands, literals, symbols; placement of variables; errors of load_program.
#include <bit>
#include <optional>

#include <gtest/gtest.h>

#include "emulator/decode/load.h"
#include "emulator/decode/statement_binding.h"
#include "emulator/memory/windows.h"

namespace warpwright::emulator {
namespace {

constexpr int kLanes = 32;

Flow nothing(Warp&, const Instruction&, u32) {
    return Flow::next;
}

const char* const kHeader = ".version 9.0\n.target sm_90a\n.address_size 64\n";

// A module of one entry, and a Binding over its statements.
class Bound {
public:
    explicit Bound(const std::string& body, const std::string& globals = "") : memory_(0, 1 << 30) {
        const std::string text =
            kHeader + globals +
            ".entry k(.param .u64 first, .param .align 16 .b8 second[20], .param .u16 third)\n{\n"
            ".reg .pred %p<4>;\n.reg .b16 %h<4>;\n.reg .b32 %r<8>;\n.reg .b64 %rd<4>;\n"
            ".reg .f32 %f<4>;\n.reg .f64 %d<4>;\n.reg .b128 %q<2>;\n" +
            body + "\n}\n";
        Result<Module> module = parse(text);
        EXPECT_TRUE(module.ok()) << module.status().message();
        if (!module) return;
        module_ = std::move(module).value();
        Result<Placement> placement = Placement::make(module_, entry(), memory_, program);
        EXPECT_TRUE(placement.ok()) << placement.status().message();
        if (!placement) return;
        placement_.emplace(std::move(placement).value());
        binding.emplace(entry(), target_, *placement_);
    }

    const Function& entry() const { return module_.functions.back(); }
    // Binds the next statement with a binder; the message, or "".
    std::string bind(Binder binder) {
        const Opcode opcode = {"", binder, "", ""};
        const Opcode* const candidates[] = {&opcode};
        return binding->bind(entry().statements.at(next_++), candidates).message();
    }
    u64 constant(const BoundCode& code, int operand) const {
        const auto lanes = code.constants.lanes();
        const int inverted = ~code.operands.at(static_cast<std::size_t>(operand));
        const auto slot = static_cast<std::size_t>(inverted);
        return lanes.at(slot * kLanes) | u64{lanes.at(slot * kLanes + 1)} << 32;
    }

    Program program;
    std::optional<StatementBinding> binding;

private:
    GlobalMemory memory_;
    DecodeTarget target_ = {90, NumericsClass::hopper};
    Module module_;
    std::optional<Placement> placement_;
    std::size_t next_ = 0;
};

Status bind_binary(Binding& b, Type type) {
    b.dest(0, type);
    b.source(1, type);
    b.source(2, type);
    b.handler(nothing);
    return {};
}
Status bind_typed(Binding& b) {
    WW_ASSIGN(const Type type, b.type());
    return bind_binary(b, type);
}

TEST(Binding, ModifiersAreASetAndNoneIsIgnored) {
    Bound bound(
        "foo.sat.wrap.u32 %r1, %r2, %r3;\nfoo.u32.sat.wrap.odd %r1, %r2, %r3;\nfoo.f32.bf16.f32.x %r1, %r2, "
        "%r3;");
    EXPECT_EQ(bound.bind([](Binding& b) {
        EXPECT_TRUE(b.take("wrap"));
        EXPECT_FALSE(b.take("wrap"));
        EXPECT_EQ(b.take_one_of({"lo", "sat"}), "sat");
        EXPECT_EQ(b.take_one_of({"lo", "sat"}), "");
        EXPECT_EQ(b.remaining(), std::vector<std::string_view>{"u32"});
        return bind_typed(b);
    }),
              "");
    EXPECT_EQ(bound.bind(bind_typed), "modifier .sat .wrap .odd is not covered yet");
    EXPECT_EQ(bound.bind([](Binding& b) {
        EXPECT_EQ(b.take_types(), (std::vector{Type::f32, Type::bf16, Type::f32}));
        EXPECT_TRUE(b.take_types().empty());
        EXPECT_EQ(b.remaining(), std::vector<std::string_view>{"x"});
        EXPECT_TRUE(b.take("x"));
        return bind_binary(b, Type::b32);
    }),
              "");
}

TEST(Binding, WhatABinderDidNotLookAtIsAnError) {
    Bound bound(
        "foo.u32 %r1, %r2, %r3;\nfoo.u32 %r1, %r2;\nfoo.u32 %r1, %r2, %r3, %r4;\nfoo.u32.u32 %r1, %r2, "
        "%r3;\nfoo %r1;");
    EXPECT_EQ(bound.bind([](Binding& b) {
        b.handler(nothing);
        EXPECT_TRUE(b.take("u32"));
        b.dest(0, Type::u32);
        b.source(2, Type::u32);
        return Status{};
    }),
              "operand 2 is not covered yet");
    EXPECT_EQ(bound.bind(bind_typed), "operand 3 is missing");
    EXPECT_EQ(bound.bind(bind_typed), "operand 4 is not covered yet");
    EXPECT_EQ(bound.bind(bind_typed), "expected one type, got .u32 .u32");
    EXPECT_EQ(bound.bind([](Binding&) { return not_mine(); }), "this form is not covered yet");
}

TEST(Binding, RegistersHaveTheSizeOfTheirType) {
    Bound bound(
        "foo.u32 %r1, %h1, %r2;\nfoo.u32 %r1, %rd1, %r2;\nfoo.u32 %r1, %p1, %r2;\nfoo.u32 5, %r1, %r2;\n"
        "ld.u8 %rd1, %h1, %r1;\nld.u64 %r1, %rd1, %rd1;\nfoo.b128 %q0, %q1, %q1;\nfoo.f32 %r1, %f1, %f2;");
    EXPECT_EQ(bound.bind(bind_typed), "%h1 is a register of type b16, expected u32");
    EXPECT_EQ(bound.bind(bind_typed), "%rd1 is a register of type b64, expected u32");
    EXPECT_EQ(bound.bind(bind_typed), "%p1 is a register of type pred, expected u32");
    EXPECT_EQ(bound.bind(bind_typed), "expected a destination register, got an integer");
    EXPECT_EQ(bound.bind(bind_typed), "");  // PTX ISA 9.4.1
    EXPECT_EQ(bound.bind(bind_typed), "%r1 is a register of type b32, expected u64");
    EXPECT_EQ(bound.bind(bind_typed), "");
    EXPECT_EQ(bound.bind(bind_typed), "");
    const BoundCode code = bound.binding->finish();
    const Instruction& wide = code.instructions.at(0);
    EXPECT_EQ(wide.slot_width[0], 2);
    EXPECT_EQ(wide.slot_width[1], 1);
    EXPECT_EQ(wide.dest_slots, 0b001u);
    EXPECT_EQ(wide.source_slots, 0b110u);
    EXPECT_EQ(code.instructions.at(1).slot_width[2], 4);
}

TEST(Binding, LiteralsAreEncodedByTheTypeAskedFor) {
    struct Case {
        const char* literal;
        Type type;
        std::optional<u64> bits;  // nothing: ptxas has no such operand either
    };
    const Case cases[] = {
        {"70000", Type::u16, 4464},
        {"-1", Type::s16, 0xffff},
        {"-40000", Type::u16, 25536},
        {"0x1ffffffff", Type::u32, 0xffff'ffff},
        {"-1", Type::s32, 0xffff'ffff},
        {"-4294967295", Type::u32, 1},
        {"-1", Type::s64, ~u64{0}},
        {"0xffffffffffffffff", Type::u64, ~u64{0}},
        {"65535", Type::b16, 0xffff},
        {"0f3f800000", Type::f32, 0x3f80'0000},
        {"0f3f800000", Type::b32, 0x3f80'0000},
        {"0f7f800001", Type::f32, 0x7f80'0001},
        {"1.5", Type::f32, 0x3fc0'0000},
        {"0d3ff0000000000000", Type::f32, 0x3f80'0000},
        {"0d47EFFFFFF0000000", Type::f32, 0x7f80'0000},  // halfway to 2^128
        {"0d47EFFFFFEFFFFFFF", Type::f32, 0x7f7f'ffff},
        {"1e300", Type::f32, 0x7f80'0000},
        {"0d3690000000000000", Type::f32, 0},  // half of the smallest float: to even
        {"0d3690000000000001", Type::f32, 1},
        {"1.5", Type::f64, 0x3ff8'0000'0000'0000},
        {"0d3ff0000000000000", Type::b64, 0x3ff0'0000'0000'0000},
        {"1", Type::f32, {}},
        {"1", Type::f64, {}},
        {"1.5", Type::b32, {}},
        {"1.5", Type::u32, {}},
        {"0f3f800000", Type::u32, {}},
        {"0f3f800000", Type::b64, {}},
        {"0x3c00", Type::f16, {}},
        {"1.0", Type::f16, {}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(std::string(c.literal) + " as " + facts_of(c.type).name);
        Bound bound(std::string("foo ") + c.literal + ";");
        const Operand& literal = bound.entry().statements.at(0).operands.at(0);
        const Result<u64> bits = encode_literal(literal, c.type);
        EXPECT_EQ(bits.ok(), c.bits.has_value());
        if (bits.ok()) {
            EXPECT_EQ(*bits, c.bits.value_or(0));
        }
    }
}

TEST(Binding, ConstantsAreSlotsEachValueOnce) {
    ConstantPool pool;
    EXPECT_EQ(pool.slot_of(7, 1), 0);
    EXPECT_EQ(pool.slot_of(0x1'0000'0007, 2), 1);
    EXPECT_EQ(pool.slot_of(7, 2), 3);
    EXPECT_EQ(pool.slot_of(7, 1), 0);
    EXPECT_EQ(pool.slot_of(0x2'0000'0003, 4), 5);
    const std::vector<u32> lanes = pool.lanes();
    ASSERT_EQ(lanes.size(), 9u * kLanes);
    for (int lane = 0; lane < kLanes; ++lane) {
        const auto l = static_cast<std::size_t>(lane);
        EXPECT_EQ(lanes[l], 7u);
        EXPECT_EQ(lanes[kLanes + 2 * l], 7u);
        EXPECT_EQ(lanes[kLanes + 2 * l + 1], 1u);
        EXPECT_EQ(lanes[5 * kLanes + 4 * l], 3u);
        EXPECT_EQ(lanes[5 * kLanes + 4 * l + 1], 2u);
        EXPECT_EQ(lanes[5 * kLanes + 4 * l + 3], 0u);
    }
}

TEST(Binding, PredicatesAndGuards) {
    Bound bound("@!%p3 foo %p1|_, !%p2, 1;\nfoo %p1|%p2, 0, !%p3;\nfoo %p1, !%p2;\nfoo %r1, %p1;");
    EXPECT_EQ(bound.bind([](Binding& b) {
        bool negated = false;
        b.dest_predicate(b.operand(0).elements.at(0));
        b.dest_predicate(b.operand(0).elements.at(1));
        EXPECT_EQ(b.source_predicate(b.operand(1), &negated), 2);
        EXPECT_TRUE(negated);
        EXPECT_EQ(b.source_predicate(b.operand(2), &negated), 3);
        EXPECT_FALSE(negated);
        b.handler(nothing);
        return Status{};
    }),
              "");
    EXPECT_EQ(bound.bind([](Binding& b) {
        bool negated = false;
        b.dest_predicate(b.operand(0).elements.at(0));
        b.dest_predicate(b.operand(0).elements.at(1));
        b.source_predicate(b.operand(1), &negated);
        b.source_predicate(b.operand(2), &negated);
        b.handler(nothing);
        return Status{};
    }),
              "");
    const auto simple = [](Binding& b) {
        b.dest_predicate(b.operand(0));
        b.source_predicate(b.operand(1), nullptr);
        b.handler(nothing);
        return Status{};
    };
    EXPECT_EQ(bound.bind(simple), "a negated predicate is not an operand of this instruction");
    EXPECT_EQ(bound.bind(simple), "expected a predicate");
    const int num_predicates = bound.binding->num_predicates();
    const BoundCode code = bound.binding->finish();
    const Instruction& first = code.instructions.at(0);
    // Two constants, %p0 to %p3, the sink.
    EXPECT_EQ(num_predicates, 7);
    EXPECT_EQ(first.predicate[0], 3);
    EXPECT_EQ(first.predicate[1], 6);
    EXPECT_EQ(first.predicate[2], 4);
    EXPECT_EQ(first.predicate[3], kTruePredicate);
    EXPECT_EQ(first.dest_predicates, 0b0011);
    EXPECT_EQ(first.source_predicates, 0b1100);
    EXPECT_EQ(first.guard, 5);
    EXPECT_TRUE(first.guard_negated);
    EXPECT_EQ(code.instructions.at(1).predicate[2], kFalsePredicate);
    EXPECT_EQ(code.instructions.at(1).guard, kNoPredicate);
}

TEST(Binding, AddressesAreABaseAndAnOffset) {
    Bound bound(
        ".shared .align 4 .b8 tile[8];\n"
        "foo [%rd1+-8];\nfoo [%r1+4];\nfoo [tile+4];\nfoo [second+16];\nfoo [64];\nfoo [%r1];\nfoo %r1;\nfoo "
        "[helper];",
        ".extern .func helper();\n");
    const auto any = [](Binding& b) {
        bool is_32_bit = true;
        b.address(b.operand(0), &is_32_bit);
        b.instruction().flag[0] = is_32_bit;
        b.instruction().detail[0] = static_cast<i32>(b.symbol_space(b.operand(0)));
        b.handler(nothing);
        return Status{};
    };
    for (int i = 0; i < 5; ++i) EXPECT_EQ(bound.bind(any), "") << i;
    const auto wide = [](Binding& b) {
        b.address(b.operand(0), nullptr);
        b.handler(nothing);
        return Status{};
    };
    EXPECT_EQ(bound.bind(wide), "%r1 is not a register for an address here");
    EXPECT_EQ(bound.bind(wide), "expected an address, got a register");
    EXPECT_EQ(bound.bind(wide), "not covered yet: the address of helper");
    const BoundCode code = bound.binding->finish();
    EXPECT_EQ(code.instructions[0].immediate, -8);
    EXPECT_EQ(code.instructions[0].slot_width[0], 2);
    EXPECT_FALSE(code.instructions[0].flag[0]);
    EXPECT_EQ(code.instructions[1].immediate, 4);
    EXPECT_EQ(code.instructions[1].slot_width[0], 1);
    EXPECT_TRUE(code.instructions[1].flag[0]);
    EXPECT_EQ(code.instructions[2].immediate, 4);
    EXPECT_EQ(static_cast<Space>(code.instructions[2].detail[0]), Space::shared);
    EXPECT_EQ(bound.constant(code, 2), kSharedStart);
    EXPECT_EQ(static_cast<Space>(code.instructions[3].detail[0]), Space::param);
    EXPECT_EQ(bound.constant(code, 3), 16u);
    EXPECT_EQ(static_cast<Space>(code.instructions[4].detail[0]), Space::generic);
    EXPECT_EQ(bound.constant(code, 4), 0u);
    EXPECT_EQ(code.instructions[4].immediate, 64);
}

TEST(Binding, VectorsSinksAndSymbols) {
    Bound bound(
        ".local .align 8 .b8 depot[16];\n"
        "foo {%r1, _, %r2}, {%r3, 5};\nfoo %rd1, third;\nfoo %r1, depot+4;\nfoo %rd1, WARP_SZ;\nfoo %r1, "
        "%tid.x;\n"
        "foo {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7,%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7,%r0,%r1,%r2,%r3}, {%r1};");
    const auto vectors = [](Binding& b) {
        const int dests = b.dests(b.operand(0), Type::b32);
        const int sources = b.sources(b.operand(1), Type::b32);
        b.instruction().immediate = 10 * dests + sources;
        b.handler(nothing);
        return Status{};
    };
    const auto move_64 = [](Binding& b) {
        b.dest(0, Type::u64);
        b.source(1, Type::u64);
        b.handler(nothing);
        return Status{};
    };
    EXPECT_EQ(bound.bind(vectors), "");
    EXPECT_EQ(bound.bind(move_64), "");
    EXPECT_EQ(bound.bind(vectors), "");
    EXPECT_EQ(bound.bind(move_64), "");
    EXPECT_EQ(bound.bind(vectors), "%tid.x is not an operand of this instruction");
    EXPECT_EQ(bound.bind(vectors), "not covered yet: more than 20 register operands");
    const BoundCode code = bound.binding->finish();
    EXPECT_EQ(code.instructions[0].immediate, 32);
    EXPECT_EQ(code.instructions[0].dest_slots, 0b00111u);
    EXPECT_EQ(code.instructions[0].source_slots, 0b11000u);
    EXPECT_GE(code.operands[1], static_cast<SlotOperand>(bound.entry().registers.size()));
    EXPECT_EQ(bound.constant(code, 6), 36u);  // third: behind 20 bytes that begin at 16
    EXPECT_EQ(static_cast<u32>(bound.constant(code, 8)), kLocalStart + 4);
    EXPECT_EQ(bound.constant(code, 10), 32u);
}

TEST(Placement, EverySpaceByAlignment) {
    Bound bound(
        ".shared .align 1 .b8 small[3];\n.shared .align 16 .b8 big[40];\n.shared .b8 unused[100];\n"
        ".local .align 16 .b8 depot[24];\n{\n.param .b64 argument;\nfoo argument;\n}\n"
        "foo small, big, depot, dynamic, table, coefficients, next;",
        ".extern .shared .align 128 .b8 dynamic[];\n.const .align 4 .u32 coefficients[2] = {1, 2};\n"
        ".global .u32 next;\n.global .align 8 .u64 table[2] = {generic(coefficients), next+4};\n");
    const auto at = [&](std::string_view name) {
        for (const Placed& placed : bound.program.variables) {
            if (placed.name == name) return placed.address;
        }
        return ~u64{0};
    };
    EXPECT_EQ(at("first"), 0u);
    EXPECT_EQ(at("second"), 16u);
    EXPECT_EQ(at("third"), 36u);
    EXPECT_EQ(bound.program.param_bytes, 38u);
    EXPECT_EQ(at("small"), kSharedStart);
    EXPECT_EQ(at("big"), kSharedStart + 16);
    EXPECT_EQ(at("unused"), ~u64{0});
    EXPECT_EQ(bound.program.static_shared_bytes, 56u);
    EXPECT_EQ(bound.program.shared_alignment, 128u);
    EXPECT_EQ(at("dynamic"), kSharedStart + 128);
    EXPECT_EQ(at("depot"), kLocalStart);
    EXPECT_EQ(at("argument"), kLocalStart + 24);
    EXPECT_EQ(bound.program.local_bytes, 32u);
    EXPECT_EQ(at("coefficients"), 0u);
    EXPECT_EQ(bound.program.constant_bank.size(), 8u);
    EXPECT_EQ(bound.program.constant_bank[4], std::byte{2});
}

TEST(Placement, NamesOfTheEntryHideThoseOfTheModule) {
    Bound bound(".shared .align 4 .b8 table[12];\nfoo table, first;",
                ".global .u64 first = 1;\n.global .u32 table[4] = {1, 2, 3, 4};\n");
    ASSERT_EQ(bound.program.variables.size(), 4u);  // three parameters
    EXPECT_EQ(bound.program.variables[3].space, Space::shared);
    EXPECT_EQ(bound.program.variables[3].bytes, 12u);
}

// An allocation of the test's GlobalMemory, and how much of it is left over.
TEST(Placement, GlobalsAreInitialisedAndReleasedWhenALoadFails) {
    GlobalMemory memory(0, 1 << 20);
    const std::string text = std::string(kHeader) +
                             ".global .u32 next = 9;\n.global .align 8 .u64 table[3] = {7, next+4};\n"
                             ".entry k()\n{\n.reg .b64 %rd<3>;\nfoo.bar %rd1, table;\n}\n";
    const Result<Module> module = parse(text);
    ASSERT_TRUE(module.ok()) << module.status().message();
    std::vector<u64> globals;
    {
        Program program;
        Result<Placement> placement = Placement::make(*module, module->functions.at(0), memory, program);
        ASSERT_TRUE(placement.ok()) << placement.status().message();
        u64 words[3];
        ASSERT_TRUE(memory.read(placement->find("table")->address, words, sizeof words).ok());
        EXPECT_EQ(words[0], 7u);
        EXPECT_EQ(words[1], placement->find("next")->address + 4);
        EXPECT_EQ(words[2], 0u);
        EXPECT_GT(memory.used_bytes(), 0u);
    }
    EXPECT_EQ(memory.used_bytes(), 0u);
    EXPECT_FALSE(load_program(text, "k", {90, NumericsClass::hopper}, memory).ok());
    EXPECT_EQ(memory.used_bytes(), 0u);
}

TEST(Load, ErrorsNameLineAndStatement) {
    GlobalMemory memory(0, 1 << 20);
    const auto message = [&](const std::string& rest, std::string_view entry = "") {
        return load_program(kHeader + rest, entry, {90, NumericsClass::hopper}, memory).status().message();
    };
    EXPECT_EQ(message(".entry k()\n{\n.reg .b32 %r<3>;\nfrobnicate.rn.u32 %r1, %r2;\n}\n"),
              "line 7: frobnicate.rn.u32: instruction frobnicate is not covered yet");
    EXPECT_EQ(
        message(".entry k()\n{\n.reg .b32 %r<3>;\nfrobnicate.rn.u32 %r1, %r2;\nfoo %r1;\nfoo %r2;\n}\n"),
        "line 7: frobnicate.rn.u32: instruction frobnicate is not covered yet; and 2 more statements");
    EXPECT_EQ(message(".entry k()\n{\n}\n", "other"), "the PTX has no entry other, but k");
    EXPECT_EQ(message(".entry a()\n{\n}\n.entry b()\n{\n}\n"), "expected the name of an entry, one of a b");
    EXPECT_EQ(message(""), "the PTX has no entry");
    EXPECT_EQ(message(".entry k() .reqnctapercluster 2\n{\n}\n"), "line 4: k: clusters are not covered yet");
    EXPECT_EQ(message(".entry k()\n{\n.shared .align 4096 .b8 x[4];\nfoo x;\n}\n"),
              "line 6: not covered yet: x aligned to 4096 bytes, expected a power of two up to 1024");
    EXPECT_EQ(message(".entry k()\n{\n.shared .b8 x[9000000];\nfoo x;\n}\n"),
              "line 6: x of 9000000 bytes does not fit: its state space has 8388608 bytes");
}

}  // namespace
}  // namespace warpwright::emulator
