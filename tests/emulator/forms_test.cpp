// SPDX-License-Identifier: Apache-2.0
// Tables of forms: which statements are theirs, and how they are written for people.
#include "emulator/execute/forms.h"

#include <gtest/gtest.h>

#include <sstream>

namespace warpwright::emulator {
namespace {

// "sat.s32" as a statement of "add".
bool is_form(std::string_view form, const std::string& modifiers) {
    Statement statement;
    statement.opcode = "add";
    std::istringstream stream(modifiers);
    for (std::string modifier; std::getline(stream, modifier, '.');) statement.modifiers.push_back(modifier);
    return matches({"add", form}, statement);
}
TEST(Forms, ModifiersAreASetAndTypesAreInOrder) {
    EXPECT_TRUE(is_form(".sat.s32", "sat.s32"));
    EXPECT_TRUE(is_form(".sat.s32", "s32.sat"));
    EXPECT_FALSE(is_form(".sat.s32", "s32"));
    EXPECT_FALSE(is_form(".sat.s32", "sat.u32"));
    EXPECT_FALSE(is_form(".sat.s32", "sat.sat.s32"));
    EXPECT_FALSE(is_form(".sat.s32", "sat.s32.s32"));
    EXPECT_FALSE(is_form(".sat.s32", "sat.s32.new"));
    EXPECT_TRUE(is_form("{.rn}.ftz.f32", "ftz.f32"));
    EXPECT_TRUE(is_form("{.rn}.ftz.f32", "ftz.rn.f32"));
    EXPECT_FALSE(is_form("{.rn}.ftz.f32", "ftz.rz.f32"));
    EXPECT_TRUE(is_form(".{u32,s32}", "s32"));
    EXPECT_FALSE(is_form(".{u32,s32}", "u32.s32"));
    EXPECT_FALSE(is_form(".{u32,s32}", ""));
    EXPECT_TRUE(is_form(".f32.s32", "f32.s32"));
    EXPECT_FALSE(is_form(".f32.s32", "s32.f32"));
    EXPECT_TRUE(is_form(".u32.u32", "u32.u32"));
    EXPECT_FALSE(is_form(".u32.u32", "u32"));
    EXPECT_TRUE(is_form("", ""));
    std::string many;
    for (int i = 0; i < 70; ++i) many += "u32.";
    EXPECT_FALSE(is_form(".u32", many + "u32"));
}

std::string compact(std::initializer_list<std::string_view> forms) {
    return compact_forms(std::vector<std::string_view>(forms));
}
TEST(Forms, AreWrittenInFewWords) {
    EXPECT_EQ(compact({}), "");
    EXPECT_EQ(compact({".s32"}), ".s32");
    EXPECT_EQ(compact({".{u32,s32}", ".{u64,s64}", ".sat.s32"}), ".{u32,s32,u64,s64} .sat.s32");
    EXPECT_EQ(compact({".f16", ".f16x2", ".ftz.f16", ".ftz.f16x2"}), "{.ftz}.{f16,f16x2}");
    EXPECT_EQ(compact({"{.rn}.f32", "{.rn}.ftz.f32", "{.rn}.sat.f32", "{.rn}.ftz.sat.f32", "{.rn}.f64"}),
              "{.rn}{.ftz}{.sat}.f32 {.rn}.f64");
    // Not every combination.
    EXPECT_EQ(compact({".f32", ".a.f32", ".b.f32"}), ".f32 .a.f32 .b.f32");
    EXPECT_EQ(compact({".a.f32", ".b.f32"}), ".a.f32 .b.f32");
    EXPECT_EQ(compact({".a.f32", ".a.c.f32", ".b.f32", ".b.c.f32"}), ".a{.c}.f32 .b{.c}.f32");
    EXPECT_EQ(compact({".lo.u32.u32", ".lo.u32.s32"}), ".lo.{u32.u32,u32.s32}");
}

}  // namespace
}  // namespace warpwright::emulator
