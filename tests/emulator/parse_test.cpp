// SPDX-License-Identifier: Apache-2.0
#include "emulator/parse/module.h"

#include <gtest/gtest.h>

namespace warpwright::emulator {
namespace {

const std::string kHeader = ".version 9.0\n.target sm_90a\n.address_size 64\n";

TEST(Parse, ReadsAKernel) {
    const Result<Module> module = parse(kHeader + R"(
.visible .entry copy(.param .u64 copy_param_0)
.maxntid 256, 1, 1
{
    .reg .pred %p<2>;
    .reg .b32 %r<3>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [copy_param_0+8];
    mov.u32 %r1, %tid.x;
    setp.ge.s32 %p1, %r1, -2;
    @!%p1 bra $done;
    st.global.v2.u32 [%rd1+-4], {%r1, %r2};
$done:
    ret;
})");
    ASSERT_TRUE(module.ok()) << module.status().message();
    ASSERT_EQ(module->functions.size(), 1u);
    const Function& function = module->functions[0];
    EXPECT_EQ(function.name, "copy");
    EXPECT_EQ(function.max_threads.x, 256u);
    ASSERT_EQ(function.registers.size(), 8u);
    EXPECT_EQ(function.registers[4].name, "%r2");
    ASSERT_EQ(function.statements.size(), 6u);
    const Statement& branch = function.statements[3];
    EXPECT_EQ(function.registers[branch.guard.reg].name, "%p1");
    EXPECT_TRUE(branch.guard.negated);
    EXPECT_EQ(function.labels[branch.operands[0].label].statement, 5);
    const Statement& store = function.statements[4];
    EXPECT_EQ(store.modifiers, (std::vector<std::string>{"global", "v2", "u32"}));
    EXPECT_EQ(store.operands[0].offset, -4);
    EXPECT_EQ(store.operands[1].elements.size(), 2u);
}

}  // namespace
}  // namespace warpwright::emulator
