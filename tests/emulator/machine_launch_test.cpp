// SPDX-License-Identifier: Apache-2.0
// What a launch must fit, and what a kernel can say: printf and assertions.
#include <gtest/gtest.h>

#include "emulator/machine/limits.h"
#include "machine_kernels.h"

namespace warpwright::emulator {
namespace {

struct Limits {
    Program program;
    Target target;
    ImageResources resources;
    LaunchConfig config{.block = {128}};
    std::size_t arg_bytes = 0;

    explicit Limits(const char* name = "h100-sxm") : target(*find_target(name)) { program.name = "k"; }
    std::string text() const {
        const auto finding = check_launch(program, target, resources, config, arg_bytes, CheckLevel::bounds);
        if (!finding) return "";
        return std::string(finding_name(finding->kind)) + ": " + finding->text;
    }
};

TEST(Limits, ThreadsAndBlocks) {
    Limits limits;
    EXPECT_EQ(limits.text(), "");
    limits.config.block = {1024};
    EXPECT_EQ(limits.text(), "");
    limits.config.block = {1024, 2};
    EXPECT_EQ(
        limits.text(),
        "over the target's limit: a block of 1024 x 2 x 1 threads, expected 1 to 1024, and at most 64 in z");
    for (const Dim3 block : {Dim3{0}, Dim3{1, 0}, Dim3{1, 1, 0}, Dim3{1, 1, 65}, Dim3{1025},
                             Dim3{0x1'0000, 0x1'0000}, Dim3{0x8000'0000, 2}}) {
        limits.config.block = block;
        EXPECT_NE(limits.text(), "") << block.x << " " << block.y << " " << block.z;
    }
    limits.config.block = {32};
    limits.config.grid = {0x7fff'ffff, 65535, 65535};
    EXPECT_EQ(limits.text(), "");
    for (const Dim3 grid :
         {Dim3{0}, Dim3{1, 0}, Dim3{1, 1, 0}, Dim3{0x8000'0000}, Dim3{1, 65536}, Dim3{1, 1, 65536}}) {
        limits.config.grid = grid;
        EXPECT_NE(limits.text(), "") << grid.x << " " << grid.y << " " << grid.z;
    }
}

TEST(Limits, WhatTheKernelDemands) {
    Limits limits;
    limits.program.max_threads = 127;
    EXPECT_EQ(limits.text(), "over the target's limit: 128 threads, but .maxntid allows 127");
    limits.program.max_threads = 128;
    EXPECT_EQ(limits.text(), "");
    limits.program.required_threads = 256;
    EXPECT_EQ(limits.text(), "over the target's limit: 128 threads, but .reqntid demands 256");
}

TEST(Limits, SharedMemory) {
    Limits limits("rtx-5090");
    limits.program.static_shared_bytes = 1000;
    limits.config.shared_bytes = 99 * 1024 - 1008;
    EXPECT_EQ(limits.text(), "");
    limits.config.shared_bytes += 16;
    EXPECT_EQ(limits.text(),
              "over the target's limit: 101392 bytes of shared memory (1000 static, 100384 dynamic), but a "
              "block of "
              "rtx-5090 has 101376");
    limits.program.static_shared_bytes = 49153;
    limits.config.shared_bytes = 0;
    EXPECT_EQ(limits.text(),
              "over the target's limit: 49153 bytes of static shared memory, expected at most 49152");
}

TEST(Limits, Registers) {
    Limits limits;
    limits.config.block = {512};
    limits.resources.registers = 128;
    EXPECT_EQ(limits.text(), "");
    limits.resources.registers = 129;  // rounded to 136 by the warp's unit of 256
    EXPECT_EQ(limits.text(), "over the target's limit: 69632 registers (129 a thread), but an SM has 65536");
    limits.config.block = {32};
    limits.resources.registers = 256;
    EXPECT_EQ(limits.text(), "over the target's limit: 256 registers a thread, expected at most 255");
}

TEST(Limits, ArgumentsAndAttributes) {
    Limits limits;
    limits.program.param_bytes = 12;
    for (const std::size_t bytes : {0, 8, 13, 24}) {
        limits.arg_bytes = bytes;
        EXPECT_EQ(limits.text(),
                  "bad operand: " + std::to_string(bytes) + " bytes of arguments, expected 12");
    }
    for (const std::size_t bytes : {12, 16}) {
        limits.arg_bytes = bytes;
        EXPECT_EQ(limits.text(), "");
    }
    limits.config.programmatic = true;
    EXPECT_EQ(limits.text(),
              "illegal instruction: launched to start before the kernel before it has ended, but it has no "
              "griddepcontrol.wait: nothing orders what it reads");
    limits.program.has_griddep_wait = true;
    EXPECT_EQ(limits.text(), "");
    limits.config.cluster = {2};
    EXPECT_EQ(limits.text(), "over the target's limit: a cluster of 2 x 1 x 1 blocks, expected 1 to 16");
    limits.config.grid = {3};
    EXPECT_EQ(limits.text(),
              "over the target's limit: a grid of 3 x 1 x 1 blocks, expected whole clusters of 2 x 1 x 1");
    limits.config.grid = {4};
    EXPECT_EQ(limits.text(), "");
    limits.target = *find_target("a100");
    EXPECT_EQ(limits.text(),
              "over the target's limit: a cluster of 2 x 1 x 1 blocks, but a100-80 has no clusters");
}

// CUDA's occupancy calculator.
TEST(Limits, BlocksOfAnSm) {
    Program program;
    const Target h100 = *find_target("h100-sxm"), ada = *find_target("rtx-4090"), a10 = *find_target("a10");
    const auto blocks = [&](const Target& target, int registers, int threads, u32 shared) {
        return resident_blocks(program, target, {.registers = registers}, threads, shared);
    };
    EXPECT_EQ(blocks(h100, 32, 1024, 0), 2);
    EXPECT_EQ(blocks(h100, 33, 1024, 0), 1);
    EXPECT_EQ(blocks(h100, 64, 256, 0), 4);
    EXPECT_EQ(blocks(h100, 16, 32, 0), 32);
    EXPECT_EQ(blocks(ada, 16, 32, 0), 24);
    EXPECT_EQ(blocks(a10, 16, 32, 0), 16);
    EXPECT_EQ(blocks(ada, 16, 1024, 0), 1);
    EXPECT_EQ(blocks(h100, 16, 128, 227 * 1024), 1);
    EXPECT_EQ(blocks(h100, 16, 128, 113 * 1024), 2);
    EXPECT_EQ(blocks(h100, 16, 128, 113 * 1024 + 1), 1);
    EXPECT_EQ(blocks(h100, 16, 128, 227 * 1024 + 1), 0);
    EXPECT_EQ(blocks(h100, 0, 1024, 0), 2);
    EXPECT_EQ(blocks(h100, 255, 1024, 0), 0);
}

// ---- as nvcc writes them

constexpr const char* kExternals = R"(
.extern .func (.param .b32 func_retval0) vprintf (.param .b64 vprintf_param_0, .param .b64 vprintf_param_1);
.extern .func __assertfail (.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e);
.global .align 1 .b8 $format[19] = {116, 32, 37, 100, 58, 32, 37, 115, 32, 37, 46, 50, 102, 32, 37, 108, 120, 10};
.global .align 1 .b8 $text[4] = {111, 110, 101};
.global .align 1 .b8 $condition[6] = {120, 32, 62, 32, 48};
.global .align 1 .b8 $file[5] = {97, 46, 99, 117};
.global .align 1 .b8 $function[7] = {118, 32, 107, 40, 41, 0};
)";

TEST(Calls, Printf) {
    RunPtx run(ptx_kernel(".param .u64 out", R"(
        .local .align 8 .b8 depot[32];
        .reg .pred %p<2>;
        .reg .b32 %r<8>;
        .reg .b64 %rd<16>;
        ld.param.u64 %rd0, [out];
        mov.u32 %r0, %tid.x;
        setp.ge.u32 %p0, %r0, 3;
        @%p0 exit;
        mov.u64 %rd1, depot;
        cvta.local.u64 %rd2, %rd1;
        st.local.u32 [%rd1], %r0;
        mov.u64 %rd3, $text;
        cvta.global.u64 %rd4, %rd3;
        st.local.u64 [%rd1+8], %rd4;
        st.local.f64 [%rd1+16], 0d3FF8000000000000;
        st.local.u64 [%rd1+24], 0xabcdef0123456789;
        mov.u64 %rd5, $format;
        cvta.global.u64 %rd6, %rd5;
        {
        .param .b64 param0;
        st.param.b64 [param0+0], %rd6;
        .param .b64 param1;
        st.param.b64 [param1+0], %rd2;
        .param .b32 retval0;
        call.uni (retval0), vprintf, (param0, param1);
        ld.param.b32 %r1, [retval0+0];
        }
        mul.wide.u32 %rd7, %r0, 4;
        add.s64 %rd7, %rd0, %rd7;
        st.global.u32 [%rd7], %r1;
    )",
                          "sm_90a", kExternals));
    ASSERT_EQ(run.load_error(), "");
    const u64 out = run.put(std::vector<u32>(3, 0));
    const LaunchReport report = run.launch({.block = {32}}, out);
    EXPECT_FALSE(report.finding) << finding_text(*report.finding);
    EXPECT_EQ(
        report.printed,
        "t 0: one 1.50 abcdef0123456789\nt 1: one 1.50 abcdef0123456789\nt 2: one 1.50 abcdef0123456789\n");
    EXPECT_EQ(run.get<u32>(out, 3), std::vector<u32>(3, 4));
}

constexpr const char* kAssert = R"(
    .reg .pred %p<2>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<16>;
    mov.u32 %r0, %tid.x;
    setp.ne.u32 %p0, %r0, 37;
    @%p0 bra OK;
    mov.u64 %rd1, $condition;
    cvta.global.u64 %rd2, %rd1;
    mov.u64 %rd3, $file;
    cvta.global.u64 %rd4, %rd3;
    mov.u64 %rd5, $function;
    cvta.global.u64 %rd6, %rd5;
    {
    .param .b64 param0;
    st.param.b64 [param0+0], %rd2;
    .param .b64 param1;
    st.param.b64 [param1+0], %rd4;
    .param .b32 param2;
    st.param.b32 [param2+0], 12;
    .param .b64 param3;
    st.param.b64 [param3+0], %rd6;
    .param .b64 param4;
    st.param.b64 [param4+0], 1;
    call.uni __assertfail, (param0, param1, param2, param3, param4);
    }
    OK:
)";

TEST(Calls, AnAssertionThatFails) {
    RunPtx run(ptx_kernel("", kAssert, "sm_90a", kExternals));
    ASSERT_EQ(run.load_error(), "");
    const LaunchReport report = run.launch({.block = {64}});
    ASSERT_TRUE(report.finding);
    EXPECT_EQ(report.finding->kind, FindingKind::assertion);
    EXPECT_EQ(report.finding->warp, 1);
    EXPECT_EQ(report.finding->lanes, 1u << 5);
    EXPECT_EQ(report.finding->text, "a.cu:12: v k(): `x > 0` does not hold");
    EXPECT_FALSE(run.launch({.block = {32}}).finding);
}

TEST(Calls, OthersAreNotCovered) {
    const std::string text = ptx_kernel("", R"(
        {
        .param .b64 param0;
        st.param.b64 [param0], 1;
        call.uni other, (param0);
        }
    )",
                                        "sm_90a", ".extern .func other (.param .b64 a);");
    EXPECT_EQ(RunPtx(text).load_error(), "line 11: call.uni: not covered yet: a call of other");
}

TEST(Calls, AStringThatIsNone) {
    RunPtx run(ptx_kernel("", R"(
        {
        .param .b64 param0;
        st.param.b64 [param0], 64;
        .param .b64 param1;
        st.param.b64 [param1], 0;
        .param .b32 retval0;
        call.uni (retval0), vprintf, (param0, param1);
        }
    )",
                          "sm_90a", kExternals));
    ASSERT_EQ(run.load_error(), "");
    const LaunchReport report = run.launch({.block = {32}});
    ASSERT_TRUE(report.finding);
    EXPECT_EQ(report.finding->kind, FindingKind::out_of_bounds);
    EXPECT_EQ(report.finding->address, 64u);
}

TEST(Launches, ProgrammaticOnesNeedAWait) {
    LaunchConfig config{.block = {32}};
    config.programmatic = true;
    RunPtx with(ptx_kernel("", "griddepcontrol.launch_dependents;\ngriddepcontrol.wait;"));
    EXPECT_FALSE(with.launch(config).finding);
    RunPtx without(ptx_kernel("", "griddepcontrol.launch_dependents;"));
    ASSERT_TRUE(without.launch(config).finding);
    config.programmatic = false;
    EXPECT_FALSE(without.launch(config).finding);
}

TEST(Launches, ProgrammaticOnesWaitBeforeTheyTouchGlobalMemory) {
    struct Case {
        const char* before;
        const char* use;  // null: none that must not be
    };
    const Case cases[] = {
        {"ld.global.u32 %r0, [%rd0];", "read"},
        {"ld.u32 %r0, [%rd0];", "read"},
        {"st.global.u32 [%rd0], %r0;", "written"},
        {"atom.global.add.u32 %r0, [%rd0], 1;", "changed"},
        {"cp.async.ca.shared.global [box], [%rd0], 4;", "read"},
        {"cp.async.ca.shared.global.L2::cache_hint [box], [%rd0], 4, %rd0; cp.async.wait_all;", nullptr},
        {"ld.global.L2::cache_hint.u32 %r0, [%rd0], %rd0;", "read"},
        {"ld.global.nc.u32 %r0, [%rd0];", nullptr},
        {"st.shared.u32 [box], %r0; ld.shared.u32 %r0, [box];", nullptr},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.before);
        const std::string code = fmt::format(R"(
        .shared .align 16 .u32 box[32];
        .reg .b32 %r<2>;
        .reg .b64 %rd<1>;
        ld.param.u64 %rd0, [out];
        mov.u32 %r0, 5;
        {}
        griddepcontrol.wait;
        ld.global.u32 %r0, [%rd0];
        st.global.u32 [%rd0], %r0;
        )",
                                             c.before);
        RunPtx run(ptx_kernel(".param .u64 out", code));
        ASSERT_EQ(run.load_error(), "");
        const u64 out = run.put(std::vector<u32>{1});
        LaunchConfig config{.block = {1}};
        EXPECT_FALSE(run.launch(config, out).finding);
        config.programmatic = true;
        const LaunchReport report = run.launch(config, out);
        if (c.use == nullptr) {
            EXPECT_FALSE(report.finding) << report.finding->text;
            continue;
        }
        ASSERT_TRUE(report.finding);
        EXPECT_EQ(report.finding->kind, FindingKind::grid_not_waited);
        EXPECT_EQ(report.finding->text,
                  fmt::format("byte 0 of allocation 1 of 4 bytes {} before griddepcontrol.wait, while the "
                              "grid before this one may run",
                              c.use));
    }
}

TEST(Launches, BlocksStartAfreshInMemoryThatIsUsedAgain) {
    // Registers, shared and local memory of an earlier launch cannot be read.
    RunPtx writes(ptx_kernel("", R"(
        .shared .u32 box[32];
        .reg .b32 %r<4>;
        mov.u32 %r0, 77;
        st.shared.u32 [box], %r0;
    )"));
    RunPtx reads(ptx_kernel(".param .u64 out", R"(
        .reg .b32 %r<4>;
        .reg .b64 %rd<2>;
        ld.param.u64 %rd0, [out];
        st.global.u32 [%rd0], %r3;
    )"));
    EXPECT_FALSE(writes.launch({.block = {32}}).finding);
    const u64 out = reads.put(std::vector<u32>(1, 0));
    EXPECT_FALSE(reads.launch({.block = {32}}, out).finding);
    EXPECT_EQ(reads.get<u32>(out, 1)[0], 0xffff'ffffu);
}

}  // namespace
}  // namespace warpwright::emulator
