// SPDX-License-Identifier: Apache-2.0
// Verdicts on instructions and targets, against what ptxas 13.0.88 said of each of these forms.
#include "emulator/check/legality.h"

#include <set>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "emulator/decode/load.h"
#include "emulator/memory/global.h"
#include "isa/table.h"

namespace warpwright::emulator {
namespace {

Module module_for(const std::string& target, int major = 9, int minor = 0) {
    Module module;
    module.target = target;
    module.version_major = major;
    module.version_minor = minor;
    return module;
}

// "add.rn.f32" with so many register operands.
Statement statement_of(std::string_view text, int num_operands = 2) {
    Statement statement;
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t end = std::min(text.find('.', start), text.size());
        const std::string part(text.substr(start, end - start));
        if (start == 0)
            statement.opcode = part;
        else
            statement.modifiers.push_back(part);
        start = end + 1;
    }
    statement.operands.resize(static_cast<std::size_t>(num_operands));
    return statement;
}

constexpr const char* kTargets[] = {"sm_80",   "sm_86",   "sm_89",  "sm_90",   "sm_90a", "sm_100a",
                                    "sm_100f", "sm_103a", "sm_120", "sm_120a", "sm_120f"};

// One letter for each of kTargets.
std::string verdicts(const Statement& statement) {
    constexpr int kCapabilities[] = {80, 86, 89, 90, 90, 100, 100, 103, 120, 120, 120};
    std::string row;
    for (std::size_t i = 0; i < std::size(kTargets); ++i) {
        const auto legality = Legality::of(module_for(kTargets[i]), kCapabilities[i]);
        EXPECT_TRUE(legality.ok()) << legality.status().message();
        if (legality.ok()) row += legality->check(statement).ok() ? 'Y' : '.';
    }
    return row;
}

TEST(Legality, AgreesWithPtxas) {
    struct Case {
        const char* form;
        const char* legal;
        int num_operands = 2;
    };
    const Case cases[] = {
        {"add.s32", "YYYYYYYYYYY"},
        {"frobnicate", "YYYYYYYYYYY"},  // not known: the decoder's to refuse
        // Measured one by one.
        {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "YYYYYYYYYYY"},
        {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "..YYYYYYYYY"},
        {"mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e4m3.f32", ".....YYY.YY"},
        {"mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e2m1.e2m1.f32", ".........YY"},
        {"redux.sync.min.f32", ".....YYY..."},
        {"cvt.rs.f16x2.f32", ".....Y.Y...", 4},
        {"cvt.rn.satfinite.e4m3x2.bf16x2", "..........."},
        {"add.rn.f32x2", ".....YYYYYY"},
        {"ld.global.v8.b32", ".....YYYYYY"},
        {"ld.shared.v8.b32", "..........."},
        {"min.f32", ".....YYYYYY", 4},
        {"atom.global.v4.f32.add", "...YYYYYYYY"},
        // The order of modifiers that are no types does not matter.
        {"mma.aligned.sync.col.row.m16n8k32.f32.e4m3.e4m3.f32", "..YYYYYYYYY"},
        // That of types does.
        {"cvt.rn.satfinite.e4m3x2.f16x2", "..YYYYYYYYY"},
        {"cvt.rn.f16x2.e4m3x2", "..YYYYYYYYY"},
        // By rule.
        {"min.f32", "YYYYYYYYYYY", 3},
        {"max.NaN.ftz.f32", "YYYYYYYYYYY"},
        {"max.NaN.f32", ".....YYYYYY", 4},
        {"max.xorsign.abs.f32", ".YYYYYYYYYY"},
        {"add.rn.bf16", "...YYYYYYYY"},
        {"fma.rn.bf16", "YYYYYYYYYYY"},
        {"fma.rn.relu.bf16x2", "YYYYYYYYYYY"},
        {"fma.rn.oob.bf16x2", "...YYYYYYYY"},
        {"fma.rn.f32.bf16", ".....YYYYYY"},
        {"setp.lt.bf16x2", "...YYYYYYYY"},
        {"setp.lt.f16x2", "YYYYYYYYYYY"},
        {"set.lt.f32.bf16", "...YYYYYYYY"},
        {"ex2.approx.ftz.bf16", "...YYYYYYYY"},
        {"ex2.approx.f16", "YYYYYYYYYYY"},
        {"cvt.rn.bf16.f32", "YYYYYYYYYYY"},
        {"cvt.f32.bf16", "YYYYYYYYYYY"},
        {"cvt.ftz.f32.bf16", "...YYYYYYYY"},
        {"cvt.rn.bf16.s32", "...YYYYYYYY"},
        {"cvt.rzi.s32.bf16", "...YYYYYYYY"},
        {"cvt.rna.tf32.f32", "YYYYYYYYYYY"},
        {"cvt.rz.tf32.f32", "...YYYYYYYY"},
        {"cvt.rz.satfinite.tf32.f32", ".....YYYYYY"},
        {"cvt.rn.relu.f16x2.e5m2x2", "..YYYYYYYYY"},
        {"cvt.rn.relu.f16x2.e2m3x2", ".....YYY.YY"},
        {"cvt.rz.satfinite.ue8m0x2.f32", ".....YYY.YY"},
        {"ld.acquire.cluster.global.u32", "...YYYYYYYY"},
        {"ld.shared::cluster.u32", "...YYYYYYYY"},
        {"ld.relaxed.gpu.global.v4.f64", ".....YYYYYY"},
        {"ld.global.nc.L2::256B.v4.u32", "YYYYYYYYYYY"},
        {"red.global.add.noftz.bf16x2", "...YYYYYYYY"},
        {"atom.shared.exch.b128", "...YYYYYYYY"},
        {"stmatrix.sync.aligned.m8n8.x1.trans.shared.b16", "...YYYYYYYY"},
        {"ldmatrix.sync.aligned.m16n16.x2.trans.shared.b8x16.b4x16_p64", ".....YYY.YY"},
        {"griddepcontrol.wait", "...YYYYYYYY", 0},
        {"elect.sync", "...YYYYYYYY"},
        {"barrier.cluster.wait.acquire", "...YYYYYYYY", 0},
        {"barrier.cta.sync.aligned", "YYYYYYYYYYY"},
        {"mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32", "YYYYYYYYYYY"},
        {"mma.sync.aligned.m16n8k16.row.col.kind::f8f6f4.f16.e5m2.e4m3.f16", ".....YYY.YY"},
        {"add.u16x2", "...YYYYYYYY"},
    };
    for (const Case& c : cases) EXPECT_EQ(verdicts(statement_of(c.form, c.num_operands)), c.legal) << c.form;
}

// Rules speak for forms that nobody assembled: they must say what was assembled where something was. What no
// target has is not theirs to know, and tensor copies are not covered.
TEST(Legality, RulesAgreeWithWhatWasAssembled) {
    std::set<std::string> covered;
    for (const Opcode* opcode : opcodes()) covered.emplace(opcode->name);
    int num_compared = 0;
    for (const isa::Form& form : isa::forms()) {
        const std::string opcode = form.name.substr(0, form.name.find_first_of("./"));
        const bool is_tensor_copy = form.name.find(".tensor") != form.name.npos;
        if (!covered.contains(opcode) || form.targets == 0 || is_tensor_copy) continue;
        EXPECT_EQ(isa::targets_by_rule(form.name), form.targets) << form.name;
        ++num_compared;
    }
    EXPECT_GT(num_compared, 20'000);
}

TEST(Legality, SpecialRegisters) {
    const auto moves = [](const char* name) {
        Statement statement = statement_of("mov.u32", 2);
        statement.operands[1].kind = Operand::Kind::special;
        statement.operands[1].symbol = name;
        return verdicts(statement);
    };
    EXPECT_EQ(moves("%tid.x"), "YYYYYYYYYYY");
    EXPECT_EQ(moves("%cluster_ctarank"), "...YYYYYYYY");
    EXPECT_EQ(moves("%cluster_nctaid.y"), "...YYYYYYYY");
    EXPECT_EQ(moves("%clusterid.z"), "...YYYYYYYY");
}

TEST(Legality, TargetsRunOnTheirGpus) {
    struct Case {
        const char* target;
        std::vector<int> runs, does_not;
    };
    const Case cases[] = {
        {"sm_80", {80, 86, 87, 89, 90, 100, 103, 110, 120, 121}, {75}},
        {"sm_89", {89, 90, 120}, {80, 86}},
        {"sm_90", {90, 100, 120}, {89}},
        {"sm_90a", {90}, {89, 100, 120}},
        {"sm_100", {100, 103, 120}, {90}},
        {"sm_100a", {100}, {103, 110, 120, 90}},
        {"sm_100f", {100, 103}, {90, 110, 120}},
        {"sm_103f", {103}, {100, 120}},
        {"sm_120f", {120, 121}, {100, 103, 90}},
        {"sm_120a", {120}, {121}},
        {"sm_90, debug", {90}, {80}},
    };
    for (const Case& c : cases) {
        for (const int capability : c.runs)
            EXPECT_TRUE(Legality::of(module_for(c.target), capability).ok()) << c.target;
        for (const int capability : c.does_not)
            EXPECT_FALSE(Legality::of(module_for(c.target), capability).ok())
                << c.target << " " << capability;
    }
}

TEST(Legality, MessagesSayWhatIsNeeded) {
    const auto message = [](const char* target, int capability, const char* form, int major = 9,
                            int minor = 0) {
        const auto legality = Legality::of(module_for(target, major, minor), capability);
        return legality.ok() ? legality->check(statement_of(form)).message() : legality.status().message();
    };
    EXPECT_EQ(message("sm_80", 80, "stmatrix.b16"), "illegal instruction on sm_80: needs sm_90 or later");
    EXPECT_EQ(message("sm_120", 120, "redux.sync.min.f32"),
              "illegal instruction on sm_120: needs sm_100a, sm_100f, sm_103a, sm_103f");
    EXPECT_EQ(message("sm_90", 90, "cvt.rn.bf16x2.e4m3x2"),
              "illegal instruction on sm_90: needs a newer assembler: ptxas 13.0 has it for no target");
    EXPECT_EQ(message("sm_90", 90, "add.u16x2", 7, 8), "illegal instruction in PTX 7.8: needs PTX 8.0");
    EXPECT_EQ(message("sm_90a", 90, "ret", 7, 8), "sm_90a needs PTX 8.0, the text says 7.8");
    EXPECT_EQ(message("sm_90a", 100, "ret"),
              "PTX for sm_90a runs on that GPU alone, not on compute capability 10.0");
    EXPECT_EQ(message("sm_100f", 120, "ret"),
              "PTX for sm_100f runs on its family alone, not on compute capability 12.0");
    EXPECT_EQ(message("sm_90", 80, "ret"), "PTX for sm_90 runs on later GPUs, not on compute capability 8.0");
    EXPECT_EQ(message("sm_52", 80, "ret"), "not covered yet: PTX for sm_52; known are sm_75 to sm_121f");
}

TEST(Legality, IsCheckedAtLoad) {
    GlobalMemory memory(0, 1 << 20);
    const auto message = [&](const char* target, int capability) {
        const std::string text = fmt::format(
            ".version 9.0\n.target {}\n.address_size 64\n.entry k()\n{{\ngriddepcontrol.wait;\nret;\n}}\n",
            target);
        return load_program(text, "", {capability, numerics_of(capability)}, memory).status().message();
    };
    EXPECT_EQ(message("sm_80", 80),
              "line 6: griddepcontrol.wait: illegal instruction on sm_80: needs sm_90 or later");
    EXPECT_EQ(message("sm_90", 80), "PTX for sm_90 runs on later GPUs, not on compute capability 8.0");
}

}  // namespace
}  // namespace warpwright::emulator
